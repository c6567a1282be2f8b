"""WebSockets through the gate, with an independent implementation at both ends (`websockets`)."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.controls.concurrency import Concurrency
from gateway.controls.websocket import WebSocketHandshake
from gateway.core.barred import Bar, Barred, Thing
from gateway.core.policy import Match, Route, Upstream, WebSocketSettings
from gateway.core.reasons import Reason
from tests import mint, world
from tests.engine import harness, pki
from tests.engine.harness import SOON, Running, get, read_response, running, until
from tests.engine.upstream import hangs

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 1.3."""

SWITCHING = (
    f"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
)

HANDSHAKE = {
    "upgrade": "websocket", "connection": "Upgrade", "sec_websocket_version": "13", "sec_websocket_key": KEY,
}  # fmt: skip

MUCH = 32_000_000
"""Bytes: more than all sockets and buffers on the way take."""

type Serve = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def gate(
    directory: Path, *, settings: WebSocketSettings | None = None, origins: frozenset[str] | None = None, **changes: Any
) -> AsyncIterator[Running]:
    """Bring up a gate with a route that opens WebSockets."""
    first = changes.pop("chain", world.chain(signature=None, replay=None, rate_limit=None))
    chain = (*first, WebSocketHandshake(origins))

    def routes(upstream: Upstream) -> tuple[Route, ...]:
        return (
            world.route(
                name="feed", match=Match(frozenset({"GET"}), "/v1/feed"), chain=chain, upstream=upstream,
                websocket=settings or WebSocketSettings(idle=60.0, lifetime=3_600.0),
            ),
            world.route(
                name="plain", match=Match(frozenset({"GET"}), "/v1/plain"), chain=first, upstream=upstream,
            ),
        )  # fmt: skip

    async with running(directory, routes=routes, **changes) as up:
        yield up


@asynccontextmanager
async def feed(directory: Path, serving: Serve = echo, **options: Any) -> AsyncIterator[Running]:
    """Bring up a gate in front of a server of the library's."""
    async with (
        serve(serving, "127.0.0.1", 0) as server,
        gate(directory, to={"port": next(iter(server.sockets)).getsockname()[1]}, **options) as up,
    ):
        yield up


def opened(up: Running, path: str = "/v1/feed", **options: Any) -> connect:
    return connect(
        f"wss://localhost:{up.port}{path}",
        ssl=pki.client_context(up.directory, "partner"),
        additional_headers={"Authorization": f"Bearer {world.World().token}", **options.pop("fields", {})},
        **options,
    )


def handshake(**changes: str | None) -> bytes:
    return get("/v1/feed", **{**HANDSHAKE, **changes})


async def talk(client: ClientConnection) -> None:
    while True:
        await client.send("odds")
        await client.recv()


async def left(client: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed):
        await client.recv()


@pytest.mark.direct
async def test_messages_go_both_ways_and_the_end_is_recorded(tmp_path: Path) -> None:
    async with feed(tmp_path) as up:
        async with opened(up) as client:
            for message in ("odds", os.urandom(300_000), "bet"):
                await client.send(message)
                assert await client.recv() == message
            assert up.decided == [Reason.ALLOWED]
            assert up.finished == []
        await up.until_finished()

        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.ALLOWED, 101)
        assert outcome.response_bytes > 300_000
        assert outcome.detail.startswith("websocket closed by the ")


@pytest.mark.direct
async def test_the_upstream_learns_who_calls(tmp_path: Path) -> None:
    async def tell(connection: ServerConnection) -> None:
        assert connection.request is not None
        await connection.send(connection.request.headers["x-gateway-partner"])

    async with feed(tmp_path, tell) as up, opened(up, fields={"X-Gateway-Partner": "somebody-else"}) as client:
        assert await client.recv() == world.PARTNER
        assert client.response is not None
        assert "x-gateway-request-id" in client.response.headers
        await left(client)


@pytest.mark.direct
async def test_what_the_chain_denies_opens_nothing(tmp_path: Path) -> None:
    async with feed(tmp_path) as up:
        with pytest.raises(InvalidStatus) as refused:
            async with opened(up, fields={"Authorization": "Bearer x"}):
                pass
        assert refused.value.response.status_code == 401
        assert up.upstream.untouched


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"upgrade": None}, "Upgrade"),
        ({"upgrade": "h2c"}, "Upgrade"),
        ({"connection": "keep-alive"}, "Connection"),
        ({"sec_websocket_version": "8"}, "Sec-WebSocket-Version"),
        ({"sec_websocket_version": None}, "Sec-WebSocket-Version"),
        ({"sec_websocket_key": None}, "Sec-WebSocket-Key"),
        ({"sec_websocket_key": "short"}, "Sec-WebSocket-Key"),
        ({"sec_websocket_key": "!" * 24}, "Sec-WebSocket-Key"),
    ],
)
async def test_a_request_that_is_no_handshake_is_told_what_would_be(
    tmp_path: Path, change: dict[str, str | None], fault: str
) -> None:
    async with gate(tmp_path) as up:
        response = await up.send(handshake(**change))

        assert (response.status, response.code) == (426, "websocket.handshake")
        assert response.fields["upgrade"] == "websocket"
        assert up.decisions()[0].decision.detail.startswith(fault)
        assert up.upstream.untouched


