from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chain import RateLimit, Take
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.bursts import SWEEP, Bursts

NOW = 1_795_352_400.0
STEADY = RateLimit("steady", 5, 10, sliding=False, burst=3)
"""One each two seconds."""


def taken(
    bursts: Bursts, after: float = 0.0, cost: int = 1, name: str = "a", limit: RateLimit = STEADY
) -> list[object]:
    state = bursts.take(name, Take(limit, (name,), cost), Instant(NOW + after))
    return [state.allowed, state.remaining, state.reset_after]


def test_so_many_pass_at_once_and_then_one_after_the_other() -> None:
    bursts = Bursts(9)
    assert [taken(bursts) for _ in range(4)] == [[True, 2, 2.0], [True, 1, 2.0], [True, 0, 2.0], [False, 0, 2.0]]
    assert taken(bursts, 1.5) == [False, 0, 0.5]
    assert taken(bursts, 2.0) == [True, 0, 2.0]
    assert taken(bursts, 6.0) == [True, 1, 2.0]
    assert taken(bursts, 100.0) == [True, 2, 2.0]


def test_a_costly_request_waits_until_it_fits_whole() -> None:
    bursts = Bursts(9)
    assert taken(bursts, cost=2) == [True, 1, 2.0]
    assert taken(bursts, cost=3) == [False, 1, 4.0]
    assert taken(bursts, 3.9, cost=3) == [False, 2, pytest.approx(0.1)]
    assert taken(bursts, 4.0, cost=3) == [True, 0, 2.0]


def test_a_look_takes_nothing() -> None:
    bursts = Bursts(9)
    for _ in range(2):
        state = bursts.look("a", Take(STEADY, ("a",), 3), Instant(NOW))
        assert (state.allowed, state.remaining, state.reset_after) == (True, 3, 0.0)


def test_a_clock_that_steps_gives_one_burst_at_most_and_keeps_nobody_out() -> None:
    bursts = Bursts(9)
    assert [taken(bursts)[0] for _ in range(4)] == [True, True, True, False]
    assert taken(bursts, -3_600) == [False, 0, 2.0]
    assert taken(bursts, -3_598) == [True, 0, 2.0]
    assert [taken(bursts, 0.0)[0] for _ in range(4)] == [True, True, True, False]


def test_a_rate_of_another_policy_counts_on_from_what_was_taken() -> None:
    bursts = Bursts(9)
    for _ in range(3):
        taken(bursts)
    assert taken(bursts, 1.0, limit=replace(STEADY, amount=10)) == [True, 0, 1.0]


def test_empty_buckets_are_let_go_of() -> None:
    bursts = Bursts(100)
    for number in range(10):
        taken(bursts, name=f"{number}")
    taken(bursts, 1.0, name="0")
    assert len(bursts) == 10
    taken(bursts, 2.0, name="x")
    assert len(bursts) == 11 - SWEEP + 1  # one that was taken from again is not empty
    for _ in range(3):
        taken(bursts, 50.0, name="y")
    assert len(bursts) == 1


def test_whoever_is_counted_is_served_while_there_is_no_room_for_others() -> None:
    bursts = Bursts(1)
    assert taken(bursts)[0]
    with pytest.raises(Unavailable) as caught:
        taken(bursts, name="b")
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    with pytest.raises(Unavailable):
        bursts.look("b", Take(STEADY, ("b",)), Instant(NOW))
    assert taken(bursts)[0]
    assert taken(bursts, 4.0, name="b")[0]


@given(
    amount=st.integers(1, 7), window=st.integers(1, 11), burst=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(0, 4_000_000), st.integers(1, 6)), min_size=1, max_size=60),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_never_more_than_the_burst_and_what_the_time_gives(
    amount: int, window: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    """And never less: a request that would keep to that is taken."""
    bursts, limit = Bursts(9), RateLimit("x", amount, window, sliding=False, burst=burst)
    at, admitted = 1_000_000_000_000, list[tuple[int, int]]()
    for micros, cost in steps:
        at += micros
        state = bursts.take("a", Take(limit, ("a",), cost), Instant(at / 1_000_000))
        fits = all(
            sum(each for when, each in admitted if when >= since) + cost
            <= burst + Fraction((at - since) * amount, window * 1_000_000)
            for since in {at, *(when for when, _ in admitted)}
        )
        assert state.allowed is fits
        if fits:
            admitted.append((at, cost))
