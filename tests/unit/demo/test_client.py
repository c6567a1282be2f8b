"""The demo's client against a stub gate with real TLS."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.demo.calls import NOBODY, Message
from gateway.demo.client import Answer, Client
from gateway.demo.credentials import FOREIGN, Credentials, make
from gateway.demo.scenarios import BALANCE, DEPOSIT

REFUSAL = json.dumps({"code": "token.missing"}).encode()


def answer(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


OK = answer("200 OK", "application/json", b"{}")
REFUSED = answer("401 Unauthorized", "application/problem+json", REFUSAL)


@dataclass
class StubGate:
    """Answers every head it reads with the same bytes."""

    answer: bytes = OK
    closes: bool = False
    """After its first answer."""
    heads: list[bytes] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    subjects: list[object] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.peers.append(writer.get_extra_info("peername")[0])
        self.subjects.append(
            dict(attribute for rdn in writer.get_extra_info("peercert")["subject"] for attribute in rdn)
        )
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                writer.write(self.answer)
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        writer.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make(tmp_path_factory.mktemp("client") / "certs", Instant(time.time()))


@asynccontextmanager
async def stub(credentials: Credentials, gate: StubGate) -> AsyncIterator[Client]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=credentials.folder / "partners-ca.pem")
    context.load_cert_chain(credentials.folder / "gateway.pem", credentials.folder / "gateway.key")
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0, ssl=context)
    async with server, Client(credentials, server.sockets[0].getsockname()[1]) as client:
        yield client
    await server.wait_closed()


async def send(credentials: Credentials, gate: StubGate, call: object = BALANCE) -> Answer:
    assert isinstance(call, type(BALANCE))
    async with stub(credentials, gate) as client:
        return await client.send(call, call.message(credentials, Instant(time.time())))


async def test_an_answer_is_read(world: Credentials) -> None:
    got = await send(world, StubGate())
    assert (got.status, got.code, got.words) == (200, None, "")
    assert got.milliseconds > 0


async def test_the_code_of_a_refusal_is_read(world: Credentials) -> None:
    got = await send(world, StubGate(REFUSED))
    assert (got.status, got.code) == (401, "token.missing")


async def test_a_code_in_other_json_is_none(world: Credentials) -> None:
    assert (await send(world, StubGate(answer("401 No", "application/json", REFUSAL)))).code is None


async def test_the_partners_certificate_is_presented(world: Credentials) -> None:
    gate = StubGate()
    await send(world, gate)
    assert gate.subjects == [{"organizationName": "Acme Gaming Ltd", "commonName": "Acme Casino front end"}]


async def test_calls_of_one_partner_share_a_connection(world: Credentials) -> None:
    gate = StubGate()
    async with stub(world, gate) as client:
        for _ in range(3):
            await client.send(BALANCE, BALANCE.message(world, Instant(time.time())))
    assert (gate.connections, len(gate.heads)) == (1, 3)


async def test_a_call_comes_from_the_address_it_names(world: Credentials) -> None:
    gate = StubGate()
    await send(world, gate, replace(BALANCE, source="127.0.0.2"))
    assert gate.peers == ["127.0.0.2"]


async def test_no_proxy_of_the_environment_comes_between(world: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert (await send(world, StubGate())).status == 200


@pytest.mark.parametrize("identity", [NOBODY, FOREIGN])
async def test_a_refused_handshake_is_no_answer(world: Credentials, identity: str) -> None:
    gate = StubGate()
    got = await send(world, gate, replace(BALANCE, identity=identity))
    assert (got.status, got.code, gate.heads) == (None, None, [])
    assert got.words


async def test_a_connection_closed_without_an_answer_is_said_so(world: Credentials) -> None:
    assert (await send(world, StubGate(b"", closes=True))).words == "connection closed"


@pytest.mark.parametrize("raw", [OK, REFUSED])
async def test_a_changed_message_goes_out_byte_by_byte(world: Credentials, raw: bytes) -> None:
    gate = StubGate(raw)
    twice: Callable[[Message], Message] = lambda message: replace(  # noqa: E731 - as scenarios write it
        message, fields=(("Host", "a"), ("Host", "b")), version="HTTP/1.0"
    )
    got = await send(world, gate, replace(BALANCE, change=twice))
    start = b"GET /pam/v1/players/p-1001/balance HTTP/1.0\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n"
    assert gate.heads == [start]
    assert (got.status, got.code) == ((200, None) if raw is OK else (401, "token.missing"))


@pytest.mark.parametrize("raw", [b"", b"not HTTP\r\n\r\n", OK[:-1]])
async def test_half_an_answer_is_none(world: Credentials, raw: bytes) -> None:
    got = await send(world, StubGate(raw, closes=True), replace(BALANCE, change=lambda message: message))
    assert (got.status, got.words) == (None, "connection closed")


async def test_plaintext_is_not_encrypted(world: Credentials) -> None:
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n"))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, Client(world, server.sockets[0].getsockname()[1]) as client:
        call = replace(DEPOSIT, plaintext=True)
        got = await client.send(call, call.message(world, Instant(time.time())))
    assert received == [b"POST /psp/v1/deposits HTTP/1.1\r\n"]
    assert (got.status, got.words) == (None, "connection closed")


async def test_nobody_listening_is_no_answer(world: Credentials) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Client(world, port) as client:
        assert (await client.send(BALANCE, BALANCE.message(world, Instant(time.time())))).status is None


async def test_a_gate_of_another_ca_gets_nothing(world: Credentials, tmp_path: Path) -> None:
    gate = StubGate()
    other = make(tmp_path, Instant(time.time()))
    async with stub(world, gate) as client:
        stranger = Client(other, client._port)
        async with stranger:
            got = await stranger.send(BALANCE, BALANCE.message(other, Instant(time.time())))
    assert (got.status, gate.heads) == (None, [])
    assert "certificate verify failed" in got.words
