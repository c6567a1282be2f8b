import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.engine import listener
from gateway.engine.listener import Accepted, AcceptLoop, Arrival
from gateway.engine.tls import ServerContext
from tests import world
from tests.engine import pki
from tests.engine.harness import LIMITS, read_to_end, until
from tests.unit.engine.gates import Made
from tests.unit.engine.transports import connected


class Recorder(asyncio.Protocol):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append(transport)

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(exc)


# Arrival


def test_a_connection_stands_still_until_somebody_serves_it() -> None:
    arrival, transport = connected(Arrival())
    assert transport.paused

    served = Recorder()
    arrival.hand_to(served)

    assert (transport.protocol, transport.paused) == (served, False)
    assert served.told == [transport]


def test_what_came_early_is_handed_on_in_order() -> None:
    arrival, transport = connected(Arrival())
    for data in (b"GET ", b"/"):
        arrival.data_received(data)
    served = Recorder()
    arrival.hand_to(served)
    assert served.told == [transport, b"GET ", b"/"]


def test_a_connection_that_is_lost_early_is_handed_on_as_lost() -> None:
    arrival, transport = connected(Arrival())
    arrival.data_received(b"GET ")
    arrival.connection_lost(ConnectionResetError())
    served = Recorder()
    arrival.hand_to(served)
    assert served.told == [transport, None]


async def test_a_connection_can_be_served_by_streams() -> None:
    arrival, transport = connected(Arrival())
    arrival.data_received(b"GET ")
    reader, writer = Accepted(world.peer(), transport, arrival).streams()
    writer.write(b"HTTP/1.1 ")
    assert (await reader.read(9), transport.written) == (b"GET ", b"HTTP/1.1 ")
    writer.close()


# AcceptLoop


class Up:
    """A listener that accepts on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        limits = Limits(connections=2, handshake_timeout=LIMITS.handshake_timeout)
        listens = world.listener(port=0, tls=pki.write(directory), limits=limits)
        self.made = Made(policy=world.policy(listeners={"public": listens}))
        self.served: list[Accepted] = []
        self.serve: Callable[[Accepted], None] = self.served.append
        self.let_go = asyncio.Event()
        self.loop = AcceptLoop(self.made.gate, "public", ServerContext(listens.tls), self._serve)
        self._writers: list[asyncio.StreamWriter] = []

    async def _serve(self, accepted: Accepted) -> None:
        self.serve(accepted)
        await self.let_go.wait()

    async def connect(self) -> asyncio.StreamReader:
        """Make a connection over TLS."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=pki.client_context(self.directory), server_hostname="localhost"
        )
        self._writers.append(writer)
        return reader

    @property
    def port(self) -> int:
        return int(self.loop.sockets[0].getsockname()[1])

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self.loop.close()
        self.loop.abort()
        await until(lambda: not self.loop.connections)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    made = Up(tmp_path)
    made.loop.start()
    yield made
    await made.close()


async def test_a_connection_is_served_with_the_facts_of_its_peer(up: Up) -> None:
    await up.connect()
    await until(lambda: up.served)
    peer = up.served[0].peer
    assert (str(peer.address), peer.listener) == ("127.0.0.1", "public")
    assert peer.tls is not None
    assert peer.tls.certificate is not None


async def test_connections_have_ids_of_their_own(up: Up) -> None:
    for _ in range(2):
        await up.connect()
    await until(lambda: len(up.served) == 2)
    assert up.served[0].peer.connection_id != up.served[1].peer.connection_id


async def test_connections_beyond_the_limit_are_closed_and_recorded(up: Up) -> None:
    for _ in range(2):
        await up.connect()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await up.connect()
    assert up.made.log.refused == [Reason.CONNECTION_LIMIT]
    assert up.loop.connections == 2


async def test_a_connection_that_was_served_is_closed(up: Up) -> None:
    reader = await up.connect()
    up.let_go.set()
    assert await read_to_end(reader) == b""
    await until(lambda: not up.loop.connections)


async def test_an_error_while_serving_ends_its_connection_alone(up: Up, caplog: pytest.LogCaptureFixture) -> None:
    def serve(_: Accepted) -> None:
        raise ZeroDivisionError

    up.serve = serve
    assert await read_to_end(await up.connect()) == b""
    assert "ZeroDivisionError" in caplog.text

    up.serve = up.served.append
    await up.connect()
    await until(lambda: up.served)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Denied(Reason.TLS_CERTIFICATE_INVALID, "certificate cannot be read"), Reason.TLS_CERTIFICATE_INVALID),
        (ZeroDivisionError(), Reason.CONTROL_FAILED),
    ],
)
async def test_a_connection_whose_facts_cannot_be_read_is_refused(
    up: Up, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: Reason
) -> None:
    def facts(*_: object) -> None:
        raise error

    monkeypatch.setattr(up.loop.context, "facts", facts)
    assert await read_to_end(await up.connect()) == b""
    await until(lambda: not up.loop.connections)
    assert (up.made.log.refused, up.served) == ([reason], [])


async def test_a_failure_to_accept_does_not_end_the_listener(
    up: Up, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    failures = [OSError(24, "Too many open files")]

    async def sock_accept(listening: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return await loop.sock_accept(listening)

    up.loop.close()
    monkeypatch.setattr(listener, "ACCEPT_PAUSE", 0.0)
    stand_in = SimpleNamespace(create_task=loop.create_task, sock_accept=sock_accept)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "get_running_loop", lambda: stand_in)
        up.loop.start()
        await asyncio.sleep(0)  # it has the loop now

    await up.connect()

    await until(lambda: up.served)
    assert "Too many open files" in caplog.text


async def test_an_address_that_is_taken_is_an_error(up: Up) -> None:
    taken = world.listener(port=up.port, tls=up.loop.settings.tls)
    other = Made(policy=world.policy(listeners={"public": taken}))
    second = AcceptLoop(other.gate, "public", up.loop.context, up._serve)
    with pytest.raises(OSError, match="already in use"):
        second.start()
    assert second.sockets == ()


async def test_a_listener_that_is_closed_accepts_no_more(up: Up) -> None:
    await up.connect()
    await until(lambda: up.served)
    port = up.port

    up.loop.close()

    assert up.loop.sockets == ()
    assert up.loop.connections == 1
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_connections_that_are_left_can_be_cut(up: Up) -> None:
    reader = await up.connect()
    await until(lambda: up.served)
    up.loop.abort()
    assert await read_to_end(reader) == b""
    await until(lambda: not up.loop.connections)
