"""The console's server, asked over its socket."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.console.archive import Archive
from gateway.console.door import Door
from gateway.console.server import HEADERS, client_tls, serve


class Up:
    def __init__(self, door: Door) -> None:
        self.door = door
        self.link = door.url
        self.base = re.match(r"https?://[^/]+", door.url)[0]  # type: ignore[index]


async def _up(archive: Archive, tls: ssl.SSLContext | None) -> AsyncIterator[Up]:
    opened: asyncio.Future[Door] = asyncio.get_running_loop().create_future()
    until = asyncio.Event()
    task = asyncio.create_task(serve(archive, 0, tls, opened.set_result, until))
    yield Up(await opened)
    until.set()
    await task


@pytest.fixture
async def up(archive: Archive) -> AsyncIterator[Up]:
    async for one in _up(archive, None):
        yield one


@pytest.fixture
async def client(up: Up) -> AsyncIterator[httpx.AsyncClient]:
    """One who came in by the link."""
    async with httpx.AsyncClient(base_url=up.base) as opened:
        await opened.get(up.link)
        yield opened


async def test_the_link_leads_in_and_no_token_is_logged(up: Up, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.console")
    async with httpx.AsyncClient(base_url=up.base) as client:
        assert (await client.get("/")).status_code == 401
        entered = await client.get(up.link)
        assert (entered.status_code, "0; url=/" in entered.text) == (200, True)
        assert (await client.get("/")).status_code == 200
    assert [record.getMessage() for record in caplog.records] == [
        "127.0.0.1 GET '/' 401", "127.0.0.1 GET '/enter' 200", "127.0.0.1 GET '/' 200",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/requests?partner=bet-nord", 200), ("/request/nothing", 404), ("/nothing", 404), ("/enter", 401),
     ("/static/console.css", 200), ("/static/icon.svg", 200), ("/static/../server.py", 404), ("/static/x", 404)],
)  # fmt: skip
async def test_every_answer_forbids_scripts(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "script-src" not in HEADERS["Content-Security-Policy"]
    assert "Server" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_can_be_sent(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, "/requests")).status_code == 405


async def test_head(client: httpx.AsyncClient) -> None:
    answer = await client.head("/policy")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.head("/static/icon.svg")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"), [({"Host": "evil.example"}, 421), ({"Sec-Fetch-Site": "cross-site"}, 403)]
)
async def test_rebinding_and_other_sites(client: httpx.AsyncClient, fields: dict[str, str], status: int) -> None:
    answer = await client.get("/", headers=fields)
    assert (answer.status_code, "acme-casino" in answer.text) == (status, False)


async def test_a_log_that_cannot_be_read(
    client: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise OSError(2, "No such file", "/var/audit/x")

    monkeypatch.setattr(archive, "read", gone)
    answer = await client.get("/")
    assert (answer.status_code, "The log cannot be read" in answer.text) == (500, True)


async def test_other_errors_are_not_told(
    client: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("inner words")

    monkeypatch.setattr(archive, "read", broken)
    answer = await client.get("/")
    assert (answer.status_code, "inner words" in answer.text) == (500, False)
    assert "/: ValueError: inner words" in caplog.text


async def test_a_port_that_is_taken(up: Up, archive: Archive) -> None:
    with pytest.raises(OSError, match="in use"):
        await serve(archive, int(up.base.rpartition(":")[2]), None, lambda _: None, asyncio.Event())


async def test_a_client_certificate_instead_of_the_link(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.console")
    ours, theirs = trustme.CA(), trustme.CA()
    server = ours.issue_cert("127.0.0.1")
    for name, blob in (("cert", server.cert_chain_pems[0]), ("key", server.private_key_pem), ("ca", theirs.cert_pem)):
        blob.write_to_path(tmp_path / name)
    context = client_tls(tmp_path / "cert", tmp_path / "key", tmp_path / "ca")
    async for up in _up(archive, context):
        trusting = ssl.create_default_context()
        ours.configure_trust(trusting)
        async with httpx.AsyncClient(verify=trusting) as stranger:
            with pytest.raises(httpx.HTTPError):
                await stranger.get(up.base)
        theirs.issue_cert("auditor@example.org", common_name="Ada Auditor").configure_cert(trusting)
        async with httpx.AsyncClient(verify=trusting) as auditor:
            assert (await auditor.get(up.base)).status_code == 200
    assert "Ada Auditor" in caplog.text
