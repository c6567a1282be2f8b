from dataclasses import replace
from typing import Any

import pytest

from gateway.controls.websocket import WebSocketHandshake, accept_of
from gateway.core.policy import WebSocketSettings
from gateway.core.reasons import Reason
from gateway.engine.body import BodyReader
from gateway.engine.tunnel import Tunnel
from tests import world
from tests.unit.engine import test_passage
from tests.unit.engine.gates import Made, decided
from tests.unit.engine.test_passage import NO_BODY
from tests.world import World

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SWITCHING = (
    "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_of(KEY)}\r\n\r\n"
).encode()
HANDSHAKE = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13", "sec-websocket-key": KEY}


class Client(test_passage.Client):
    switches = 0

    def switched(self) -> None:
        self.switches += 1


class Run(test_passage.Run):
    """A passage that asks for a WebSocket."""

    def __init__(self, handling: Any, sent: World) -> None:
        super().__init__(handling, sent)
        self.client: Client = Client()
        ended = self.ended
        self.passage: Tunnel = Tunnel(
            self.client, handling, self.pool, BodyReader(sent.head()), lambda *how: ended.append(how)
        )
        self.passage.begin(b"")


@pytest.fixture
async def run() -> Run:
    chain = (*world.chain(signature=None, replay=None, rate_limit=None), WebSocketHandshake())
    route = world.route(
        match=world.Match(frozenset({"GET"}), "/v1/deposits"), chain=chain, websocket=WebSocketSettings(60.0, 120.0)
    )
    sent = World(method=b"GET", body=b"", fields={**NO_BODY, **HANDSHAKE})
    handling = await decided(Made(policy=world.policy(route)), sent)
    assert handling.authorise().allowed
    return Run(handling, sent)


async def test_the_handshake_is_written_anew_with_its_upgrade(run: Run) -> None:
    written = run.transport.written
    assert written.count(b"upgrade: websocket\r\nconnection: upgrade\r\n") == 1
    assert b"content-length" not in written


async def test_bytes_go_both_ways_once_it_is_open(run: Run) -> None:
    run.answer(SWITCHING + b"early")
    assert run.client.switches == 1
    head, _, rest = run.client.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nupgrade: websocket\r\nconnection: upgrade" in head
    assert rest == b"early"

    run.transport.take()
    run.passage.from_client(b"up")
    run.answer(b"down")
    assert run.transport.take() == b"up"
    assert run.client.written.endswith(b"earlydown")
    assert run.handling.response_bytes == 9
    assert run.ended == []
    run.passage.drop()


async def test_it_ends_with_the_upstream(run: Run) -> None:
    run.answer(SWITCHING)
    run.passage.from_client(b"up")
    assert run.pool.made.eof_received() is False
    assert run.ended == [(Reason.ALLOWED, "websocket closed by the upstream; 2 bytes from the client")]
    assert run.transport.aborted
    assert run.pool.returned == []


async def test_it_ends_with_a_connection_that_is_lost(run: Run) -> None:
    run.answer(SWITCHING)
    run.transport.lose()
    assert [reason for reason, _ in run.ended] == [Reason.ALLOWED]


async def test_the_gate_may_end_it(run: Run) -> None:
    run.answer(SWITCHING)
    run.passage.end("no byte for 60 s")
    assert run.ended == [(Reason.WEBSOCKET_ENDED, "no byte for 60 s; 0 bytes from the client")]
    assert run.transport.closing
    assert not run.transport.aborted


async def test_before_it_is_open_an_upstream_that_leaves_has_broken_off(run: Run) -> None:
    run.transport.lose()
    assert [reason for reason, _ in run.ended] == [Reason.UPSTREAM_BROKEN]


async def test_it_stays_open_no_longer_than_the_route_says_or_the_token_lives(run: Run) -> None:
    assert run.passage._time_left() == (120.0, "open for 120 s")
    claims = run.handling.decision.exchange.claims
    run.handling.decision.exchange.claims = replace(claims, expires=run.handling.decision.exchange.now + 5)
    assert run.passage._time_left() == (5.0, "its access token has ended")


async def test_an_upstream_that_takes_no_more_makes_the_client_wait(run: Run) -> None:
    run.answer(SWITCHING)
    run.pool.made.pause_writing()
    run.passage.from_client(b"up")
    assert run.client.held
    run.pool.made.resume_writing()
    assert not run.client.held
    run.passage.drop()
