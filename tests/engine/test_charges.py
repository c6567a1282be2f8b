"""What an answer says that its request cost, from a client's side: the next answer's fields show what was taken."""

from pathlib import Path

import pytest

from gateway.controls.charged_rates import AnswerCost, ChargedRates
from gateway.controls.rate_limit import RouteLimit
from gateway.core.chain import RateLimit
from gateway.core.document import Pointer
from tests import world
from tests.engine.harness import Response, get, running, until
from tests.engine.upstream import Held, answers

UNITS = RouteLimit(RateLimit("units", 100, 3_600, sliding=False), ("partner",), 2)
FIELD = AnswerCost(50, "x-cost")
PLAIN = b"HTTP/1.1 200 OK\r\nx-cost: 0\r\ncontent-length: 0\r\n\r\n"


def chain(cost: AnswerCost) -> dict[str, object]:
    rates = ChargedRates((UNITS,), {}, {"units": cost})
    return {"route": {"chain": world.chain(signature=None, replay=None, rate_limit=rates)}}


def left(response: Response) -> int:
    return int(response.fields["ratelimit"].split(";")[1].removeprefix("r="))


@pytest.mark.parametrize(
    ("cost", "answer", "taken"),
    [
        (FIELD, b"HTTP/1.1 200 OK\r\nX-Cost: 7\r\ncontent-length: 0\r\n\r\n", 7),
        (FIELD, b"HTTP/1.1 404 Not Found\r\nx-cost: 1\r\ncontent-length: 2\r\n\r\nno", 2),
        (FIELD, b"HTTP/1.1 200 OK\r\nx-cost: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 9),
        (FIELD, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 50),
        (FIELD, b"HTTP/1.1 200 OK\r\nx-cost: much\r\ncontent-length: 0\r\n\r\n", 50),
        (AnswerCost(50, pointer=Pointer("/units")), b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"units": 8}', 8),
        (AnswerCost(50, pointer=Pointer("/units")), b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}", 50),
        (AnswerCost(20, statuses={404: 20}), b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 20),
        (AnswerCost(20, statuses={404: 20}), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 2),
    ],
)
async def test_what_the_answer_says_is_taken_once_it_has_ended(
    tmp_path: Path, cost: AnswerCost, answer: bytes, taken: int
) -> None:
    async with running(tmp_path, **chain(cost)) as up:
        up.upstream.answer = answer
        first = left(await up.send(get()))
        await up.until_finished()
        assert first - left(await up.send(get())) == taken


async def test_a_limit_that_was_gone_beyond_takes_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path, **chain(FIELD)) as up:
        up.upstream.answer = PLAIN.replace(b"x-cost: 0", b"x-cost: 50")
        statuses = []
        for _ in range(4):
            statuses.append((await up.send(get())).status)
            await up.until_finished(len([status for status in statuses if status == 200]))
        assert statuses == [200, 200, 429, 429]


async def test_what_is_not_sent_costs_the_least(tmp_path: Path) -> None:
    async with running(tmp_path, **chain(FIELD)) as up:
        await up.upstream.stop()
        assert (await up.send(get())).status == 502
        await up.upstream.restart()
        up.upstream.answer = PLAIN
        assert left(await up.send(get())) == 96


async def test_an_answer_that_breaks_off_says_by_its_field_what_it_cost(tmp_path: Path) -> None:
    async with running(tmp_path, **chain(FIELD)) as up:
        up.upstream.behaviour = answers(b"HTTP/1.1 200 OK\r\nx-cost: 7\r\ncontent-length: 9\r\n\r\nab", close=True)
        reader, writer = await up.connect()
        writer.write(get())
        await reader.read()
        await up.until_finished()
        up.upstream.behaviour = None
        up.upstream.answer = PLAIN
        assert left(await up.send(get())) == 91


async def test_a_caller_that_goes_away_pays(tmp_path: Path) -> None:
    async with running(tmp_path, **chain(FIELD)) as up:
        up.upstream.answer = PLAIN.replace(b"x-cost: 0", b"x-cost: 30")
        held = Held(up.upstream)
        _, writer = await up.connect()
        writer.write(get())
        await held.reached.wait()
        writer.transport.abort()
        held.go_on.set()
        await up.until_finished()
        up.upstream.behaviour = None
        up.upstream.answer = PLAIN
        await until(lambda: not up.gate.settling)
        assert left(await up.send(get())) in (68, 48)  # what upstream said, or the most where it was not heard any more
