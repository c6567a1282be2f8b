"""One file of the log that is written to: whole appends or none, and never to a file that is not ours any more."""

import contextlib
import errno
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.audit.files import LogFile, file_name
from gateway.audit.record import MAX_LINE
from gateway.core.message import Instant


class LostError(OSError):
    """The file must not be written any more: it was removed or changed, or what was written did not reach the disk."""


class Segment:
    """An open file of the log. `size` is what was written whole; nothing beyond it is ever left standing."""

    def __init__(self, fd: int, path: Path, date: str, size: int, *, torn: bool = False) -> None:
        self.path = path
        self.date = date
        self.size = size
        self._fd = fd
        self._torn = torn
        self._closing = threading.Lock()

    @classmethod
    def create(cls, directory: Path, date: str, first: int) -> "Segment":
        """Create the file. Raises OSError, also where there is one of its name."""
        path = directory / file_name(date, first)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _sync_directory(directory)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return cls(fd, path, date, 0)

    @classmethod
    def reopen(cls, file: LogFile, tail: "Tail") -> "Segment":
        """Go on with a file of an earlier run; its torn end is cut off by the first write. Raises OSError."""
        fd = os.open(file.path, os.O_WRONLY | os.O_APPEND)
        return cls(fd, file.path, file.date, tail.size, torn=tail.torn > 0)

    def write(self, data: bytes) -> None:
        """Append `data` whole, with one system call. Raises OSError where it cannot be, and nothing of it stands."""
        if self._torn:
            self._cut()
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if size != self.size:
            told = f"{self.path.name} was changed by somebody else: {size} bytes, {self.size} were written"
            raise LostError(errno.EIO, told)
        try:
            written = os.write(self._fd, data)
        except OSError:
            self._undo()
            raise
        if written < len(data):
            self._undo()
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written")
        self.size += written

    def check(self) -> None:
        """Raise LostError where the file was removed: what is written to it goes when it is closed."""
        if os.fstat(self._fd).st_nlink == 0:
            raise LostError(errno.ENOENT, f"{self.path.name} was removed while it was written")

    def _undo(self) -> None:
        self._torn = True
        with contextlib.suppress(OSError):  # tried again before the next write
            self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._fd, self.size)
        self._torn = False

    def sync(self) -> None:
        """Bring the file to the disk. Raises LostError where that fails, or it stands at its path no more.

        May be called from another thread than the writer's. After a failed fsync nobody knows what is on the disk,
        and the next one reports success: so the file is not written any more.
        """
        with self._closing:
            if self._fd < 0:
                return
            try:
                fd = os.dup(self._fd)
            except OSError as error:
                raise LostError(error.errno, f"{self.path.name} could not be synced: {error.strerror}") from error
        try:
            os.fsync(fd)
            in_place = os.path.samestat(os.fstat(fd), self.path.stat())
        except OSError as error:
            raise LostError(error.errno, f"{self.path.name} could not be synced: {error.strerror}") from error
        finally:
            os.close(fd)
        if not in_place:
            raise LostError(errno.ENOENT, f"another file took the place of {self.path.name}")

    def close(self) -> None:
        """Close the file, without a sync."""
        with self._closing:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Tail:
    """How a file of an earlier run ends."""

    sequence: int
    """Of its last record; lines that cannot be read used up one each."""
    time: Instant | None
    """Of the last record that can be read."""
    size: int
    """Bytes up to the end of the last whole line."""
    torn: int
    """Bytes behind that, of a line that was not written whole."""
    torn_digest: str
    """Beginning of their SHA-256."""
    damaged: int
    """Whole lines behind the last record that can be read."""


def read_tail(file: LogFile) -> Tail:
    """Read how a file ends, from its end. Raises OSError."""
    with file.path.open("rb") as opened:
        end = opened.seek(0, os.SEEK_END)
        reach = 2 * (MAX_LINE + 1)
        while True:
            start = max(0, end - reach)
            opened.seek(start)
            tail = _tail_of(opened.read(end - start), start, file)
            if tail is not None:
                return tail
            reach *= 8


def _tail_of(data: bytes, start: int, file: LogFile) -> Tail | None:
    """Read the tail from the file's last bytes; None where more of them are needed."""
    whole, newline, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n") if newline else []
    partial = lines[:1] if start else []  # begins before `data`
    size = start + len(data) - len(torn)
    digest = hashlib.sha256(torn).hexdigest()[:12]
    for damaged, line in enumerate(reversed(lines[len(partial) :])):
        placed = place_of(line)
        if placed is not None:
            sequence, time = placed
            return Tail(sequence + damaged, time, size, len(torn), digest, damaged)
    if start:
        return None
    return Tail(file.first - 1 + len(lines), None, size, len(torn), digest, len(lines))


def place_of(line: bytes) -> tuple[int, Instant] | None:
    """Give sequence and time of a line; None where it is not a record."""
    try:
        record = orjson.loads(line)
        sequence, time = record["metadata"]["sequence"], record["time"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(sequence, int) or not isinstance(time, int):
        return None
    return sequence, Instant(time / 1000)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
