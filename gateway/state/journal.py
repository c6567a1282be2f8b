"""A journal on disk: what must outlive the process is written before anybody acts on it.

Lines are appended to numbered files in the state folder, each line with the CRC-32 of what it says. A file is begun at
each start and once the last one is full, and deleted once all that it says is over; none is written anew. What cannot
be read after a crash is the end of the last line of a file, which nobody acted on: it is cut off. Damage anywhere else
is an error, since keys would be missing.

`append` has the line in the system's hands, which a killed process does not take back; `synced` has all lines on
disk, which a power failure does not. Lines that come while the disk works share the next sync.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import orjson

from gateway.core.reasons import Reason, Unavailable

FULL = 33_554_432
"""Bytes of a file from which on the next one is begun."""

_SUFFIX = ".journal"
_FORMAT = 1

type Entry = list[object]


class DamagedError(OSError):
    """A journal that was not written by a gate of this version, or was changed since."""


@dataclass(slots=True)
class _File:
    path: Path
    over: float
    """When all that it says is over."""


class Journal:
    """The files of one kind in a folder, which one process has to itself."""

    def __init__(self, directory: Path, name: str) -> None:
        self.first: Entry | None = None
        """What each file begins with, as none of them may be missed."""
        self._directory = directory
        self._name = name
        self._files: list[_File] = []
        """The last one is written to."""
        self._number = 0
        self._descriptor: int | None = None
        self._size = 0
        self._unsynced: list[int] = []
        """Files that were full before they were synced."""
        self._waiting: asyncio.Future[None] | None = None
        self._syncing: asyncio.Task[None] | None = None

    def read(self) -> Iterator[tuple[float, Entry]]:
        """Give what earlier runs wrote, oldest first, each with when it is over. Raises DamagedError or OSError."""
        for path in sorted(self._directory.glob(f"{self._name}-*{_SUFFIX}")):
            file = _File(path, float("-inf"))
            for over, entry in _lines(path):
                file.over = max(file.over, over)
                yield over, entry
            self._files.append(file)
            self._number = int(path.name[len(self._name) + 1 : -len(_SUFFIX)])

    def append(self, entry: Entry, over: float) -> None:
        """Write a line that counts until `over`. Raises Unavailable(STATE_UNAVAILABLE); nothing was written then."""
        try:
            if self._descriptor is None or self._size >= FULL:
                self._begin()
            self._write(_line(entry, over))
        except OSError as error:
            detail = f"the journal cannot be written: {error.strerror}"
            raise Unavailable(Reason.STATE_UNAVAILABLE, detail) from error
        file = self._files[-1]
        file.over = max(file.over, over)

    async def synced(self) -> None:
        """Wait until all that was appended is on disk. Raises Unavailable(STATE_UNAVAILABLE)."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        waiting = self._waiting
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await asyncio.shield(waiting)

    def tidy(self, now: float) -> None:
        """Delete the files all of which is over. Raises OSError."""
        for file in self._files[:-1]:
            if file.over <= now:
                file.path.unlink(missing_ok=True)
                self._files.remove(file)

    def replace(self, entries: Iterable[tuple[Entry, float]]) -> None:
        """Write all that still counts to a new file, and delete those before it. Raises OSError."""
        before, lines = list(self._files), [_line(entry, over) for entry, over in entries]
        if not before:
            return
        self._begin()
        self._write(b"".join(lines))
        assert self._descriptor is not None
        os.fdatasync(self._descriptor)
        for file in before:
            file.path.unlink(missing_ok=True)
            self._files.remove(file)

    def close(self) -> None:
        """Write no more."""
        for descriptor in (*self._unsynced, *([] if self._descriptor is None else [self._descriptor])):
            with suppress(OSError):
                os.fdatasync(descriptor)
            os.close(descriptor)
        self._unsynced, self._descriptor = [], None

    def _begin(self) -> None:
        path = self._directory / f"{self._name}-{self._number + 1:08d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        self._number += 1
        if self._descriptor is not None:
            self._unsynced.append(self._descriptor)
        self._descriptor, self._size = descriptor, 0
        self._files.append(_File(path, float("-inf")))
        if self.first is not None:
            self._write(_line(self.first, 0.0))
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, line: bytes) -> None:
        assert self._descriptor is not None
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(28, "no space left on device")  # noqa: TRY301
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    async def _sync(self) -> None:
        while self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            full, self._unsynced = self._unsynced, []
            descriptors = [*full, *([] if self._descriptor is None else [os.dup(self._descriptor)])]
            try:
                await asyncio.to_thread(_to_disk, descriptors)
            except OSError as error:
                detail = f"the journal cannot be synced: {error.strerror}"
                waiting.set_exception(Unavailable(Reason.STATE_UNAVAILABLE, detail))
                waiting.exception()  # whoever waited may be gone
            else:
                waiting.set_result(None)
        self._syncing = None


def _to_disk(descriptors: list[int]) -> None:
    try:
        for descriptor in descriptors:
            os.fdatasync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _line(entry: Entry, over: float) -> bytes:
    text = orjson.dumps([_FORMAT, over, *entry])
    return b"%08x %b\n" % (crc32(text), text)


def _lines(path: Path) -> Iterator[tuple[float, Entry]]:
    """Read a file; cut off the end that a crash left."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        end = content.find(b"\n", at)
        line = content[at:] if end < 0 else content[at:end]
        if end < 0 or crc32(line[9:]) != _number(line[:8]):
            if end >= 0 and end + 1 < len(content):
                message = "was damaged: move it away only if what was taken or used before may be forgotten"
                raise DamagedError(5, message, str(path))
            os.truncate(path, at)
            return
        version, over, *entry = orjson.loads(line[9:])
        if version != _FORMAT:
            raise DamagedError(5, "was written by another version", str(path))
        yield over, entry
        at = end + 1


def _number(digits: bytes) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return -1
