import struct

import pytest

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.nonces import Nonces
from gateway.state.space import NEVER

NOW = 1_795_352_400.0
AGE = 60.0


def claim(
    nonces: Nonces,
    key: bytes = b"key",
    *,
    now: float = NOW,
    dated: float | None = NOW,
    until: float | None = None,
    space: str = "acme",
) -> Claim:
    if until is None:
        until = (NOW if dated is None else dated) + AGE
    return nonces.claim(ClaimOnce(space, key, None if dated is None else Instant(dated), Instant(until)), Instant(now))


def full() -> Nonces:
    nonces = Nonces(3)
    for index in range(3):
        claim(nonces, b"%d" % index)
    return nonces


def swept() -> Nonces:
    """Give a memory that has forgotten `key`, dated NOW."""
    nonces = Nonces(1000)
    claim(nonces)
    claim(nonces, b"later", now=NOW + 100, dated=NOW + 100)
    assert len(nonces) == 1
    return nonces


def test_a_key_is_claimed_once() -> None:
    nonces = Nonces(10)
    assert [claim(nonces), claim(nonces)] == [Claim.NEW, Claim.SEEN]


def test_keys_and_spaces_are_told_apart() -> None:
    nonces = Nonces(10)
    assert claim(nonces) is Claim.NEW
    assert claim(nonces, b"other") is Claim.NEW
    assert claim(nonces, space="blue") is Claim.NEW


@pytest.mark.parametrize("later", [0.0, 30.0, 59.999, 60.0])
def test_a_key_is_held_until_its_time_that_instant_included(later: float) -> None:
    nonces = Nonces(10)
    claim(nonces)
    claim(nonces, b"other", now=NOW + later, dated=NOW + later)
    assert claim(nonces, now=NOW + later) is Claim.SEEN


def test_a_key_whose_time_is_over_is_not_held_for_ever() -> None:
    nonces = Nonces(10)
    claim(nonces)
    assert claim(nonces, now=NOW + 100, dated=NOW + 100) is Claim.NEW


def test_a_key_that_was_claimed_anew_outlives_its_old_time() -> None:
    nonces = Nonces(10)
    claim(nonces)
    claim(nonces, now=NOW + 62, dated=NOW + 62)
    claim(nonces, b"other", now=NOW + 63, dated=NOW + 63)
    assert claim(nonces, now=NOW + 64, dated=NOW + 62) is Claim.SEEN


def test_a_claim_whose_time_is_over_already_is_unknowable() -> None:
    nonces = Nonces(10)
    assert [claim(nonces, now=NOW + AGE + 2), claim(nonces, now=NOW + AGE + 2)] == [Claim.UNKNOWABLE] * 2
    assert len(nonces) == 0


def test_a_slow_request_is_not_claimed_after_its_copy_was_forgotten() -> None:
    assert claim(swept(), now=NOW + AGE) is Claim.UNKNOWABLE


def test_a_key_that_was_claimed_anew_is_held_once() -> None:
    nonces = Nonces(1000)
    for index in range(100):
        claim(nonces, b"%d" % index)
    for index in range(100):
        claim(nonces, b"%d" % index, now=NOW + 62, dated=NOW + 62)
    held = nonces.held.spaces["acme"]
    records = b"".join(held.buckets)
    fingerprints = [records[at : at + 8] for at in range(0, len(records), 12)]
    assert len(fingerprints) == len(set(fingerprints)) == len(nonces)


# The clock steps back


def test_what_is_held_stays_seen() -> None:
    nonces = Nonces(10)
    claim(nonces)
    assert claim(nonces, now=NOW - 3600) is Claim.SEEN


def test_what_was_forgotten_is_unknowable() -> None:
    assert claim(swept(), now=NOW + 1) is Claim.UNKNOWABLE


def test_requests_dated_now_are_taken_where_the_step_is_shorter_than_the_window() -> None:
    assert claim(swept(), b"new", now=NOW + 50, dated=NOW + 50) is Claim.NEW


