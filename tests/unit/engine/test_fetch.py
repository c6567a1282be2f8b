"""Against a real server over TLS: bounded, verified, never redirected."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.policy import ClientCertificate
from gateway.engine.fetch import MAX_BYTES, Fetcher, FetchError
from tests.engine import pki
from tests.engine.upstream import FakeUpstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: x\r\n\r\n{}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeUpstream]:
    pki.write(tmp_path)
    made = FakeUpstream()
    made.answer = OK
    context = pki.upstream_context(tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(tmp_path / "partners-ca.pem")
    await made.start(context)
    yield made
    await made.stop()


def url(server: FakeUpstream, host: str = "localhost") -> str:
    return f"https://{host}:{server.port}/jwks"


async def test_an_answer_is_given_whole(server: FakeUpstream, tmp_path: Path) -> None:
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        fetched = await fetcher.get(url(server), {"if-none-match": "x"})
        await fetcher.get(url(server))
    assert (fetched.status, fetched.fields["etag"], fetched.body) == (200, "x", b"{}")
    assert b"if-none-match: x\r\n" in server.requests[0].lower()
    assert server.connections == 1
    assert "{}" not in repr(fetched)


async def test_a_form_is_sent(server: FakeUpstream, tmp_path: Path) -> None:
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        await fetcher.post(url(server), {"token": "a b&c"}, {"authorization": "Basic x"})
    assert server.requests[0].endswith(b"\r\n\r\ntoken=a+b%26c")


async def test_the_gates_own_certificate_is_presented(server: FakeUpstream, tmp_path: Path) -> None:
    own = ClientCertificate(tmp_path / "partner.pem", tmp_path / "partner.pem")
    async with Fetcher(tmp_path / "operator-ca.pem", own) as fetcher:
        await fetcher.get(url(server))
    assert server.certificates[0] is not None


async def test_a_redirect_is_not_followed(server: FakeUpstream, tmp_path: Path) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n"
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        assert (await fetcher.get(url(server))).status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000, f"more than {MAX_BYTES} bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n ", "compressed"),
        (b"SMTP ready\r\n\r\n", "no HTTP"),
    ],
)
async def test_what_is_no_answer(server: FakeUpstream, tmp_path: Path, answer: bytes, said: str) -> None:
    server.answer = answer
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        with pytest.raises(FetchError, match=said):
            await fetcher.get(url(server))


async def test_a_server_of_another_ca_is_not_asked(server: FakeUpstream, tmp_path: Path) -> None:
    async with Fetcher(tmp_path / "partners-ca.pem") as fetcher:
        with pytest.raises(FetchError, match="TLS: "):
            await fetcher.get(url(server))
    assert server.requests == []


async def test_a_server_of_another_name_is_not_asked(server: FakeUpstream, tmp_path: Path) -> None:
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        await server.stop()
        await server.start(host="127.0.0.2")
        with pytest.raises(FetchError, match=r"TLS: .*not valid for '127.0.0.2'"):
            await fetcher.get(url(server, "127.0.0.2"))
    assert server.requests == []


async def test_a_server_that_is_not_there(server: FakeUpstream, tmp_path: Path) -> None:
    await server.stop()
    async with Fetcher(tmp_path / "operator-ca.pem") as fetcher:
        with pytest.raises(FetchError, match="no connection could be made"):
            await fetcher.get(url(server))


async def test_a_server_that_says_nothing(server: FakeUpstream, tmp_path: Path) -> None:
    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.behaviour = silent
    async with Fetcher(tmp_path / "operator-ca.pem", timeout=0.05) as fetcher:
        with pytest.raises(FetchError, match=r"answer within 0.05 s"):
            await fetcher.get(url(server))


async def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Fetcher(tmp_path / "nowhere.pem")


async def test_bytes_are_sent_and_answers_bounded_as_the_client_says(server: FakeUpstream, tmp_path: Path) -> None:
    async with Fetcher(tmp_path / "operator-ca.pem", most=2) as fetcher:
        fetched = await fetcher.send(url(server), b"\x30\x00", {"content-type": "application/ocsp-request"})
    assert fetched.body == b"{}"
    assert server.requests[0].endswith(b"\r\n\r\n\x30\x00")
    async with Fetcher(tmp_path / "operator-ca.pem", most=1) as fetcher:
        with pytest.raises(FetchError, match="more than 1 bytes"):
            await fetcher.get(url(server))
