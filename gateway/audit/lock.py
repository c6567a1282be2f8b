"""The lock on the log's directory: two gates must never write one log."""

import contextlib
import fcntl
import os
from pathlib import Path

_NAME = "lock"


class LogInUseError(Exception):
    """Another gate writes the log in this directory."""


class DirectoryLock:
    """Holds the directory until closed, or until the process ends however it ends (flock)."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises LogInUseError, and OSError where the lock's file cannot be made."""
        self._path = directory / _NAME
        self._fd = _take(self._path)

    def renew(self) -> None:
        """Take the lock again where the directory is another one than before. Raises as `__init__` does."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._fd), self._path.stat()):
                return
        fd = _take(self._path)
        os.close(self._fd)
        self._fd = fd

    def close(self) -> None:
        """Give the directory free."""
        os.close(self._fd)


def _take(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise
        raise LogInUseError(
            f"{path.parent} is written by another gate (process {holder}): give each gate a directory of its own"
        ) from None
    with contextlib.suppress(OSError):  # the lock holds on a full disk too; the number is for whoever looks
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    return fd
