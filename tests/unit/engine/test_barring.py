from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.events import BarChanged, ControlFailed, ControlRecovered
from gateway.core.barred import Bar, Barred, Caller, Thing, Unreadable
from gateway.core.message import Instant
from gateway.engine import barring as module
from gateway.engine.barring import RECORDED, Barring, described
from gateway.state.revocations import NAME, Entry, JournalError, add, barred
from tests.unit.engine.gates import Made
from tests.world import NOW

ONE = Entry(0, "revoke", Thing.PARTNER, "acme-casino", NOW, None, "maria", "INC-1")
LIFT = Entry(0, "lift", Thing.PARTNER, "acme-casino", NOW, None, "maria", "found", of=1)

NOW_AND = Instant(NOW + 60)


class Followed:
    """A gate that follows a journal; its looks are the test's."""

    def __init__(self, folder: Path, *, records: bool = True) -> None:
        self.made = Made()
        self.gate = self.made.gate
        self.noticed: list[tuple[int, bool]] = []
        self.barring = Barring(self.gate, folder, folder, self._notice, records=records)
        self.barring.load()
        self.barring._record(self.barring._loaded[1], fresh=self.barring._loaded[0])

    def _notice(self, entries: list[Entry], *, fresh: bool) -> None:
        self.noticed += [(entry.number, fresh) for entry in entries]

    @property
    def recorded(self) -> list[tuple[str, int]]:
        return [(event.action, event.number) for event in self.made.log.of(BarChanged)]


async def test_what_is_added_counts_with_the_next_look_and_is_recorded(tmp_path: Path) -> None:
    up = Followed(tmp_path)
    assert up.gate.barred is None
    add(tmp_path, [ONE])
    await up.barring.look()
    assert up.gate.barred is not None
    assert (Thing.PARTNER, "acme-casino") in up.gate.barred.bars
    add(tmp_path, [LIFT])
    await up.barring.look()
    assert up.gate.barred is None
    assert up.recorded == [("revoke", 1), ("lift", 2)]
    (event, _) = up.made.log.of(BarChanged)
    assert (event.by, event.because, event.requested_at) == ("maria", "INC-1", NOW)


async def test_a_look_at_what_did_not_change_reads_nothing(tmp_path: Path) -> None:
    add(tmp_path, [ONE])
    up = Followed(tmp_path)
    before = up.gate.barred
    await up.barring.look()
    assert up.gate.barred is before


async def test_what_was_added_while_the_gate_was_stopped_is_recorded_once(tmp_path: Path) -> None:
    add(tmp_path, [ONE])
    assert Followed(tmp_path).recorded == [("revoke", 1)]
    add(tmp_path, [LIFT])
    assert Followed(tmp_path).recorded == [("lift", 2)]
    assert Followed(tmp_path).recorded == []
    assert (tmp_path / RECORDED).read_text() == "2\n"


async def test_of_very_many_the_first_are_recorded_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 2)
    add(tmp_path, [ONE] * 5)
    assert Followed(tmp_path).recorded == [("revoke", 1), ("revoke", 2)]
    assert Followed(tmp_path).recorded == []


@pytest.mark.parametrize("damage", ["a line", "no file"])
async def test_while_the_journal_cannot_be_read_everything_is_barred(tmp_path: Path, damage: str) -> None:
    add(tmp_path, [ONE])
    up = Followed(tmp_path)
    good = (tmp_path / NAME).read_bytes()
    if damage == "a line":
        (tmp_path / NAME).write_bytes(good + b"nonsense\n")
    else:
        (tmp_path / NAME).unlink()
    for _ in range(3):
        await up.barring.look()
        assert isinstance(up.gate.barred, Unreadable)
    assert [event.control for event in up.made.log.of(ControlFailed)] == ["revocations"]

    (tmp_path / NAME).write_bytes(good)
    await up.barring.look()
    assert up.gate.barred is not None
    assert (Thing.PARTNER, "acme-casino") in up.gate.barred.bars
    assert [event.control for event in up.made.log.of(ControlRecovered)] == ["revocations"]


