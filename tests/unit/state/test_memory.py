import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core.chain import Claim, ClaimOnce, RateLimit, RateTaken, Take, TakeRate
from gateway.core.holds import Charge
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.signing.window import Window
from gateway.state import run_file
from gateway.state.memory import MemoryState
from gateway.state.restart import HEARTBEAT, Restored, Start

NOW = Instant(1_795_352_400.0)
WINDOW = Window(60.0, 5.0)


class Gates:
    """One gate after another, in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.restored: Restored | None = None
        self.states: list[MemoryState] = []

    def start(self, now: float = NOW, widest: Window | None = WINDOW) -> MemoryState:
        state = MemoryState(StateSettings(replay_entries=1000))
        self.states.append(state)
        self.restored = state.restore(self.directory, Instant(now), widest)
        return state


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Gates]:
    gates = Gates(tmp_path)
    yield gates
    for state in gates.states:
        state.close()


def claim(state: MemoryState, dated: float = NOW, *, key: bytes = b"key", now: float | None = None) -> Claim:
    at = Instant(dated if now is None else now)
    return state.claim(ClaimOnce("acme", key, Instant(dated), Instant(dated + 60)), at)


def unavailable(state: MemoryState) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        claim(state)
    return caught.value


def stop(state: MemoryState, now: float = NOW) -> None:
    state.save(Instant(now))
    state.close()


def crash(state: MemoryState) -> None:
    """Leave the directory as the end of a process does."""
    state.close()


# Quotas


async def test_a_charge_of_a_quota_is_on_disk_once_it_is_settled(gates: Gates) -> None:
    quota = RateLimit("quota", 1_000, 86_400, sliding=False, calendar="day")
    take = Take(quota, ("psp", "deposit", "quota", "acme"))
    state = gates.start()
    taken = state.take(TakeRate((take,)), NOW)
    assert not isinstance(taken, RateTaken)
    assert (await taken).allowed
    within = state.settle(Charge((take._replace(cost=5),)), NOW)
    assert within is None  # of what is on disk already
    beyond = state.settle(Charge((take._replace(cost=50),)), NOW)
    assert beyond is not None
    await beyond
    crash(state)
    again = gates.start()
    (left,) = (await again.take(TakeRate((take,)), NOW)).states  # type: ignore[misc]
    assert left.remaining <= 1_000 - 57


# Restarts


def test_a_first_start_takes_requests_at_once(gates: Gates) -> None:
    assert claim(gates.start(), NOW - 60, now=NOW) is Claim.NEW


def test_an_orderly_restart_forgets_nothing_and_refuses_nothing(gates: Gates) -> None:
    before = gates.start()
    claim(before)
    stop(before)
    after = gates.start(NOW + 1)
    assert claim(after, now=NOW + 1) is Claim.SEEN
    assert claim(after, NOW - 1, key=b"new", now=NOW + 1) is Claim.NEW


def test_after_a_crash_what_was_dated_before_the_start_is_refused(gates: Gates) -> None:
    before = gates.start()
    claim(before)
    crash(before)
    after = gates.start(NOW + 1)
    assert claim(after, now=NOW + 1) is Claim.UNKNOWABLE
    assert claim(after, NOW + 6, now=NOW + 2) is Claim.UNKNOWABLE
    assert claim(after, NOW + 7) is Claim.NEW


def test_a_crash_after_an_orderly_restart_does_not_bring_old_claims_back(gates: Gates) -> None:
    first = gates.start()
    stop(first)
    second = gates.start(NOW + 1)
    claim(second, NOW + 1)
    crash(second)
    third = gates.start(NOW + 2)
    assert gates.restored == Restored(Start.LOST, refused_until=Instant(NOW + 7))
    assert claim(third, NOW + 1, now=NOW + 2) is Claim.UNKNOWABLE


def test_a_stop_that_could_not_be_saved_is_a_crash(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gates.start()
    claim(before)
    with monkeypatch.context() as patch:
        patch.setattr(run_file, "write", _raise_full)
        with pytest.raises(OSError, match="No space left"):
            before.save(NOW)
    before.close()
    assert claim(gates.start(NOW + 1), now=NOW + 1) is Claim.UNKNOWABLE


def test_a_damaged_file_is_a_crash(gates: Gates, tmp_path: Path) -> None:
    stop(gates.start())
    path = tmp_path / run_file.NAME
    path.write_bytes(path.read_bytes()[:-1])
    gates.start(NOW + 1)
    assert gates.restored == Restored(Start.LOST, refused_until=Instant(NOW + 6))


def test_a_crash_between_two_starts_of_unchanged_files_keeps_what_was_lost(gates: Gates) -> None:
    crash(gates.start(widest=Window(60.0, 300.0)))
    stop(gates.start(NOW + 1), NOW + 2)
    assert claim(gates.start(NOW + 3), NOW + 300) is Claim.UNKNOWABLE


def test_a_beat_dates_a_crash_where_the_clock_is_wrong_after_it(gates: Gates) -> None:
    before = gates.start()
    before.beat(Instant(NOW + 3600))
    claim(before, NOW + 3610)
    crash(before)
    after = gates.start(0.0)
    assert claim(after, NOW + 3610, now=NOW + 3612) is Claim.UNKNOWABLE
    assert claim(after, NOW + 3600 + HEARTBEAT + 6) is Claim.NEW


def test_a_start_that_cannot_write_takes_no_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_file, "write", _raise_full)
    state = MemoryState(StateSettings())
    with pytest.raises(OSError, match="No space left"):
        state.restore(tmp_path, NOW, WINDOW)
    assert unavailable(state).reason is Reason.STATE_UNAVAILABLE
    state.close()


def test_two_gates_cannot_share_a_directory(gates: Gates) -> None:
    gates.start()
    with pytest.raises(OSError, match="another gate"):
        gates.start()


# New policies


def test_a_wider_window_refuses_what_the_narrower_one_forgot(gates: Gates) -> None:
    state = gates.start()
    claim(state)
    claim(state, NOW + 100, key=b"later")
    state.adopt(StateSettings(), Window(300.0, 5.0), Instant(NOW + 100))
    dated = ClaimOnce("acme", b"key", NOW, Instant(NOW + 300))
    assert state.claim(dated, Instant(NOW + 100)) is Claim.UNKNOWABLE
    assert claim(state, NOW + 100, key=b"new") is Claim.NEW


def test_a_wider_window_into_the_future_counts_for_a_crash(gates: Gates) -> None:
    before = gates.start()
    before.adopt(StateSettings(), Window(60.0, 300.0), Instant(NOW + 1))
    crash(before)
    assert claim(gates.start(NOW + 2), NOW + 302) is Claim.UNKNOWABLE


def test_a_narrower_window_into_the_future_does_not_undo_what_was_taken(gates: Gates) -> None:
    before = gates.start(widest=Window(60.0, 300.0))
    before.adopt(StateSettings(), WINDOW, Instant(NOW + 1))
    crash(before)
    assert claim(gates.start(NOW + 2), NOW + 301) is Claim.UNKNOWABLE


def test_a_policy_without_signatures_has_no_window(gates: Gates) -> None:
    before = gates.start()
    before.adopt(StateSettings(), None, NOW)
    crash(before)
    gates.start(NOW + 10, widest=None)
    assert gates.restored == Restored(Start.LOST, refused_until=Instant(NOW + 10))


def test_a_new_policy_sets_how_many_are_remembered(gates: Gates) -> None:
    state = gates.start()
    state.adopt(StateSettings(replay_entries=1), WINDOW, NOW)
    claim(state)
    with pytest.raises(Unavailable) as caught:
        claim(state, key=b"second")
    assert caught.value.reason is Reason.REPLAY_MEMORY_FULL


def test_a_policy_that_cannot_be_written_down_is_not_adopted(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    state = gates.start()
    monkeypatch.setattr(run_file, "write", _raise_full)
    with pytest.raises(OSError, match="No space left"):
        state.adopt(StateSettings(replay_entries=0), WINDOW, NOW)
    assert claim(state) is Claim.NEW


# Out of order


def test_claims_before_the_last_run_is_known_are_unavailable() -> None:
    state = MemoryState(StateSettings())
    assert unavailable(state).reason is Reason.STATE_UNAVAILABLE


@pytest.mark.parametrize("end", [lambda state: state.save(NOW), lambda state: state.close()])
def test_claims_after_the_end_are_unavailable(gates: Gates, end: Callable[[MemoryState], None]) -> None:
    state = gates.start()
    end(state)
    assert unavailable(state).reason is Reason.STATE_UNAVAILABLE


@pytest.mark.parametrize(
    "call",
    [
        lambda state: state.save(NOW),
        lambda state: state.beat(NOW),
        lambda state: state.adopt(StateSettings(), WINDOW, NOW),
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_what_is_called_out_of_order_is_an_error(
    gates: Gates, call: Callable[[MemoryState], None], saved: bool
) -> None:
    state = gates.start() if saved else MemoryState(StateSettings())
    if saved:
        state.save(NOW)
    with pytest.raises(RuntimeError, match="not restored, or saved already"):
        call(state)


def test_a_second_restore_is_an_error(gates: Gates, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="restored already"):
        gates.start().restore(tmp_path, NOW, WINDOW)


def test_closing_twice_is_none(gates: Gates) -> None:
    state = gates.start()
    state.close()
    state.close()
    gates.start()
    assert gates.restored == Restored(Start.LOST, refused_until=Instant(NOW + 5))


# Rates


def test_rates_are_taken_whether_or_not_claims_are() -> None:
    before = threading.active_count()
    state = MemoryState(StateSettings())
    ask = TakeRate((Take(RateLimit("limit", 2, 60, sliding=False), ("acme",)),))
    assert [state.take(ask, NOW).allowed for _ in range(3)] == [True, True, False]
    state.close()
    assert threading.active_count() == before


def _raise_full(*_: object) -> None:
    raise OSError(28, "No space left on device")
