from dataclasses import replace

import pytest

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.state.nonces import Nonces
from gateway.state.restart import HEARTBEAT, Reach, Restored, Run, Start, resume, unreadable
from gateway.state.space import NEVER

NOW = Instant(1_795_352_400.0)
REACH = Reach(max_age=60.0, max_ahead=5.0)
RUNNING = Run(running=True, at=NOW - 20, reach=REACH)
STOPPED = Run(running=False, at=NOW - 20, reach=REACH)


def claim(nonces: Nonces, dated: float | None, key: bytes = b"key", now: float = NOW) -> Claim:
    until = Instant(now + 60 if dated is None else dated + 60)
    return nonces.claim(ClaimOnce("acme", key, None if dated is None else Instant(dated), until), Instant(now))


def start(last: Run | None, reach: Reach = REACH, now: Instant = NOW) -> tuple[Nonces, Restored, Run]:
    nonces = Nonces(1000)
    return nonces, *resume(nonces, last, reach, now)


def lost_up_to(last: Run, reach: Reach = REACH, now: Instant = NOW) -> float:
    """Give up to which date requests are refused after a crash."""
    nonces, restored, _ = start(last, reach, now)
    assert restored.start is Start.LOST
    assert restored.refused_until == nonces.lost
    return nonces.lost


def run_before(*dates: float) -> Run:
    """Give what a run leaves in order that claimed requests of these dates."""
    nonces = Nonces(1000)
    nonces.widen(REACH.max_age)
    for dated in dates:
        claim(nonces, dated, key=b"%f" % dated, now=dated)
    return replace(STOPPED, held=nonces.held)


# There is no file


def test_a_first_start_knows_everything() -> None:
    nonces, restored, _ = start(None)
    assert restored == Restored(Start.FIRST)
    assert claim(nonces, NOW - 60) is Claim.NEW
    assert claim(nonces, None, b"undated") is Claim.NEW


# The file says that a gate runs


def test_a_start_after_a_crash_does_not_know_what_was_dated_before_it() -> None:
    nonces, restored, _ = start(RUNNING)
    assert restored == Restored(Start.LOST, refused_until=Instant(NOW + 5))
    assert claim(nonces, NOW - 1) is Claim.UNKNOWABLE


def test_it_does_not_know_what_the_lost_run_may_have_taken_ahead_of_its_time() -> None:
    nonces, _, _ = start(RUNNING)
    assert claim(nonces, NOW + 5) is Claim.UNKNOWABLE
    assert claim(nonces, NOW + 5.001) is Claim.NEW


def test_a_lost_run_with_a_wider_window_took_what_was_dated_further_ahead() -> None:
    assert lost_up_to(replace(RUNNING, reach=Reach(60.0, 300.0))) == NOW + 300


def test_a_run_that_narrowed_its_window_may_have_taken_what_was_dated_further_ahead_before() -> None:
    assert lost_up_to(replace(RUNNING, latest=NOW + 100)) == NOW + 100


def test_a_wider_window_than_the_lost_runs_is_refused_whole() -> None:
    assert lost_up_to(RUNNING, Reach(60.0, 30.0)) == NOW + 30


def test_a_second_crash_does_not_make_knowable_what_the_first_one_lost() -> None:
    assert lost_up_to(replace(RUNNING, lost=NOW + 50)) == NOW + 50
    assert lost_up_to(replace(RUNNING, floor=NOW + 40)) == NOW + 40


def test_a_clock_behind_the_files_time_is_not_believed() -> None:
    assert lost_up_to(replace(RUNNING, at=NOW + 3600)) == NOW + 3600 + HEARTBEAT + 5


def test_undated_requests_are_refused_for_as_long_as_they_would_have_been_remembered() -> None:
    nonces, _, _ = start(RUNNING)
    assert claim(nonces, None, now=NOW + 5 + 60) is Claim.UNKNOWABLE
    assert claim(nonces, None, now=NOW + 5 + 61) is Claim.NEW