def test_requests_are_taken_again_once_their_window_ends_after_the_last_that_was_forgotten() -> None:
    nonces = swept()
    back = NOW - 10_000
    assert claim(nonces, b"new", now=back, dated=back) is Claim.UNKNOWABLE
    assert claim(nonces, b"new", now=NOW, dated=NOW) is Claim.UNKNOWABLE
    assert claim(nonces, b"new", now=NOW + 2, dated=NOW + 2) is Claim.NEW


def test_a_leap_into_the_future_and_back_costs_one_window() -> None:
    nonces = Nonces(1000)
    claim(nonces)
    claim(nonces, b"future", now=NOW + 1e8, dated=NOW + 1e8)
    assert claim(nonces, b"new", now=NOW + 1, dated=NOW + 1) is Claim.NEW
    assert claim(nonces, now=NOW + 1) is Claim.UNKNOWABLE


# What cannot be known


@pytest.mark.parametrize("raised", ["raise_floor", "lose"])
@pytest.mark.parametrize(("dated", "answer"), [(NOW, Claim.UNKNOWABLE), (NOW + 0.001, Claim.NEW)])
def test_what_is_dated_up_to_the_floor_is_unknowable(raised: str, dated: float, answer: Claim) -> None:
    nonces = Nonces(10)
    getattr(nonces, raised)(NOW)
    getattr(nonces, raised)(NOW - 100)
    assert claim(nonces, dated=dated) is answer


def test_what_is_held_is_seen_below_the_floor_too() -> None:
    nonces = Nonces(10)
    claim(nonces)
    nonces.raise_floor(NOW)
    assert claim(nonces) is Claim.SEEN


@pytest.mark.parametrize(("later", "answer"), [(0, Claim.UNKNOWABLE), (60, Claim.UNKNOWABLE), (61, Claim.NEW)])
def test_without_a_date_nothing_is_known_until_the_memory_reaches_back_far_enough(later: float, answer: Claim) -> None:
    nonces = Nonces(10)
    nonces.lose(NOW)
    now = NOW + later
    assert claim(nonces, now=now, dated=None, until=now + 60) is answer


def test_without_a_date_nothing_is_known_while_the_clock_lies_behind_what_was_forgotten() -> None:
    nonces = swept()
    assert claim(nonces, b"new", now=NOW, dated=None, until=NOW + 60) is Claim.UNKNOWABLE
    assert claim(nonces, b"new", now=NOW + 41, dated=None, until=NOW + 101) is Claim.NEW


def test_a_floor_concerns_dated_claims_only() -> None:
    nonces = Nonces(10)
    nonces.raise_floor(NOW)
    assert claim(nonces, dated=None, until=NOW + 3600) is Claim.NEW


# Windows


def test_every_dated_claim_is_held_for_the_widest_window() -> None:
    nonces = Nonces(10)
    nonces.widen(300.0)
    claim(nonces)
    claim(nonces, b"other", now=NOW + 250, dated=NOW + 250)
    assert claim(nonces, now=NOW + 250, until=NOW + 300) is Claim.SEEN


def test_a_claim_may_be_held_for_longer_than_the_widest_window() -> None:
    nonces = Nonces(10)
    nonces.widen(1.0)
    claim(nonces, until=NOW + 100)
    assert claim(nonces, now=NOW + 90, until=NOW + 100) is Claim.SEEN


def test_a_wider_window_does_not_take_what_the_narrower_one_forgot() -> None:
    nonces = Nonces(1000)
    nonces.widen(AGE)
    claim(nonces)
    claim(nonces, b"later", now=NOW + 100, dated=NOW + 100)
    nonces.widen(300.0)
    assert claim(nonces, now=NOW + 100, until=NOW + 300) is Claim.UNKNOWABLE
    assert claim(nonces, b"new", now=NOW + 100, dated=NOW + 90, until=NOW + 390) is Claim.NEW


@pytest.mark.parametrize("widened", [NOW + 1, NOW + 100])
def test_a_wider_window_holds_what_the_narrower_one_took_for_longer_too(widened: float) -> None:
    nonces = Nonces(1000)
    nonces.widen(AGE)
    claim(nonces)
    nonces.widen(300.0)
    claim(nonces, b"later", now=widened, dated=widened)
    claim(nonces, b"last", now=NOW + 290, dated=NOW + 290)
    assert claim(nonces, now=NOW + 290, until=NOW + 300) is Claim.SEEN