async def test_pages_of_other_origins_open_nothing(tmp_path: Path) -> None:
    async with gate(tmp_path, origins=frozenset({"https://play.example"})) as up:
        for origin in ("https://evil.example", None):
            response = await up.send(handshake(origin=origin))
            assert (response.status, response.code) == (403, "websocket.origin")
        assert up.upstream.untouched


@pytest.mark.direct
async def test_a_listed_origin_opens_one(tmp_path: Path) -> None:
    async with (
        feed(tmp_path, origins=frozenset({"https://play.example"})) as up,
        opened(up, origin="https://play.example") as client,
    ):
        await client.send("odds")
        assert await client.recv() == "odds"


@pytest.mark.layers
async def test_layers_that_cannot_open_one_say_so(tmp_path: Path) -> None:
    async with gate(tmp_path) as up:
        response = await up.send(handshake())

        assert (response.status, response.code) == (426, "websocket.handshake")
        assert "layers" in up.decisions()[0].decision.detail
        assert up.upstream.untouched


@pytest.mark.direct
async def test_one_that_is_idle_is_ended(tmp_path: Path) -> None:
    async with (
        feed(tmp_path, settings=WebSocketSettings(idle=SOON, lifetime=60.0)) as up,
        opened(up, ping_interval=None) as client,
    ):
        await left(client)
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.WEBSOCKET_ENDED, 101)
        assert outcome.detail.startswith("no byte for 0.01 s")


@pytest.mark.direct
async def test_one_that_was_open_long_enough_is_ended_though_it_is_in_use(tmp_path: Path) -> None:
    async with feed(tmp_path, settings=WebSocketSettings(idle=60.0, lifetime=0.05)) as up, opened(up) as client:
        with pytest.raises(ConnectionClosed):
            await talk(client)
        await up.until_finished()
        assert up.outcomes()[0].detail.startswith("open for 0.05 s")


@pytest.mark.direct
async def test_one_ends_with_its_access_token(tmp_path: Path) -> None:
    async with feed(tmp_path) as up:
        up.time.move(mint.claims()["exp"] - world.NOW - 0.02)
        async with opened(up) as client:
            await left(client)
        await up.until_finished()
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.status) == (Reason.WEBSOCKET_ENDED, 101)
        assert outcome.detail.startswith("its access token has ended")


@pytest.mark.direct
async def test_a_place_in_flight_is_free_again_once_the_client_has_left(tmp_path: Path) -> None:
    chain = (*world.chain(signature=None, replay=None, rate_limit=None), Concurrency(1, 3_600))
    async with feed(tmp_path, chain=chain) as up:
        for count in (1, 2):
            async with opened(up) as client:
                await client.send("odds")
                await client.recv()
                with pytest.raises(InvalidStatus) as refused:
                    async with opened(up):
                        pass
                assert refused.value.response.status_code == 429
                client.transport.abort()
            await up.until_finished(count)
        assert up.finished == [Reason.ALLOWED] * 2


@pytest.mark.direct
async def test_a_gate_that_stops_ends_it(tmp_path: Path) -> None:
    async with feed(tmp_path) as up, opened(up) as client:
        await client.send("odds")
        await client.recv()
        for handler in list(up.master.handlers):
            handler.drain()
        await left(client)
        await up.until_finished()
        assert up.finished == [Reason.WEBSOCKET_ENDED]


@pytest.mark.direct
async def test_one_whose_token_is_revoked_ends(tmp_path: Path) -> None:
    async with feed(tmp_path) as up, opened(up) as client:
        await client.send("odds")
        await client.recv()
        up.gate.barred = Barred({(Thing.TOKEN, "operator/token-1"): Bar(1, None)})
        up.master.standings.barred()
        await left(client)
        await up.until_finished()
        assert up.finished == [Reason.WEBSOCKET_ENDED]


