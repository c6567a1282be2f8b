"""Requests in flight, from a client's side."""

import asyncio
from pathlib import Path

from gateway.controls.concurrency import Concurrency
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import get, running
from tests.engine.money import debit, velocity
from tests.engine.upstream import Held

CHAIN = (*world.chain(signature=None, replay=None), Concurrency(1, 3_600))


async def test_one_more_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": CHAIN}) as up:
        held = Held(up.upstream)
        first = asyncio.ensure_future(up.send(get()))
        await held.reached.wait()
        refused = await up.send(get())
        held.go_on.set()

        assert (refused.status, refused.code) == (429, "concurrency.reached")
        assert refused.fields["retry-after"] == "1"
        assert (await first).status == 200
        assert [(await up.send(get())).status for _ in range(3)] == [200, 200, 200]
        assert up.decided.count(Reason.CONCURRENCY_REACHED) == 1


async def test_a_place_is_free_again_whatever_became_of_the_request(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": CHAIN}) as up:
        up.upstream.answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
        assert (await up.send(get())).status == 500
        await up.upstream.stop()
        assert [(await up.send(get())).status for _ in range(3)] == [502, 502, 502]
        await up.upstream.restart()
        up.upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        assert (await up.send(get())).status == 200
        assert Reason.CONCURRENCY_REACHED not in up.decided


async def test_a_caller_that_goes_away_gives_its_place_back(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": CHAIN}) as up:
        held = Held(up.upstream)
        _, writer = await up.connect()
        writer.write(get())
        await held.reached.wait()
        writer.transport.abort()
        held.go_on.set()
        await up.until_finished()

        assert (await up.send(get())).status == 200


async def test_a_request_that_a_later_control_denies_gives_its_place_back(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": (*CHAIN, velocity())}) as up:
        answers = [await up.send(debit(1, amount=amount)) for amount in (5_000, 1, 1, 1)]

        assert [answer.status for answer in answers] == [200, 403, 403, 403]
        assert Reason.CONCURRENCY_REACHED not in up.decided