def test_a_window_that_was_narrowed_and_widened_again_is_a_wider_one() -> None:
    nonces = Nonces(1000)
    nonces.widen(300.0)
    nonces.widen(AGE)
    claim(nonces)
    claim(nonces, b"later", now=NOW + 100, dated=NOW + 100)
    nonces.widen(300.0)
    assert claim(nonces, now=NOW + 100, until=NOW + 300) is Claim.UNKNOWABLE


def test_a_narrower_window_keeps_what_is_held() -> None:
    nonces = Nonces(10)
    nonces.widen(300.0)
    claim(nonces)
    nonces.widen(AGE)
    claim(nonces, b"other", now=NOW + 200, dated=NOW + 200)
    assert claim(nonces, now=NOW + 200) is Claim.SEEN


# Bounds


def test_a_full_space_takes_no_more() -> None:
    nonces = full()
    with pytest.raises(Unavailable) as caught:
        claim(nonces, b"new")
    assert caught.value.reason is Reason.REPLAY_MEMORY_FULL
    assert caught.value.detail == "3 nonces of acme are remembered"


def test_a_full_space_still_knows_what_it_has_seen() -> None:
    assert claim(full(), b"0") is Claim.SEEN


def test_a_full_space_leaves_the_others_room() -> None:
    assert claim(full(), b"new", space="blue") is Claim.NEW


def test_a_full_space_has_room_again_once_times_are_over() -> None:
    assert claim(full(), b"new", now=NOW + 100, dated=NOW + 100) is Claim.NEW


def test_a_full_space_has_room_where_a_tenth_is_over() -> None:
    nonces = Nonces(3000)
    for index in range(3000):
        claim(nonces, b"%d" % index, until=NOW + (5 if index % 10 == 0 else 500))
    for index in range(100):
        assert claim(nonces, b"new %d" % index, now=NOW + 10, until=NOW + 500) is Claim.NEW
    assert len(nonces) <= 3000


@pytest.mark.parametrize("until", [float("nan"), float("inf")])
def test_a_claim_without_an_end_is_an_error(until: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        claim(Nonces(10), until=until)


@pytest.mark.parametrize("until", [-3.0, 2.0**32])
def test_a_claim_that_ends_when_no_record_can_is_an_error_and_not_held(until: float) -> None:
    nonces = Nonces(10)
    with pytest.raises(struct.error):
        claim(nonces, now=until - 5, dated=until - 5, until=until)
    assert len(nonces) == 0


def test_a_lower_bound_counts_from_the_next_claim_on_in_the_midst_of_many() -> None:
    nonces = Nonces(1000)
    held = 0
    while held < 100 or not next(iter(nonces.held.spaces.values())).rest:  # when it is 0 depends on chance
        claim(nonces, b"%d" % held)
        held += 1
    nonces.bound(held)
    with pytest.raises(Unavailable):
        claim(nonces, b"new")


@pytest.mark.parametrize("capacity", [3, 4])
def test_another_bound_counts_from_the_next_claim_on(capacity: int) -> None:
    nonces = Nonces(1000)
    for index in range(4):
        claim(nonces, b"%d" % index)
    nonces.bound(capacity)
    with pytest.raises(Unavailable):
        claim(nonces, b"new")
    nonces.bound(5)
    assert claim(nonces, b"new") is Claim.NEW


# Taking over


def test_what_is_taken_over_is_held() -> None:
    before = Nonces(10)
    claim(before)
    after = Nonces(10)
    after.take_over(before.held, AGE)
    assert claim(after) is Claim.SEEN


def test_what_is_taken_over_does_not_show_its_secret() -> None:
    held = Nonces(10).held
    assert held.secret.hex() not in repr(held)
    assert repr(held.secret) not in repr(held)


def test_nothing_is_forgotten_before_anything_was() -> None:
    nonces = Nonces(10)
    claim(nonces)
    claim(nonces, b"other")
    assert nonces.held.spaces["acme"].forgotten == NEVER