async def test_an_error_of_our_own_bars_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up = Followed(tmp_path)
    add(tmp_path, [ONE])
    monkeypatch.setattr(module, "barred", lambda *_: 1 // 0)
    await up.barring.look()
    assert isinstance(up.gate.barred, Unreadable)
    assert up.gate.barred.detail == "ZeroDivisionError"


async def test_a_gate_does_not_start_without_the_journal_it_knew(tmp_path: Path) -> None:
    add(tmp_path, [ONE])
    Followed(tmp_path)
    (tmp_path / NAME).unlink()
    with pytest.raises(JournalError, match="it is gone"):
        Followed(tmp_path)


async def test_another_journal_is_recorded_from_its_beginning(tmp_path: Path) -> None:
    add(tmp_path, [ONE, LIFT])
    Followed(tmp_path)
    (tmp_path / NAME).unlink()
    add(tmp_path, [ONE])
    assert Followed(tmp_path).recorded == [("revoke", 1)]


async def test_following_can_be_ended(tmp_path: Path) -> None:
    up = Followed(tmp_path)
    up.barring.start()
    await up.barring.close()


def test_a_line_for_the_services_log() -> None:
    assert described(ONE) == "revoked by maria: partner acme-casino (number 0)"
    assert described(LIFT) == "lifted by maria: partner acme-casino (number 0)"


async def test_what_is_revoked_ends_connections_and_what_is_lifted_or_locked_out_does_not(tmp_path: Path) -> None:
    up, cut = Followed(tmp_path), []
    up.barring.cut = lambda: cut.append(up.gate.barred)
    locked = replace(ONE, thing=Thing.LOCKED_PARTNER, by="gate")
    for entry, count in ((ONE, 1), (LIFT, 1), (locked, 1), (replace(ONE, thing=Thing.CERTIFICATE, value="0c" * 32), 2)):
        add(tmp_path, [entry])
        await up.barring.look()
        assert len(cut) == count
    assert cut[0] is not None, "called once requests are refused"


async def test_a_failure_over_connections_does_not_end_the_following(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("cut")

    up = Followed(tmp_path)
    up.barring.cut = fail
    for entry in (ONE, LIFT):
        add(tmp_path, [entry])
        await up.barring.look()
    assert up.gate.barred is None
    assert "cutting connections" in caplog.text


async def test_one_worker_records_what_all_follow(tmp_path: Path) -> None:
    up = Followed(tmp_path, records=False)
    add(tmp_path, [ONE])
    await up.barring.look()
    assert up.gate.barred is not None
    assert up.recorded == []
    assert (tmp_path / RECORDED).read_text() == "1\n"  # it knows that there was a journal


async def test_what_another_gate_of_the_store_recorded_is_not_recorded_here(tmp_path: Path) -> None:
    up = Followed(tmp_path)
    locked = Entry(0, "revoke", Thing.LOCKED_PARTNER, "acme-casino", NOW, NOW_AND, "gate", "x", lock="e-1")
    add(tmp_path, [replace(locked, elsewhere=True), ONE])
    await up.barring.look()
    assert up.recorded == [("revoke", 2)]
    assert up.noticed == [(1, True), (2, True)]


async def test_a_lock_out_that_comes_while_the_journal_is_read_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = Followed(tmp_path)
    caller, rounds = Caller(Thing.LOCKED_ADDRESS, "203.0.113.9"), []

    def reads(entries: list[Entry], before: Barred | None) -> Barred | None:
        rounds.append(before)
        if len(rounds) <= module.MOST_ROUNDS:  # somebody fails meanwhile, each time
            locked = up.gate.barred or Barred({})
            up.gate.barred = locked.locking(caller, Bar(0, NOW_AND)).counting("the store is away")
        return barred(entries, before)

    monkeypatch.setattr(module, "barred", reads)
    add(tmp_path, [ONE])
    await up.barring.look()
    assert len(rounds) == module.MOST_ROUNDS + 1
    assert up.gate.barred is not None
    assert up.gate.barred.locked == {caller: Bar(0, NOW_AND)}
    assert set(up.gate.barred.bars) == {(Thing.PARTNER, "acme-casino")}
    assert up.gate.barred.uncounted == "the store is away"
