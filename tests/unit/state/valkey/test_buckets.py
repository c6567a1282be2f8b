"""Buckets in the store count as those of the process do (`state/rates.py`), limit by limit and second by second."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import strategies
from limits.storage import memory

from gateway.core.chain import RateLimit, RateTaken, Take, TakeRate
from gateway.core.holds import Charge
from gateway.core.message import Instant
from gateway.state.rates import Rates
from gateway.state.valkey.buckets import key_of, tag_of
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server
from tests.world import NOW


def limit(name: str = "limit", amount: int = 3, window: int = 60, *, sliding: bool = False) -> RateLimit:
    return RateLimit(name, amount, window, sliding)


def ask(*limits: RateLimit, who: str = "acme", cost: int = 1) -> TakeRate:
    return TakeRate(tuple(Take(each, ("psp", "deposit", each.name, who), cost) for each in limits))


async def take(gate: Gate, *limits: RateLimit, who: str = "acme", cost: int = 1) -> RateTaken:
    return await gate.state.take(ask(*limits, who=who, cost=cost), NOW)


@pytest.mark.parametrize("sliding", [False, True])
async def test_so_many_requests_are_taken_in_a_window_and_no_more(gate: Gate, sliding: bool) -> None:
    taken = [await take(gate, limit(sliding=sliding)) for _ in range(5)]
    assert [one.allowed for one in taken] == [True, True, True, False, False]
    assert [one.states[0].remaining for one in taken] == [2, 1, 0, 0, 0]


async def test_all_is_taken_or_nothing(gate: Gate) -> None:
    few, many = limit("few", 1), limit("many", 5, sliding=True)
    assert (await take(gate, few, many)).allowed
    refused = await take(gate, few, many)
    assert [(state.allowed, state.remaining) for state in refused.states] == [(False, 0), (True, 4)]
    assert (await take(gate, many)).states[0].remaining == 3


async def test_callers_are_counted_apart(gate: Gate) -> None:
    for who in ("acme", "blue", "a\nb", "{x}", "é" * 500):
        assert [(await take(gate, limit(amount=1), who=who)).allowed for _ in range(2)] == [True, False]


async def test_a_fixed_window_begins_with_its_first_request(gate: Gate, server: Server) -> None:
    assert (await take(gate, limit(amount=1))).states[0].reset_after == 60
    server.set_clock(NOW + 59.5)
    refused = await take(gate, limit(amount=1))
    assert (refused.allowed, refused.states[0].reset_after) == (False, 0.5)
    server.set_clock(NOW + 60)
    assert (await take(gate, limit(amount=1))).allowed


async def test_many_asks_of_one_turn_take_exactly_what_there_is(gate: Gate) -> None:
    taken = await asyncio.gather(*(take(gate, limit(amount=40), limit("b", 1_000, sliding=True)) for _ in range(100)))
    assert sum(one.allowed for one in taken) == 40


async def test_a_clock_that_steps_back_makes_windows_longer_and_no_larger(gate: Gate, server: Server) -> None:
    limits = limit("fixed", 2), limit("sliding", 2, sliding=True)
    assert (await take(gate, *limits)).allowed
    server.set_clock(NOW - 3_600)
    assert [(await take(gate, *limits)).allowed for _ in range(2)] == [True, False]
    states = (await take(gate, *limits)).states
    assert all(0 < state.reset_after <= 121 for state in states)


async def test_counters_go_when_they_count_no_longer(gate: Gate, server: Server) -> None:
    await take(gate, limit("fixed"), limit("sliding", sliding=True))
    fixed, sliding = (
        key_of(b"psp:deposit", each) for each in ask(limit("fixed"), limit("sliding", sliding=True)).takes
    )
    assert 60_000 < server.ask("PTTL", fixed) <= 61_000
    assert 61_000 < server.ask("PTTL", sliding) <= 121_000


def test_keys_of_a_route_lie_in_one_slot_and_hold_no_name_of_a_caller() -> None:
    takes = ask(limit("a"), limit("b"), who="player-4711").takes
    tag = tag_of(takes[0].key)
    keys = [key_of(tag, each) for each in takes]
    assert tag == b"psp:deposit"
    assert len(set(keys)) == 2
    assert not any(b"4711" in key for key in keys)
    assert len(tag_of(("a{b}", "c"))) == 32


STEADY = RateLimit("steady", 5, 10, sliding=False, burst=3)
"""One each two seconds."""


async def test_so_many_pass_at_once_and_then_one_after_the_other(gate: Gate, server: Server) -> None:
    taken = [await take(gate, STEADY) for _ in range(4)]
    assert [(one.allowed, one.states[0].remaining) for one in taken] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert await gate.state.operator.look(ask(STEADY).takes) == [3]
    server.set_clock(NOW + 1.5)
    assert (await take(gate, STEADY)).states[0].reset_after == 0.5
    assert await gate.state.operator.look(ask(STEADY).takes) == [3]
    server.set_clock(NOW + 2)
    assert await gate.state.operator.look(ask(STEADY).takes) == [2]
    assert [(await take(gate, STEADY)).allowed for _ in range(2)] == [True, False]
    server.set_clock(NOW + 100)
    assert await gate.state.operator.look(ask(STEADY).takes) == [0]
    assert [(await take(gate, STEADY, cost=2)).allowed for _ in range(2)] == [True, False]


async def test_a_bucket_goes_once_it_is_empty(gate: Gate, server: Server) -> None:
    await take(gate, STEADY, cost=3)
    key = key_of(b"psp:deposit", ask(STEADY).takes[0])
    assert 6_000 < server.ask("PTTL", key) <= 7_000


async def test_a_clock_that_steps_gives_one_burst_at_most_and_keeps_nobody_out(gate: Gate, server: Server) -> None:
    assert [(await take(gate, STEADY)).allowed for _ in range(4)] == [True, True, True, False]
    server.set_clock(NOW - 3_600)
    assert not (await take(gate, STEADY)).allowed
    server.set_clock(NOW - 3_598)
    assert [(await take(gate, STEADY)).allowed for _ in range(2)] == [True, False]
    server.set_clock(NOW)
    assert [(await take(gate, STEADY)).allowed for _ in range(4)] == [True, True, True, False]


async def test_a_bucket_is_counted_exactly_however_large_its_burst(gate: Gate) -> None:
    huge = RateLimit("huge", 1_000_000_000, 31 * 86_400, sliding=False, burst=1_000_000_000)
    assert [(await take(gate, huge, cost=999_999_999)).allowed for _ in range(2)] == [True, False]
    assert (await take(gate, huge)).states[0].remaining == 0
    assert await gate.state.operator.look(ask(huge).takes) == [1_000_000_000]


@pytest.mark.parametrize(
    "kind", [limit(amount=5), limit(amount=5, sliding=True), replace(STEADY, amount=5, window=60, burst=5)]
)
async def test_a_charge_is_taken_whether_it_fits_or_not(gate: Gate, server: Server, kind: RateLimit) -> None:
    assert (await take(gate, kind)).states[0].remaining == 4
    (owed,) = ask(kind, cost=2).takes
    await gate.state.settle(Charge((owed,)), NOW)
    assert (await take(gate, kind)).states[0].remaining == 1
    await gate.state.settle(Charge((owed._replace(cost=7),)), NOW)
    refused = await take(gate, kind)
    assert (refused.allowed, refused.states[0].remaining) == (False, 0)
    server.set_clock(NOW + refused.states[0].reset_after + 0.001)
    assert (await take(gate, kind)).allowed


async def test_nothing_to_take_is_a_fault_of_ours(gate: Gate) -> None:
    with pytest.raises(ValueError, match="nothing"):
        await gate.state.take(TakeRate(()), NOW)


STEPS = st.sampled_from([0.0, 0.25, 1.0, 7.5, 20.0, 59.875, 60.0, 61.0, 150.0])
"""Seconds that are whole in binary: ends of windows are kept in whole milliseconds, rounded up."""
LIMITS = st.builds(
    RateLimit, name=st.just("x"), amount=st.integers(1, 6), window=st.sampled_from([1, 10, 60]), sliding=st.booleans()
) | st.builds(
    RateLimit,
    name=st.just("x"),
    amount=st.integers(1, 6),
    window=st.sampled_from([1, 10, 60]),
    sliding=st.just(False),
    burst=st.integers(1, 6),
)


@given(
    limits=st.lists(LIMITS, min_size=1, max_size=3),
    steps=st.lists(st.tuples(STEPS, st.integers(1, 3)), min_size=1, max_size=15),
)
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_store_counts_as_the_process_does(
    running: Server, limits: list[RateLimit], steps: list[tuple[float, int]]
) -> None:
    clock = SimpleNamespace(now=NOW)
    fake = SimpleNamespace(time=lambda: clock.now)
    takes = [replace(one, name=f"{at}") for at, one in enumerate(limits)]

    async def compare() -> None:
        running.ask("FLUSHALL")
        running.set_clock(NOW)
        gate = await Gate(running).start()
        rates = Rates()
        for number, (step, cost) in enumerate(steps):
            clock.now = Instant(clock.now + step)
            running.set_clock(clock.now)
            asked = ask(*takes, cost=cost)
            ours, theirs = rates.take(asked, clock.now), await gate.state.take(asked, clock.now)
            assert ours.allowed == theirs.allowed
            for one, other in zip(ours.states, theirs.states, strict=True):
                assert (one.limit, one.allowed, one.remaining) == (other.limit, other.allowed, other.remaining)
                assert one.reset_after == pytest.approx(other.reset_after, abs=0.01)
            if number % 3 == 2:
                owed = asked.takes[number % len(takes) :]
                rates.charge(owed, clock.now)
                await gate.state.settle(Charge(owed), clock.now)
        await gate.state.stop()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "time", fake)
        patched.setattr(strategies, "time", fake)
        asyncio.run(compare())


# Days and months of the calendar

DAILY = RateLimit("daily", 2, 86_400, sliding=False, calendar="day")
MONTHLY = RateLimit("monthly", 3, 31 * 86_400, sliding=False, calendar="month")


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def test_a_quota_is_that_of_its_day_or_month_and_begins_anew_with_the_next(gate: Gate, server: Server) -> None:
    server.set_clock(moment("2027-01-30T23:59:50"))
    taken = [await take(gate, DAILY, MONTHLY) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, True, False]
    assert [state.reset_after for state in taken[2].states] == [10, 86_410]
    assert await gate.state.operator.look(ask(DAILY, MONTHLY).takes) == [2, 2]
    server.set_clock(moment("2027-01-31T00:00:00"))
    assert await gate.state.operator.look(ask(DAILY, MONTHLY).takes) == [0, 2]
    assert [(await take(gate, DAILY, MONTHLY)).allowed for _ in range(2)] == [True, False]
    server.set_clock(moment("2027-02-01T00:00:00"))
    assert [(await take(gate, DAILY, MONTHLY)).allowed for _ in range(3)] == [True, True, False]


async def test_months_end_where_the_calendar_has_it(gate: Gate, server: Server) -> None:
    for number in (*range(1999 * 12, 2033 * 12), *range(2099 * 12, 2101 * 12)):
        (begins, ends) = (
            datetime(each // 12, each % 12 + 1, 1, tzinfo=UTC).timestamp() for each in (number, number + 1)
        )
        each = replace(MONTHLY, name=f"of {number}")
        server.set_clock(begins)
        assert (await take(gate, each)).states[0].reset_after == ends - begins
        server.set_clock(ends - 0.5)
        last = (await take(gate, each)).states[0]
        assert (last.remaining, last.reset_after) == (1, 0.5)


async def test_a_quota_is_kept_until_its_month_ends(gate: Gate, server: Server) -> None:
    server.set_clock(moment("2027-01-01T00:00:00"))
    await take(gate, MONTHLY)
    key = key_of(b"psp:deposit", ask(MONTHLY).takes[0])
    assert server.ask("GET", key.decode()) == b"%d 1 0" % (moment("2027-02-01T00:00:00") * 1_000)
    assert int(server.ask("PTTL", key.decode())) > 31 * 86_400 * 1_000 - 60_000


async def test_a_day_of_the_calendar_and_one_from_the_first_request_are_two_buckets(gate: Gate) -> None:
    fixed = replace(DAILY, calendar=None)
    assert [(await take(gate, each)).states[0].remaining for each in (DAILY, fixed)] == [1, 1]
