import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.audit.events import Event
from gateway.audit.files import log_files
from gateway.audit.lock import LogInUseError
from gateway.audit.log import MAX_OWED, AuditLog
from gateway.audit.reader import Entry, read
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from tests.unit.audit.examples import DAY, EVENTS, NOW, changed, decided, finished, refused


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(directory: Path) -> Iterator[AuditLog]:
    opened = AuditLog(directory)
    yield opened
    opened.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that is full while this is set."""
    state = threading.Event()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if state.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    return state


def records(directory: Path) -> list[Entry]:
    """Give the records; fails where one is damaged or missing."""
    entries = list(read(directory))
    whole = [entry for entry in entries if isinstance(entry, Entry)]
    assert whole == entries
    return whole


def kinds(directory: Path) -> list[str]:
    return [entry.kind for entry in records(directory)]


def names(directory: Path) -> list[str]:
    return [file.path.name for file in log_files(directory)]


def denied_append(log: AuditLog, event: Event) -> str:
    with pytest.raises(Unavailable) as raised:
        log.append(event)
    assert raised.value.reason is Reason.AUDIT_UNAVAILABLE
    return raised.value.detail


def synced_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give the files that are synced from now on."""
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    return synced


def later(event: Any, seconds: float) -> Any:
    return changed(event, at=Instant(NOW + seconds))


# Writing


def test_each_event_is_one_line(log: AuditLog, directory: Path) -> None:
    for event in EVENTS.values():
        log.append(event)
    assert len(records(directory)) == len(EVENTS) == log.sequence


def test_a_record_stands_when_append_returns(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    assert log_files(directory)[0].path.read_bytes().endswith(b"}\n")


def test_the_sequence_has_no_gap_across_restarts_and_files(directory: Path) -> None:
    for run in range(3):
        with AuditLog(directory, max_bytes=8_000) as log:
            for number in range(10):
                log.append(later(decided(), DAY * run + number))
    assert [entry.sequence for entry in records(directory)] == list(range(1, 31))
    assert len(names(directory)) > 3


def test_records_of_two_runs_have_ids_of_their_own(directory: Path) -> None:
    for _ in range(2):
        with AuditLog(directory) as log:
            log.append(decided())
    ids = [entry.text("metadata", "uid").partition(":") for entry in records(directory)]
    assert [sequence for _, _, sequence in ids] == ["1", "2"]
    assert ids[0][0] != ids[1][0]


def test_directory_and_files_are_their_owners_alone(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())]
    assert modes == [0o700, 0o600, 0o600]


