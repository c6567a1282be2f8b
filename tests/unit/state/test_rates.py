import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from limits import strategies
from limits.storage import memory

from gateway.core.chain import RateLimit, RateState, RateTaken, Take, TakeRate
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.rates import SWEEP, Rates

START = 1_795_352_400.0
"""A multiple of 60, at which sliding windows of a minute begin."""


class Clock:
    def __init__(self) -> None:
        self.now = Instant(START)

    def forward(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stand in for the clock where the library looks it up."""
    clock = Clock()
    fake = SimpleNamespace(time=lambda: clock.now)
    monkeypatch.setattr(memory, "time", fake)
    monkeypatch.setattr(strategies, "time", fake)
    return clock


def limit(name: str = "limit", amount: int = 3, window: int = 60, *, sliding: bool = False) -> RateLimit:
    return RateLimit(name, amount, window, sliding)


def take(rates: Rates, clock: Clock, *limits: RateLimit, key: tuple[str, ...] = ("acme",), cost: int = 1) -> RateTaken:
    return rates.take(TakeRate(tuple(Take(each, (*key, each.name), cost) for each in limits)), clock.now)


def allowed(rates: Rates, clock: Clock, *limits: RateLimit, key: tuple[str, ...] = ("acme",)) -> bool:
    return take(rates, clock, *limits, key=key).allowed


@pytest.mark.parametrize("sliding", [False, True])
def test_so_many_requests_are_taken_in_a_window_and_no_more(clock: Clock, sliding: bool) -> None:
    rates = Rates()
    assert [allowed(rates, clock, limit(sliding=sliding)) for _ in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize("sliding", [False, True])
def test_what_costs_too_much_takes_nothing(clock: Clock, sliding: bool) -> None:
    rates = Rates()
    taken = [take(rates, clock, limit(sliding=sliding), cost=2) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, False, False]
    assert take(rates, clock, limit(sliding=sliding)).allowed


@pytest.mark.parametrize("sliding", [False, True])
def test_what_remains_is_told(clock: Clock, sliding: bool) -> None:
    rates = Rates()
    told = [take(rates, clock, limit(sliding=sliding)).states[0] for _ in range(4)]
    assert [(state.allowed, state.remaining) for state in told] == [(True, 2), (True, 1), (True, 0), (False, 0)]


def test_a_fixed_window_begins_with_its_first_request_and_ends_whole(clock: Clock) -> None:
    rates = Rates()
    take(rates, clock, limit())
    clock.forward(20)
    assert take(rates, clock, limit()).states[0].reset_after == 40
    take(rates, clock, limit())
    clock.forward(39)
    assert take(rates, clock, limit()).states == (RateState(limit(), False, 0, 1.0),)
    clock.forward(1)
    assert take(rates, clock, limit()).states[0].remaining == 2


def test_a_sliding_window_gives_back_little_by_little(clock: Clock) -> None:
    rates = Rates()
    assert all(allowed(rates, clock, limit(sliding=True)) for _ in range(3))
    clock.forward(61)
    assert [allowed(rates, clock, limit(sliding=True)) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("sliding", [False, True])
@pytest.mark.parametrize("elapsed", [0, 7, 30, 59, 60, 61, 75, 100, 119])
def test_who_waits_as_told_is_taken(clock: Clock, sliding: bool, elapsed: float) -> None:
    rates, one = Rates(), limit(sliding=sliding)
    while allowed(rates, clock, one):
        pass
    clock.forward(elapsed)
    while (state := take(rates, clock, one).states[0]).allowed:
        pass
    clock.forward(state.reset_after)
    assert allowed(rates, clock, one)


@pytest.mark.parametrize("elapsed", [0, 7, 30, 59, 60, 61, 75, 100, 119])
def test_who_waits_for_less_is_not_taken(clock: Clock, elapsed: float) -> None:
    rates, one = Rates(), limit(sliding=True)
    while allowed(rates, clock, one):
        pass
    clock.forward(elapsed)
    while (state := take(rates, clock, one).states[0]).allowed:
        pass
    clock.forward(state.reset_after - 0.01)
    assert not allowed(rates, clock, one)


@pytest.mark.parametrize("elapsed", [0, 7, 30, 59, 60, 61, 75, 100, 119])
def test_more_remains_once_the_time_told_is_over(clock: Clock, elapsed: float) -> None:
    rates, one = Rates(), limit(amount=10, sliding=True)
    for _ in range(6):
        take(rates, clock, one)
    clock.forward(elapsed)
    state = take(rates, clock, one).states[0]
    clock.forward(state.reset_after)
    assert take(rates, clock, one).states[0].remaining == state.remaining


def test_a_costly_request_waits_until_it_fits_whole(clock: Clock) -> None:
    rates, one = Rates(), limit(amount=10, sliding=True)
    take(rates, clock, one, cost=10)
    state = take(rates, clock, one, cost=6).states[0]
    assert state.reset_after == pytest.approx(60 + 30, abs=0.01)
    clock.forward(state.reset_after)
    assert take(rates, clock, one, cost=6).allowed


def test_the_time_told_is_never_negative_nor_longer_than_the_window(clock: Clock) -> None:
    rates = Rates()
    ask = TakeRate((Take(limit(), ("acme",)),))
    assert rates.take(ask, Instant(clock.now - 3600)).states[0].reset_after == 60
    assert rates.take(ask, Instant(clock.now + 3600)).states[0].reset_after == 0


DAILY = RateLimit("daily", 2, 86_400, sliding=False, calendar="day")


# Bursts (test_bursts.py has the rest)


def steady(burst: int = 3) -> RateLimit:
    return RateLimit("steady", 6, 60, sliding=False, burst=burst)


def test_a_burst_is_taken_at_once_and_the_rest_steadily(clock: Clock) -> None:
    rates = Rates()
    assert [allowed(rates, clock, steady()) for _ in range(4)] == [True, True, True, False]
    clock.forward(10)
    assert [allowed(rates, clock, steady()) for _ in range(2)] == [True, False]
    assert len(rates) == 1


def test_a_burst_beside_another_limit_is_taken_with_it_or_not_at_all(clock: Clock) -> None:
    rates, few = Rates(), limit("few", 1)
    assert [allowed(rates, clock, steady(), few) for _ in range(2)] == [True, False]
    assert take(rates, clock, steady()).states[0].remaining == 1


def test_a_burst_counts_apart_from_the_windows_of_the_same_name(clock: Clock) -> None:
    rates = Rates()
    other = RateLimit("steady", 6, 60, sliding=True)
    assert [take(rates, clock, each).states[0].remaining for each in (steady(), other)] == [2, 5]


def test_a_store_without_room_for_counters_serves_bursts_that_are_counted(clock: Clock) -> None:
    rates = Rates(max_counters=1)
    assert allowed(rates, clock, steady())
    with pytest.raises(Unavailable):
        take(rates, clock, steady(), key=("blue",))
    with pytest.raises(Unavailable):
        take(rates, clock, limit(), limit("other"))
    assert allowed(rates, clock, steady())


# Several limits


def test_all_or_none_is_taken(clock: Clock) -> None:
    rates, wide, narrow = Rates(), limit("wide", 10), limit("narrow", 2)
    assert [allowed(rates, clock, wide, narrow) for _ in range(4)] == [True, True, False, False]
    assert take(rates, clock, wide).states[0].remaining == 7


def test_a_refusal_tells_which_limit_was_reached(clock: Clock) -> None:
    rates, wide, narrow = Rates(), limit("wide", 10, sliding=True), limit("narrow", 1)
    take(rates, clock, wide, narrow)
    taken = take(rates, clock, wide, narrow)
    assert [(state.limit.name, state.allowed) for state in taken.states] == [("wide", True), ("narrow", False)]


def test_two_takes_from_one_bucket_that_has_room_for_one_are_refused(clock: Clock) -> None:
    rates, one = Rates(), limit(amount=1)
    assert not allowed(rates, clock, one, one)


def test_a_request_may_cost_more_than_one(clock: Clock) -> None:
    rates = Rates()
    assert take(rates, clock, limit(amount=5), cost=4).states[0].remaining == 1
    assert not take(rates, clock, limit(amount=5), cost=4).allowed


@pytest.mark.parametrize("sliding", [False, True])
def test_a_request_that_costs_more_than_the_limit_is_never_taken(clock: Clock, sliding: bool) -> None:
    taken = take(Rates(), clock, limit(amount=3, sliding=sliding), cost=4)
    assert (taken.allowed, taken.states[0].reset_after <= 60) == (False, True)


# Keys


def test_keys_are_counted_apart(clock: Clock) -> None:
    rates, one = Rates(), limit(amount=1)
    assert allowed(rates, clock, one, key=("acme",))
    assert allowed(rates, clock, one, key=("blue",))
    assert not allowed(rates, clock, one, key=("acme",))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("a/b", "c"), ("a", "b/c")),
        (("a", "b"), ("a/b",)),
        (("a", ""), ("a",)),
        (("a', 'b",), ("a", "b")),
        (("\ud800",), ("\\ud800",)),
    ],
)
def test_a_key_cannot_be_spelt_as_another(clock: Clock, left: tuple[str, ...], right: tuple[str, ...]) -> None:
    rates, one = Rates(), limit(amount=1)
    assert allowed(rates, clock, one, key=left)
    assert allowed(rates, clock, one, key=right)


def test_a_limit_that_was_changed_goes_on_counting(clock: Clock) -> None:
    rates = Rates()
    assert all(allowed(rates, clock, limit(amount=3)) for _ in range(3))
    assert take(rates, clock, limit(amount=5)).states[0].remaining == 1


def test_names_of_buckets_are_remembered_within_bounds(clock: Clock) -> None:
    rates = Rates()
    for index in range(5_000):
        take(rates, clock, limit(), key=(str(index),))
    take(rates, clock, limit(), key=("x" * 1_000,))
    assert 0 < len(rates._names) <= 4_096
    assert not [key for _, _, key, _ in rates._names if len(key[0]) > 128]


# Upkeep


def test_no_thread_is_left_or_started(clock: Clock) -> None:
    before = threading.active_count()
    rates = Rates()
    for _ in range(10):
        take(rates, clock, limit(sliding=True), limit("fixed"))
        clock.forward(30)
    assert threading.active_count() == before


def test_expired_counters_are_let_go_of_under_load(clock: Clock) -> None:
    rates = Rates()
    for index in range(2000):
        take(rates, clock, limit(window=1), limit("sliding", window=1, sliding=True), key=(str(index),))
        clock.forward(0.1)
    assert len(rates) <= 60
    assert len(rates._expirations.order) == len(rates)
    assert len(rates._storage.storage) == len(rates)
    assert not rates._storage.locks


def test_an_ask_lets_go_of_a_few_counters_only(clock: Clock) -> None:
    rates = Rates()
    for index in range(100):
        take(rates, clock, limit(), key=(str(index),))
    clock.forward(61)
    take(rates, clock, limit(), key=("new",))
    assert len(rates) == 101 - SWEEP


def test_a_counter_that_lives_on_is_not_let_go_of(clock: Clock) -> None:
    rates = Rates()
    take(rates, clock, limit(window=1))
    clock.forward(2)
    take(rates, clock, limit(window=1))
    take(rates, clock, limit("other"))
    assert take(rates, clock, limit(window=1)).states[0].remaining == 1


def test_the_libraries_clock_decides_what_has_expired(clock: Clock) -> None:
    rates = Rates()
    ask = TakeRate((Take(limit(), ("acme",)),))
    for _ in range(3):
        rates.take(ask, Instant(clock.now + 3600))
    assert not rates.take(ask, clock.now).allowed


def test_new_callers_are_refused_once_too_many_are_counted(clock: Clock) -> None:
    rates = Rates(max_counters=10)
    for index in range(10):
        assert allowed(rates, clock, limit(), key=(str(index),))
    with pytest.raises(Unavailable) as caught:
        take(rates, clock, limit(), key=("new",))
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    assert len(rates) == 10


@pytest.mark.parametrize("sliding", [False, True])
def test_callers_that_are_counted_already_are_served_on(clock: Clock, sliding: bool) -> None:
    rates = Rates(max_counters=1)
    assert [allowed(rates, clock, limit(amount=2, sliding=sliding)) for _ in range(3)] == [True, True, False]


def test_room_is_made_before_anybody_is_refused(clock: Clock) -> None:
    rates = Rates(max_counters=100)
    for index in range(100):
        take(rates, clock, limit(), key=(str(index),))
    clock.forward(61)
    assert take(rates, clock, *(limit(str(index)) for index in range(98))).allowed


# Days and months of the calendar

MONTHLY = RateLimit("monthly", 3, 31 * 86_400, sliding=False, calendar="month")


def at(clock: Clock, text: str) -> None:
    clock.now = Instant(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_quota_is_that_of_its_day_or_month_and_begins_anew_with_the_next(clock: Clock) -> None:
    rates = Rates()
    at(clock, "2027-01-30T23:59:50")
    assert [allowed(rates, clock, DAILY, MONTHLY) for _ in range(3)] == [True, True, False]
    at(clock, "2027-01-31T00:00:00")
    assert [allowed(rates, clock, DAILY, MONTHLY) for _ in range(2)] == [True, False]
    at(clock, "2027-02-01T00:00:00")
    assert [allowed(rates, clock, DAILY, MONTHLY) for _ in range(3)] == [True, True, False]


def test_it_is_told_when_the_next_day_or_month_begins(clock: Clock) -> None:
    rates = Rates()
    at(clock, "2028-02-27T12:00:00")
    (day, month) = take(rates, clock, DAILY, MONTHLY).states
    assert (day.remaining, day.reset_after) == (1, 43_200)
    assert (month.remaining, month.reset_after) == (2, 43_200 + 2 * 86_400)


def test_a_clock_that_steps_back_into_yesterday_finds_what_was_used_then(clock: Clock) -> None:
    rates = Rates()
    at(clock, "2027-01-01T23:59:00")
    assert [allowed(rates, clock, DAILY) for _ in range(2)] == [True, True]
    at(clock, "2027-01-02T00:30:00")
    assert allowed(rates, clock, DAILY)
    at(clock, "2027-01-01T23:40:00")
    assert not allowed(rates, clock, DAILY)


def test_counters_of_past_days_are_let_go_of(clock: Clock) -> None:
    rates = Rates()
    at(clock, "2027-01-01T12:00:00")
    take(rates, clock, DAILY)
    at(clock, "2027-01-02T01:30:00")
    take(rates, clock, DAILY, key=("other",))
    assert len(rates) == 1
