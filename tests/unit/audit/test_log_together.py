"""Several events at once: written together, or each by itself as `append` does."""

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.events import Event
from gateway.audit.log import LOOK_EVERY, AuditLog
from gateway.core.reasons import Reason, Unavailable
from tests.unit.audit.examples import DAY, EVENTS, NOW, changed, decided, finished, refused
from tests.unit.audit.logs import failing, kinds, later, names, records

MIDNIGHT = 39_599.875
"""Seconds from NOW to the end of its day."""
BROKEN = changed(EVENTS["stop"], unfinished=2**70)
"""An event of which no record can be made."""


def appended(log: AuditLog, *events: Event) -> list[str | None]:
    """Append events at once; gives for each what is told of its failure."""
    errors = log.append_all(events)
    assert all(error is None or error.reason is Reason.AUDIT_UNAVAILABLE for error in errors)
    return [None if error is None else error.detail for error in errors]


class Writes:
    """Counts what is written with one system call; `limit` bytes fit into one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.limit: int | None = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.sizes.append(len(data))
        if self.limit is not None and len(data) > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


# Together


def test_several_are_written_with_one_system_call(log: AuditLog, directory: Path, writes: Writes) -> None:
    events = [*EVENTS.values()]
    assert appended(log, *events) == [None] * len(events)
    assert (len(writes.sizes), len(records(directory)), log.sequence) == (1, len(events), len(events))


def test_what_is_written_together_is_what_is_written_one_by_one(tmp_path: Path) -> None:
    lines: list[list[bytes]] = []
    for number in range(2):
        with AuditLog(tmp_path / str(number)) as log:
            log._origin = "o"
            if number:
                log.append_all([*EVENTS.values()])
            else:
                for event in EVENTS.values():
                    log.append(event)
        lines.append([entry.raw for entry in records(tmp_path / str(number))])
    assert lines[0] == lines[1]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_no_special_case(log: AuditLog, directory: Path, count: int) -> None:
    assert appended(log, *[decided()] * count) == [None] * count
    assert (len(names(directory)), log.sequence) == (count, count)


def test_the_sequence_goes_on_without_a_gap(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    log.append_all([decided(), finished()])
    log.append(refused())
    log.append_all([decided()] * 3)
    assert [entry.sequence for entry in records(directory)] == list(range(1, 8))
    uids = [entry.text("metadata", "uid").rpartition(":")[2] for entry in records(directory)]
    assert uids == [str(number) for number in range(1, 8)]


def test_together_they_go_into_a_new_file_beyond_the_size(directory: Path) -> None:
    with AuditLog(directory, max_bytes=7_000) as log:
        for _ in range(3):
            log.append_all([decided()] * 2)
    assert [int(name[-18:-6]) for name in names(directory)] == [1, 3, 5]


# Midnight


def test_the_days_of_events_are_kept_apart(log: AuditLog, directory: Path) -> None:
    assert (NOW + MIDNIGHT) % DAY == 0
    before, after = later(decided(), MIDNIGHT - 0.001), later(decided(), MIDNIGHT)
    assert appended(log, before, before, after, after) == [None] * 4
    assert names(directory) == ["audit-2026-11-22_000000000001.jsonl", "audit-2026-11-23_000000000003.jsonl"]
    assert [entry.sequence for entry in records(directory)] == [1, 2, 3, 4]


def test_the_next_day_together(log: AuditLog, directory: Path, writes: Writes) -> None:
    log.append_all([decided()] * 2)
    log.append_all([later(decided(), MIDNIGHT)] * 2)
    assert names(directory) == ["audit-2026-11-22_000000000001.jsonl", "audit-2026-11-23_000000000003.jsonl"]
    assert len(writes.sizes) == 2


# Failures


def test_a_full_disk_refuses_each_and_leaves_nothing(log: AuditLog, directory: Path, full: threading.Event) -> None:
    log.append(decided())
    full.set()
    assert appended(log, decided(), finished(), refused()) == ["No space left on device"] * 3
    assert (kinds(directory), log.sequence, log.failing) == (["decision"], 1, True)
    full.clear()
    assert appended(log, later(decided(), 1), later(decided(), 2)) == [None, None]
    assert kinds(directory) == ["decision", "control.failed", "outcome", "control.recovered", "decision", "decision"]
    assert [entry.sequence for entry in records(directory)] == list(range(1, 7))
    recovered = records(directory)[3]
    assert recovered.get("unmapped") == {"control": "audit", "denied": 1}
    detail = "written again; not recorded: 1 decisions, none of them forwarded; 1 refused connections"
    assert recovered.text("status_detail") == detail
    assert not log.failing


def test_where_all_do_not_fit_those_that_do_are_written(log: AuditLog, directory: Path, writes: Writes) -> None:
    writes.limit = 4_000
    assert appended(log, decided(), decided(), decided()) == [None] * 3
    assert (kinds(directory), len(writes.sizes)) == (["decision"] * 3, 4)
    assert not log.failing


def test_what_was_half_written_is_taken_back(log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:2_000]))
    details = appended(log, decided(), decided())
    assert all("bytes could be written" in (detail or "") for detail in details)
    assert (kinds(directory), log.sequence) == ([], 0)


def test_one_of_which_no_record_can_be_made_keeps_none_of_the_others_back(log: AuditLog, directory: Path) -> None:
    first, broken, last = appended(log, decided(), BROKEN, decided())
    assert (first, last) == (None, None)
    assert "TypeError at " in (broken or "")
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    assert records(directory)[2].text("status_detail") == "written again; not recorded: 1 other records"


@pytest.mark.parametrize("place", [0, 1])
def test_an_event_without_a_time_is_refused_and_nothing_is_raised(log: AuditLog, place: int) -> None:
    events: Sequence[Event] = [decided(), decided()]
    events = [changed(event, at=None) if index == place else event for index, event in enumerate(events)]
    details = appended(log, *events)
    assert [detail is None for detail in details] == [index != place for index in range(2)]


def test_the_log_goes_on_in_another_file_after_the_one_it_lost(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    (directory / names(directory)[0]).unlink()
    events = [later(decided(), LOOK_EVERY + number) for number in range(2)]
    first, second = appended(log, *events)
    assert "was removed" in (first or "")
    assert second is None
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


def test_a_failed_sync_is_told_before_events_that_come_together(
    log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(decided())
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    log.sync()
    monkeypatch.undo()
    assert appended(log, decided(), decided()) == [None, None]
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision", "decision"]


def test_a_closed_log_gives_errors_and_raises_none(directory: Path) -> None:
    log = AuditLog(directory)
    log.close()
    details = appended(log, decided(), decided())
    assert all((detail or "").startswith("RuntimeError at ") for detail in details)
    assert names(directory) == []


def test_an_error_of_our_own_is_told_without_its_message(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(log, "append", broken)
    (error,) = log.append_all([decided()])
    assert isinstance(error, Unavailable)
    assert error.detail.startswith("ValueError at ")
    assert "secret" not in str(error)
