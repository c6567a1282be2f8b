"""Flow control of HTTP/2: who does not take an answer, or sends a body before it is wanted, fills no memory."""

import asyncio
from pathlib import Path

import h2.events
import pytest

from gateway.core.chain import RateTaken, TakeRate
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from gateway.engine.http2 import WINDOW
from gateway.engine.layers import MAX_HELD
from tests import world
from tests.engine.harness import Running, running, until
from tests.engine.http2 import Http2Client, fields_of, get_fields
from tests.engine.upstream import Behaviour

pytestmark = pytest.mark.direct  # HTTP/2 takes one way only

PART = bytes(65_536)
PARTS = 160
"""Ten MiB: more than the sockets on the way take."""


def large(sent: list[int]) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(PART) * PARTS))
        for part in range(PARTS):
            writer.write(PART)
            await writer.drain()
            sent.append(part)

    return behave


def held(up: Running, stream: int) -> int:
    (handler,) = up.master.handlers
    return int(handler.layer.connections[handler.client].held(stream))  # type: ignore[union-attr]


async def test_an_answer_that_the_client_does_not_take_makes_the_upstream_wait(up: Running) -> None:
    sent: list[int] = []
    up.upstream.behaviour = large(sent)
    async with Http2Client(up) as client:
        stream = client.begin(get_fields())
        await until(lambda: len(sent) == PARTS or held(up, stream) > MAX_HELD)
        before = -1
        while len(sent) != before:  # the sockets between fill up
            before = len(sent)
            for _ in range(2_000):
                await asyncio.sleep(0)

        assert len(sent) < PARTS
        assert held(up, stream) < MAX_HELD + 2 * 65_536

        assert len((await client.answer(stream)).body) == len(PART) * PARTS
    assert up.finished == [Reason.ALLOWED]


async def test_an_answer_that_is_never_taken_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path, to={"response_timeout": 0.2}) as up:
        up.upstream.behaviour = large([])
        async with Http2Client(up) as client:
            client.begin(get_fields())
            await up.until_finished()

            assert up.outcomes()[0].response_bytes < len(PART) * PARTS
            assert held(up, 1) == 0


async def test_a_body_waits_for_a_decision_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes(WINDOW + 100_000)
    made = world.World(body=body)
    async with running(tmp_path, route={"body_limit": len(body)}) as up:
        release = asyncio.Event()
        take = up.state.take

        async def later(ask: TakeRate, now: Instant) -> RateTaken:
            await release.wait()
            return take(ask, now)

        monkeypatch.setattr(up.state, "take", later)
        async with Http2Client(up) as client:
            stream = client.begin(fields_of(made), end=False)
            for at in range(0, WINDOW, 16_384):
                client.send(stream, body[at : at + 16_384], end=False)
            assert client.h2.local_flow_control_window(stream) == 0
            pong: list[h2.events.Event] = []
            monkeypatch.setattr(client, "_note", pong.append)
            client.h2.ping(b"12345678")
            client.flush()
            await client.read(lambda: any(isinstance(event, h2.events.PingAckReceived) for event in pong))
            monkeypatch.undo()

            assert client.h2.local_flow_control_window(stream) == 0  # all of it came, and no more may come

            release.set()
            await client.read(lambda: client.h2.local_flow_control_window(stream) > 100_000)
            for at in range(WINDOW, len(body), 16_384):
                client.send(stream, body[at : at + 16_384], end=at + 16_384 >= len(body))
            assert (await client.answer(stream)).status == 200
        assert up.upstream.bodies == [body]
