"""The journal of resets: a line for each time that an operator had counters begin anew, as they came.

One file for all workers of a gate, in the folder of its state. Whoever writes holds the lock of the file; whoever reads
goes on where it stopped. A line without an end is being written, or was cut off by a crash: it does not count, and the
next writer removes it.
"""

import fcntl
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from gateway.core.message import Instant

NAME = "resets.jsonl"


class ResetsError(Exception):
    """The journal cannot be read."""


@dataclass(frozen=True, slots=True)
class Reset:
    """One line."""

    number: int
    """From 1, without gaps."""
    partner: str
    routes: tuple[str, ...]
    """Empty: all of them."""
    at: Instant
    by: str
    because: str

    def line(self) -> bytes:
        """Write it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_APPEND_NEWLINE)

    @staticmethod
    def read(line: bytes) -> "Reset":
        """Read what `line` wrote. Raises ResetsError."""
        try:
            fields = orjson.loads(line)
            return Reset(
                int(fields["number"]), str(fields["partner"]), tuple(map(str, fields["routes"])),
                Instant(float(fields["at"])), str(fields["by"]), str(fields["because"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise ResetsError(f"a line is damaged ({type(error).__name__})") from None


class Reader:
    """Reads what was added since the last look."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._inode = 0
        self._offset = 0

    def read(self) -> list[Reset]:
        """Give the new lines: one look at the file's status where there are none. Raises ResetsError."""
        try:
            status = self.path.stat()
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._inode, self._offset = status.st_ino, 0
            if status.st_size == self._offset:
                return []
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._inode = 0
            return []
        except OSError as error:
            raise ResetsError(error.strerror or str(error)) from None
        whole = data[: data.rfind(b"\n") + 1]
        resets = [Reset.read(line) for line in whole.splitlines()]
        self._offset += len(whole)
        return resets


def add(folder: Path, resets: list[Reset]) -> list[Reset]:
    """Add lines with the next numbers, on the disk when this returns; gives them with their numbers.

    Raises ResetsError where the journal cannot be read, and OSError where it cannot be written.
    """
    path = folder / NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.geteuid() == 0:  # so that the gate can read what root has written
            owner = folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        data = file.read() or b""
        end = data.rfind(b"\n") + 1
        lines = data[:end].splitlines()
        last = Reset.read(lines[-1]).number if lines else 0
        made = [replace(reset, number=last + place) for place, reset in enumerate(resets, 1)]
        file.truncate(end)
        file.seek(end)
        rest = memoryview(b"".join(reset.line() for reset in made))
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(descriptor)
    return made
