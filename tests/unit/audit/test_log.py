import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from gateway.audit.files import log_files
from gateway.audit.lock import LogInUseError
from gateway.audit.log import AuditLog
from gateway.core.reasons import Unavailable
from tests.unit.audit.examples import DAY, EVENTS, NOW, decided
from tests.unit.audit.logs import failing, is_log, kinds, later, names, records, synced_paths

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
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(Unavailable, match="could not be synced"):
        log.close()
    monkeypatch.undo()
    AuditLog(directory).close()


def test_a_failed_sync_that_no_event_followed_is_told_at_the_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(directory)
    log.append(decided())
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
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
    monkeypatch.setattr(os, "open", lambda path, *args: failing(errno.EROFS)() if is_log(path) else real(path, *args))
    with pytest.raises(OSError, match="Read-only"):
        AuditLog(directory)
    monkeypatch.undo()
    AuditLog(directory).close()


def test_a_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    with pytest.raises(FileExistsError):
        AuditLog(tmp_path / "audit")


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
