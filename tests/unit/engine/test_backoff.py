from itertools import pairwise

from gateway.engine.backoff import FIRST_WAIT, LONGEST_WAIT, STEADY, Backoff


def waits(*ran: float) -> list[float]:
    backoff = Backoff()
    return [backoff.after(each) for each in ran]


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    found = waits(*[0.0] * 20)
    assert (found[0], found[-1]) == (FIRST_WAIT, LONGEST_WAIT)
    assert all(after == min(2 * before, LONGEST_WAIT) for before, after in pairwise(found))


def test_what_ran_for_a_while_begins_anew() -> None:
    assert waits(0, 0, 0, STEADY, 0) == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, FIRST_WAIT, 2 * FIRST_WAIT]


def test_what_ran_for_less_does_not() -> None:
    assert waits(0, STEADY - 0.1) == [FIRST_WAIT, 2 * FIRST_WAIT]