@pytest.mark.direct
async def test_an_upstream_that_opens_none_answers_as_ever(tmp_path: Path) -> None:
    async with gate(tmp_path) as up:
        reader, writer = await up.connect()
        for _ in range(2):
            writer.write(handshake())
            assert (await read_response(reader)).status == 200
        await up.until_finished(2)
        assert up.finished == [Reason.ALLOWED] * 2
        assert ("upgrade", "websocket") in up.upstream.fields()
        assert ("connection", "upgrade") in up.upstream.fields()


@pytest.mark.direct
@pytest.mark.parametrize(
    "answer",
    [
        SWITCHING.replace(ACCEPT, "x" + ACCEPT[1:]),
        SWITCHING.replace("Upgrade: websocket", "Upgrade: h2c"),
        SWITCHING.replace("Upgrade: websocket\r\n", ""),
        SWITCHING.replace("Connection: Upgrade\r\n", ""),
        SWITCHING.replace("Sec-WebSocket-Accept", "X-Accept"),
    ],
)
async def test_an_answer_to_another_handshake_is_not_passed_on(tmp_path: Path, answer: str) -> None:
    async with gate(tmp_path) as up:
        up.upstream.behaviour = hangs(answer.encode())
        response = await up.send(handshake())

        assert (response.status, response.code) == (502, "upstream.broken")
        assert up.finished == [Reason.UPSTREAM_BROKEN]


async def test_an_upstream_may_not_change_the_protocol_unasked(up: Running) -> None:
    up.upstream.behaviour = hangs(SWITCHING.encode())
    response = await up.send(get(**HANDSHAKE))

    assert (response.status, response.code) == (502, "upstream.broken")
    assert not {"upgrade", "connection"} & {name for name, _ in up.upstream.fields()}


@pytest.mark.direct
async def test_a_handshake_that_came_to_nothing_lets_no_later_request_change_the_protocol(tmp_path: Path) -> None:
    async with gate(tmp_path) as up:
        assert (await up.send(handshake())).status == 200
        up.upstream.behaviour = hangs(SWITCHING.encode())

        response = await up.send(get("/v1/plain", **HANDSHAKE))

        assert up.upstream.connections == 1
        assert (response.status, response.code) == (502, "upstream.broken")
        assert up.finished == [Reason.ALLOWED, Reason.UPSTREAM_BROKEN]


@pytest.mark.direct
async def test_what_either_side_sends_with_the_handshake_is_not_lost(tmp_path: Path) -> None:
    async with gate(tmp_path) as up:
        seen = asyncio.get_running_loop().create_future()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(SWITCHING.encode() + b"from upstream")
            seen.set_result(await reader.readexactly(11))
            raise ConnectionError

        up.upstream.behaviour = behave
        reader, writer = await up.connect()
        writer.write(handshake() + b"from client")
        assert (await read_response(reader)).status == 101
        assert await reader.readexactly(13) == b"from upstream"
        assert await seen == b"from client"
        assert await reader.read() == b""
        await up.until_finished()
        (outcome,) = up.outcomes()
        assert outcome.reason is Reason.ALLOWED
        assert outcome.detail == "websocket closed by the upstream; 11 bytes from the client"
        assert outcome.response_bytes == 13


@pytest.mark.direct
async def test_a_client_that_does_not_read_makes_the_upstream_wait(tmp_path: Path) -> None:
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        while True:
            await connection.send(b"\x00" * 65_536)
            sent += 1

    async with feed(tmp_path, flood) as up:
        reader, writer = await up.connect()
        writer.write(handshake())
        assert (await read_response(reader)).status == 101
        (handler,) = up.master.handlers
        await until(lambda: handler.slow)  # type: ignore[union-attr]
        before = -1
        while sent != before:  # the upstream is made to wait once the sockets between are full
            before = sent
            for _ in range(2_000):
                await asyncio.sleep(0)
        assert sent < 1_000
        writer.transport.abort()
        await up.until_finished()
        assert up.outcomes()[0].detail.startswith("websocket closed by the client")


@pytest.mark.direct
async def test_the_upstream_that_does_not_read_makes_the_client_wait(tmp_path: Path) -> None:
    async with gate(tmp_path) as up:
        release = asyncio.Event()

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(SWITCHING.encode())
            await release.wait()
            await reader.readexactly(MUCH)
            writer.write(b"all")
            raise ConnectionError

        up.upstream.behaviour = behave
        reader, writer = await up.connect()
        writer.write(handshake())
        assert (await read_response(reader)).status == 101
        writer.write(b"\x00" * MUCH)
        (handler,) = up.master.handlers
        await until(lambda: handler._held)  # type: ignore[union-attr]
        release.set()
        async with asyncio.timeout(harness.SAFETY):
            assert await reader.readexactly(3) == b"all"
        await up.until_finished()
        assert up.outcomes()[0].detail == f"websocket closed by the upstream; {MUCH} bytes from the client"
