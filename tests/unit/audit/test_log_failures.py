"""The log while it cannot be written, and once it can again."""

import errno
import os
import resource
import shutil
import threading
from pathlib import Path

import pytest

from gateway.audit.files import log_files
from gateway.audit.log import LOOK_EVERY, MAX_OWED, AuditLog
from tests.unit.audit.examples import DAY, EVENTS, NOW, changed, decided, finished, refused
from tests.unit.audit.logs import denied_append, failing, is_log, kinds, later, names, records


def test_an_event_that_cannot_be_written_is_refused_and_leaves_nothing(
    log: AuditLog, directory: Path, full: threading.Event
) -> None:
    log.append(decided())
    full.set()
    assert denied_append(log, decided()) == "No space left on device"
    assert (kinds(directory), log.sequence, log.failing) == (["decision"], 1, True)


def test_the_failure_and_its_end_stand_before_the_first_event_after_it(
    log: AuditLog, directory: Path, full: threading.Event
) -> None:
    log.append(decided())
    full.set()
    for seconds in (1, 2, 3):
        denied_append(log, later(decided(), seconds))
    denied_append(log, later(refused(), 4))
    full.clear()
    log.append(later(decided(), 9))
    _, failed, recovered, _ = records(directory)
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    assert (failed.at, failed.text("status_detail")) == (NOW + 1, "No space left on device")
    assert recovered.get("unmapped") == {"control": "audit", "denied": 3}
    assert (recovered.at, recovered.get("duration")) == (NOW + 9, 8_000)
    detail = "written again; not recorded: 3 decisions, none of them forwarded; 1 refused connections"
    assert recovered.text("status_detail") == detail
    assert not log.failing


def test_outcomes_of_what_was_under_way_are_written_late(log: AuditLog, directory: Path, full: threading.Event) -> None:
    log.append(decided())
    full.set()
    denied_append(log, later(finished(), 1))
    full.clear()
    log.append(later(decided(), 2))
    assert kinds(directory) == ["decision", "control.failed", "outcome", "control.recovered", "decision"]
    assert [entry.at for entry in records(directory)] == [NOW, NOW + 1, NOW + 1, NOW + 2, NOW + 2]
    assert records(directory)[3].text("status_detail") == "written again; not recorded: nothing"


def test_what_is_kept_meanwhile_is_bounded(log: AuditLog, directory: Path, full: threading.Event) -> None:
    full.set()
    for _ in range(MAX_OWED + 2):
        denied_append(log, finished())
    full.clear()
    log.append(decided())
    recovered = next(entry for entry in records(directory) if entry.kind == "control.recovered")
    assert recovered.text("status_detail") == "written again; not recorded: 2 other records"


def test_the_log_stays_failed_where_the_recovery_cannot_be_written_whole(
    log: AuditLog, directory: Path, full: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(decided())
    full.set()
    denied_append(log, decided())
    full.clear()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:1500]))  # the two records of the recovery
    assert "only 1500 of" in denied_append(log, decided())
    monkeypatch.setattr(os, "write", real)
    assert kinds(directory) == ["decision"]
    log.append(decided())
    assert records(directory)[2].get("unmapped", "denied") == 2


def test_a_disk_that_is_really_full(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, limits[1]))
    try:
        details = [denied_append(log, decided()), denied_append(log, decided())]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all("bytes could be written" in detail for detail in details)
    log.append(decided())
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_new_file_that_cannot_be_made_is_a_failure(
    log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    log.append(decided())
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *args: failing(error)() if is_log(path) else real(path, *args))
    denied_append(log, later(decided(), DAY))
    monkeypatch.undo()
    log.append(later(decided(), DAY))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    assert names(directory)[1] == "audit-2026-11-23_000000000002.jsonl"


def test_a_removed_file_is_a_failure_and_the_log_goes_on_in_another(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    log_files(directory)[0].path.unlink()
    assert "was removed" in denied_append(log, later(decided(), LOOK_EVERY))
    log.append(decided())
    assert names(directory) == ["audit-2026-11-22_000000000002.jsonl"]
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


@pytest.mark.parametrize("seconds", [-1.0, LOOK_EVERY, 3600.0, float("nan")])
def test_a_removed_file_is_found_by_the_time_of_events(log: AuditLog, directory: Path, seconds: float) -> None:
    log.append(decided())
    log_files(directory)[0].path.unlink()
    log.append(later(decided(), LOOK_EVERY / 2))
    assert "was removed" in denied_append(log, later(decided(), seconds))


def test_a_removed_file_is_found_by_sync(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    log_files(directory)[0].path.unlink()
    log.sync()
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


def test_a_file_is_looked_at_by_time_and_not_by_record(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    looks: list[int] = []
    real = os.fstat
    log.append(decided())
    monkeypatch.setattr(os, "fstat", lambda fd: (looks.append(fd), real(fd))[1])
    for number in range(1000):
        log.append(later(decided(), number / 1000))
    assert len(looks) == pytest.approx(1 / LOOK_EVERY, abs=3)
    assert len(records(directory)) == 1001


def test_a_changed_file_is_a_failure_and_the_log_goes_on_in_another(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b"forged\n")
    assert "was changed by somebody else" in denied_append(log, decided())
    log.append(decided())
    assert names(directory)[1] == "audit-2026-11-22_000000000002.jsonl"


def test_nothing_is_written_while_the_directory_is_gone(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    shutil.rmtree(directory)
    assert "was removed" in denied_append(log, later(decided(), 1))
    assert "No such file or directory" in denied_append(log, decided())
    directory.mkdir()
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


def test_a_directory_that_was_moved_is_found_by_sync(log: AuditLog, directory: Path, tmp_path: Path) -> None:
    log.append(decided())
    directory.rename(tmp_path / "moved")
    log.sync()
    assert "No such file or directory" in denied_append(log, decided())


def test_a_directory_that_another_gate_took_meanwhile_is_not_written(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    shutil.rmtree(directory)
    with AuditLog(directory):
        denied_append(log, later(decided(), 1))
        assert "is written by another gate" in denied_append(log, decided())
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


def test_after_a_failed_sync_the_log_goes_on_in_a_new_file(
    log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(decided())
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    log.sync()
    monkeypatch.undo()
    assert log.failing
    log.append(later(decided(), 1))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    assert records(directory)[1].text("status_detail").endswith("could not be synced: Input/output error")
    assert names(directory)[1] == "audit-2026-11-22_000000000002.jsonl"


def test_a_failed_sync_at_the_change_of_files_is_a_failure(
    log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(decided())
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    denied_append(log, later(decided(), DAY))
    monkeypatch.undo()
    log.append(later(decided(), DAY))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]


def test_an_event_of_which_no_record_can_be_made_is_refused_and_told(log: AuditLog, directory: Path) -> None:
    event = changed(EVENTS["stop"], unfinished=2**70)
    assert "TypeError at " in denied_append(log, event)
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]
    assert records(directory)[1].text("status_detail") == "written again; not recorded: 1 other records"


def test_a_broken_event_is_refused(log: AuditLog) -> None:
    assert "AttributeError" in denied_append(log, decided()._replace(decision=None))
