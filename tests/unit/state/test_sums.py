import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Instant
from gateway.state.sums import PARTS, SWEEP, Sums, over_at, part_of
from tests.unit.state.money_store import spend
from tests.world import NOW

DIGEST = b"d" * 16


@pytest.mark.parametrize("window", [1, 60, 3_600, 86_400])
def test_what_is_counted_counts_for_its_window_and_a_part_of_it_at_most(window: int) -> None:
    for at in (NOW, NOW + 0.999 * window / PARTS, NOW + 1_234.5):
        over = over_at(window, part_of(window, at))
        assert at + window < over <= at + window + window / PARTS + 1e-3


@given(
    st.integers(1, 600),
    st.lists(st.tuples(st.floats(0, 300), st.integers(0, 8)), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_the_limit(window: int, steps: list[tuple[float, int]]) -> None:
    sums, taken, now = Sums(10), list[tuple[float, int]](), float(NOW)
    for wait, amount in steps:
        now += wait
        asked = spend(amount, most=10, window=window)
        if sums.fits("acme", DIGEST, asked, Instant(now)):
            sums.add("acme", DIGEST, window, part_of(window, now), amount)
            taken.append((now, amount))
        within = sum(amount for at, amount in taken if at > now - window)
        assert within <= 10
        late = [amount for at, amount in taken if at > now - window - window / PARTS - 1e-3]
        assert sums.counted("acme", DIGEST, window, Instant(now)) <= sum(late)


def test_what_is_given_back_leaves_no_trace() -> None:
    sums = Sums(10)
    sums.add("acme", DIGEST, 60, 7, 5)
    sums.add("acme", DIGEST, 60, 7, -5)
    assert sums.counted("acme", DIGEST, 60, NOW) == 0
    sums.add("acme", b"unknown", 60, 7, -5)
    assert len(sums) == 1


def test_a_zero_is_counted_as_one_that_came() -> None:
    sums = Sums(10)
    sums.add("acme", DIGEST, 60, part_of(60, NOW), 0)
    assert sums.counted("acme", DIGEST, 60, NOW) == 0


def test_counters_that_are_over_are_let_go_of_a_few_at_a_time() -> None:
    sums = Sums(1_000)
    for number in range(5 * SWEEP):
        sums.add("acme", b"%d" % number, 60, part_of(60, NOW), 1)
    sums.add("acme", b"0", 60, part_of(60, NOW + 50), 1)  # this one lasts longer
    sums.make_room("acme", (), Instant(NOW + 70))
    assert len(sums) == 4 * SWEEP + 1
    for _ in range(5):
        sums.make_room("acme", (), Instant(NOW + 70))
    assert len(sums) == 1
