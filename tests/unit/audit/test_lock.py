import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.lock import DirectoryLock, LogInUseError


def test_a_directory_is_locked_once(tmp_path: Path) -> None:
    held = DirectoryLock(tmp_path)
    with pytest.raises(LogInUseError, match=rf"is written by another gate \(process {os.getpid()}\)"):
        DirectoryLock(tmp_path)
    held.close()


def test_a_directory_is_free_after_close(tmp_path: Path) -> None:
    DirectoryLock(tmp_path).close()
    DirectoryLock(tmp_path).close()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_renewing_keeps_a_lock_that_still_stands(tmp_path: Path) -> None:
    held = DirectoryLock(tmp_path)
    held.renew()
    with pytest.raises(LogInUseError):
        DirectoryLock(tmp_path)
    held.close()


def test_renewing_takes_the_lock_of_a_directory_made_anew(tmp_path: Path) -> None:
    held = DirectoryLock(tmp_path)
    (tmp_path / "lock").unlink()
    held.renew()
    with pytest.raises(LogInUseError):
        DirectoryLock(tmp_path)
    held.close()


def test_renewing_fails_where_another_gate_took_the_directory_made_anew(tmp_path: Path) -> None:
    held = DirectoryLock(tmp_path)
    (tmp_path / "lock").unlink()
    other = DirectoryLock(tmp_path)
    with pytest.raises(LogInUseError):
        held.renew()
    other.close()
    held.close()


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryLock(tmp_path / "gone")


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", _failing(errno.ENOSPC))
    held = DirectoryLock(tmp_path)
    with pytest.raises(LogInUseError):
        DirectoryLock(tmp_path)
    held.close()


def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", _failing(errno.ENOLCK))
    with pytest.raises(OSError, match="No locks available"):
        DirectoryLock(tmp_path)


def _failing(error: int) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call