def test_a_damaged_file_is_a_crash_just_now() -> None:
    assert lost_up_to(unreadable(NOW)) == NOW + 5


# The file says that the gate stopped


def test_a_start_after_an_orderly_stop_takes_its_claims_over() -> None:
    nonces, restored, _ = start(run_before(NOW - 30, NOW - 25))
    assert restored == Restored(Start.CONTINUED, claims=2)
    assert claim(nonces, NOW - 30, b"%f" % (NOW - 30)) is Claim.SEEN
    assert claim(nonces, NOW - 30, b"new") is Claim.NEW


def test_what_an_orderly_stop_did_not_know_stays_unknown() -> None:
    nonces, _, run = start(replace(STOPPED, lost=NOW - 40, floor=NOW - 10))
    assert claim(nonces, NOW - 10) is Claim.UNKNOWABLE
    assert (run.lost, run.floor) == (NOW - 40, NOW - 10)


def test_a_clock_that_went_back_meanwhile_changes_nothing_of_what_is_held_or_forgotten() -> None:
    last = run_before(NOW - 100, NOW + 1000)
    nonces, restored, _ = start(last)
    assert restored == Restored(Start.CONTINUED, claims=1)
    assert claim(nonces, NOW - 100, b"%f" % (NOW - 100), now=NOW - 50) is Claim.UNKNOWABLE
    assert claim(nonces, NOW + 1000, b"%f" % (NOW + 1000), now=NOW + 1000) is Claim.SEEN
    assert claim(nonces, NOW, b"new") is Claim.NEW


def test_a_window_that_was_widened_meanwhile_does_not_take_what_the_narrower_one_forgot() -> None:
    last = run_before(NOW - 150, NOW - 30)
    nonces, _, _ = start(last, Reach(300.0, 5.0))
    assert claim(nonces, NOW - 150, b"%f" % (NOW - 150)) is Claim.UNKNOWABLE
    assert claim(nonces, NOW - 20, b"new") is Claim.NEW


# What is written


@pytest.mark.parametrize("last", [None, RUNNING, STOPPED, unreadable(NOW)])
def test_every_start_writes_that_it_runs_and_no_claims(last: Run | None) -> None:
    _, _, run = start(last, Reach(300.0, 30.0))
    assert (run.running, run.at, run.reach, run.held) == (True, NOW, Reach(300.0, 30.0), None)


@pytest.mark.parametrize(
    ("last", "latest"),
    [
        (None, NEVER),
        (STOPPED, NOW - 20 + 5),
        (replace(STOPPED, latest=NOW + 100), NOW + 100),
        (RUNNING, NOW + 5),
    ],
)
def test_a_start_remembers_how_far_ahead_the_last_run_may_have_taken_requests(last: Run | None, latest: float) -> None:
    _, _, run = start(last)
    assert run.latest == latest


def test_a_crash_after_a_restart_loses_what_the_run_before_took_ahead() -> None:
    """A request dated 300 s ahead, an orderly restart with a narrower window, a crash, another start."""
    _, _, run = start(replace(STOPPED, at=NOW - 1, reach=Reach(60.0, 300.0)))
    assert lost_up_to(run, now=Instant(NOW + 10)) == NOW + 299


# While it runs


def test_a_run_goes_on_at_another_time() -> None:
    assert RUNNING.lasting(NOW) == replace(RUNNING, at=NOW)


def test_a_narrower_reach_remembers_what_the_wider_one_took() -> None:
    run = replace(RUNNING, reach=Reach(60.0, 300.0)).lasting(NOW, REACH)
    assert (run.reach, run.latest) == (REACH, NOW + 300)


def test_a_wider_reach_has_nothing_to_remember() -> None:
    assert RUNNING.lasting(NOW, Reach(60.0, 300.0)).latest == NEVER


def test_a_clock_that_steps_back_leaves_what_was_taken_before() -> None:
    assert replace(RUNNING, at=NOW + 1000).lasting(NOW).latest == NOW + 1000 + HEARTBEAT + 5