def test_a_day_has_its_file(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    log.append(later(decided(), DAY))
    assert names(directory) == ["audit-2026-11-22_000000000001.jsonl", "audit-2026-11-23_000000000002.jsonl"]


def test_a_clock_that_was_set_back_opens_no_older_file(log: AuditLog, directory: Path) -> None:
    log.append(later(decided(), DAY))
    log.append(decided())
    assert names(directory) == ["audit-2026-11-23_000000000001.jsonl"]


def test_the_log_goes_on_in_a_new_file_beyond_its_size(directory: Path) -> None:
    with AuditLog(directory, max_bytes=5_000) as log:
        for _ in range(5):
            log.append(decided())
    assert [file.first for file in log_files(directory)] == [1, 3, 5]
    assert max(file.path.stat().st_size for file in log_files(directory)) <= 5_000


def test_a_record_beyond_the_size_has_a_file_of_its_own(directory: Path) -> None:
    with AuditLog(directory, max_bytes=10) as log:
        log.append(decided())
        log.append(decided())
    assert [file.first for file in log_files(directory)] == [1, 2]


def test_a_file_is_synced_before_the_next_one_begins(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    log.append(decided())
    synced = synced_paths(monkeypatch)
    log.append(later(decided(), DAY))
    assert synced == [directory / names(directory)[0], directory]


def test_sync_brings_the_records_to_the_disk(log: AuditLog, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    log.append(decided())
    synced = synced_paths(monkeypatch)
    log.sync()
    assert synced == [directory / names(directory)[0]]


def test_sync_before_the_first_record_does_nothing(log: AuditLog, directory: Path) -> None:
    log.sync()
    assert names(directory) == []


def test_close_syncs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(directory)
    log.append(decided())
    synced = synced_paths(monkeypatch)
    log.close()
    log.close()
    assert synced == [directory / names(directory)[0]]


def test_a_failed_sync_at_the_end_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(directory)
    log.append(decided())
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    with pytest.raises(Unavailable, match="could not be synced"):
        log.close()
    monkeypatch.undo()
    AuditLog(directory).close()


def test_a_failed_sync_that_no_event_followed_is_told_at_the_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(directory)
    log.append(decided())
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    log.sync()
    monkeypatch.undo()  # the kernel reports the loss once
    with pytest.raises(Unavailable, match="could not be synced"):
        log.close()


def test_a_closed_log_takes_nothing(directory: Path) -> None:
    log = AuditLog(directory)
    log.close()
    with pytest.raises(RuntimeError, match="closed"):
        log.append(decided())


def test_records_survive_the_death_of_the_process(directory: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path\n"
        "from gateway.audit.log import AuditLog; from tests.unit.audit.examples import decided\n"
        f"log = AuditLog(Path({str(directory)!r}))\n"
        "for _ in range(3): log.append(decided())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[3])
    assert died.returncode == -signal.SIGKILL
    with AuditLog(directory) as log:
        log.append(decided())
    assert kinds(directory) == ["decision"] * 4


# One writer


@pytest.mark.usefixtures("log")
def test_a_second_writer_is_refused(directory: Path) -> None:
    with pytest.raises(LogInUseError, match="give each gate a directory of its own"):
        AuditLog(directory)


def test_a_log_that_cannot_be_opened_leaves_no_lock(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditLog(directory) as log:
        log.append(decided())
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *args: _failing(errno.EROFS)() if _is_log(path) else real(path, *args))
    with pytest.raises(OSError, match="Read-only"):
        AuditLog(directory)
    monkeypatch.undo()
    AuditLog(directory).close()


def test_a_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    with pytest.raises(FileExistsError):
        AuditLog(tmp_path / "audit")


# Failing and recovering


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
    monkeypatch.setattr(os, "open", lambda path, *args: _failing(error)() if _is_log(path) else real(path, *args))
    denied_append(log, later(decided(), DAY))
    monkeypatch.undo()
    log.append(later(decided(), DAY))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    assert names(directory)[1] == "audit-2026-11-23_000000000002.jsonl"


def test_a_removed_file_is_a_failure_and_the_log_goes_on_in_another(log: AuditLog, directory: Path) -> None:
    log.append(decided())
    log_files(directory)[0].path.unlink()
    assert "was removed" in denied_append(log, decided())
    log.append(decided())
    assert names(directory) == ["audit-2026-11-22_000000000002.jsonl"]
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


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
    assert "was removed" in denied_append(log, decided())
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
        denied_append(log, decided())
        assert "is written by another gate" in denied_append(log, decided())
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]


def test_after_a_failed_sync_the_log_goes_on_in_a_new_file(
    log: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(decided())
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
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
    monkeypatch.setattr(os, "fsync", _failing(errno.EIO))
    denied_append(log, later(decided(), DAY))
    monkeypatch.undo()
    log.append(later(decided(), DAY))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]


def test_an_event_of_which_no_record_can_be_made_is_refused_and_told(log: AuditLog, directory: Path) -> None:
    event = finished(response_bytes=2**70)
    assert "TypeError at members" in denied_append(log, event)
    log.append(decided())
    assert kinds(directory) == ["control.failed", "control.recovered", "decision"]
    assert records(directory)[1].text("status_detail") == "written again; not recorded: 1 other records"


def test_a_broken_event_is_refused(log: AuditLog) -> None:
    assert "AttributeError" in denied_append(log, changed(decided(), decision=None))


# After a crash


def test_a_torn_line_is_cut_off_and_told(directory: Path) -> None:
    with AuditLog(directory) as log:
        log.append(decided())
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b'{"time":17953')
    with AuditLog(directory) as log:
        log.append(later(decided(), 60))
    assert kinds(directory) == ["decision", "control.failed", "control.recovered", "decision"]
    failed = records(directory)[1]
    assert (failed.sequence, failed.at) == (2, NOW)
    assert failed.text("status_detail") == (
        "found at the end of audit-2026-11-22_000000000001.jsonl: 13 bytes of a torn line (sha256:d14d70891685) cut off"
    )


def test_a_log_that_is_one_torn_line_begins_anew(directory: Path) -> None:
    directory.mkdir()
    (directory / "audit-2026-11-22_000000000001.jsonl").write_bytes(b'{"time":17953')
    with AuditLog(directory) as log:
        log.append(decided())
    assert [(entry.sequence, entry.at) for entry in records(directory)] == [(1, NOW), (2, NOW), (3, NOW)]


def test_damaged_lines_stay_and_are_told(directory: Path) -> None:
    with AuditLog(directory) as log:
        log.append(decided())
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b"damaged\n")
    with AuditLog(directory) as log:
        log.append(decided())
    lines = log_files(directory)[0].path.read_bytes().splitlines()
    assert lines[1] == b"damaged"
    assert orjson.loads(lines[2])["metadata"]["sequence"] == 3
    assert "1 lines that cannot be read" in orjson.loads(lines[2])["status_detail"]


def test_a_file_begun_before_the_crash_is_gone_on_with(directory: Path) -> None:
    with AuditLog(directory) as log:
        log.append(decided())
    (directory / "audit-2026-11-23_000000000002.jsonl").touch()
    with AuditLog(directory) as log:
        log.append(later(decided(), DAY))
    assert [entry.sequence for entry in records(directory)] == [1, 2]
    assert (directory / "audit-2026-11-23_000000000002.jsonl").stat().st_size > 0


def _failing(error: int) -> Callable[..., Any]:
    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def _is_log(path: object) -> bool:
    return str(path).endswith(".jsonl")
