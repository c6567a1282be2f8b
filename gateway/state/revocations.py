"""The journal of what was taken out of use: a line for each revocation and each lifting, as they came.

One file for all workers of a gate, in the folder of its state. Whoever writes holds its lock and adds whole lines, or
puts another file in its place; whoever reads goes on where it stopped. A line without an end is one that is being
written, or was cut off by a crash: it does not count, and the next writer removes it.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from gateway.core.barred import MOST_LOCKED, Bar, Barred, Thing
from gateway.core.message import Instant

NAME = "revocations.jsonl"

KEPT_SECONDS = 30 * 86_400.0
"""For which what no longer counts stays in the file, for gates that were stopped meanwhile."""

COMPACT_FROM = 1_000
"""Lines that no longer count, from which on they are looked for."""


class JournalError(Exception):
    """The journal cannot be read: what is barred is not known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    number: int
    """From 1, without gaps but for what was compacted away."""
    action: str
    """`revoke` or `lift`."""
    thing: Thing
    value: str
    at: Instant
    until: Instant | None
    """When a revocation ends by itself."""
    by: str
    because: str
    of: int | None = None
    """Number of the revocation that is lifted."""
    lock: str | None = None
    """Name of the lock-out in the store that gates share, where there is one."""
    elsewhere: bool = False
    """Whether another gate of that store made the entry, and records it."""

    def line(self) -> bytes:
        """Write it."""
        return orjson.dumps({**asdict(self), "thing": self.thing.value}, option=orjson.OPT_APPEND_NEWLINE)

    @staticmethod
    def read(line: bytes) -> "Entry":
        """Read what `line` wrote. Raises JournalError."""
        try:
            fields = orjson.loads(line)
            made = Entry(
                int(fields["number"]), str(fields["action"]), Thing(fields["thing"]), str(fields["value"]),
                Instant(float(fields["at"])), None if fields["until"] is None else Instant(float(fields["until"])),
                str(fields["by"]), str(fields["because"]), None if fields["of"] is None else int(fields["of"]),
                None if fields.get("lock") is None else str(fields["lock"]), bool(fields.get("elsewhere")),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(f"a line is damaged ({type(error).__name__})") from None
        if made.action not in ("revoke", "lift"):
            raise JournalError("a line has an unknown action")
        return made

    def counts(self, now: Instant) -> bool:
        """Whether a revocation has not ended by itself."""
        return self.until is None or now < self.until


class Reader:
    """Reads what was added since the last look."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._inode: int | None = None
        self._offset = 0
        self._stamp: tuple[int, int, int] | None = None

    def restart(self) -> None:
        """Read all of it again next time. It has been there, and must be."""
        self._inode, self._offset = -1, 0

    def changed(self) -> bool:
        """Whether there may be something to read: one look at the file's status."""
        return self._status() != self._stamp

    def read(self) -> tuple[bool, list[Entry]]:
        """Give whether the file is another one, whose entries take the place of all before, and the new entries.

        Raises JournalError, also where a file that was there is gone.
        """
        stamp = self._status()
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                fresh = status.st_ino != self._inode or status.st_size < self._offset
                start = 0 if fresh else self._offset
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            if self._inode is not None:
                raise JournalError("it is gone: put it back, or begin another one with `gateway revoke`") from None
            self._stamp = stamp
            return False, []
        except OSError as error:
            raise JournalError(error.strerror or str(error)) from None
        self._stamp = stamp
        whole = data[: data.rfind(b"\n") + 1]
        entries = [Entry.read(line) for line in whole.splitlines()]
        self._inode, self._offset = status.st_ino, start + len(whole)
        return fresh, entries

    def _status(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def read_all(folder: Path) -> list[Entry]:
    """Give every entry, oldest first. Raises JournalError."""
    return Reader(folder).read()[1]


def in_force(entries: Iterable[Entry]) -> dict[tuple[Thing, str], Entry]:
    """Give the revocations that were not lifted; of several of one value, the latest."""
    found: dict[tuple[Thing, str], Entry] = {}
    for entry in entries:
        if entry.action == "revoke":
            found[entry.thing, entry.value] = entry
        else:
            found.pop((entry.thing, entry.value), None)
    return found


def barred(entries: Iterable[Entry], before: Barred | None = None) -> Barred | None:
    """Give what is barred by the entries, after what was barred before; None where nothing is."""
    bars = {} if before is None else {**before.bars, **before.locked}
    for entry in entries:
        if entry.action == "revoke":
            bars[entry.thing, entry.value] = Bar(entry.number, entry.until)
        else:
            bars.pop((entry.thing, entry.value), None)
    return Barred(bars) if bars else None


type Choose = Callable[[Sequence[Entry], Sequence[Entry]], Sequence[Entry]]
"""Gives which entries to add, by those that are there and those that may be added."""


def add(folder: Path, entries: Sequence[Entry], choose: Choose | None = None) -> list[Entry]:
    """Add entries with the next numbers, whole and on the disk when this returns; gives them with their numbers.

    `choose` is asked while nobody else can write. Raises JournalError where the journal cannot be read, and OSError
    where it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        known = read_all(folder)
        last = known[-1].number if known else 0
        chosen = entries if choose is None else choose(known, entries)
        made = [replace(entry, number=last + place) for place, entry in enumerate(chosen, 1)]
        if made and _is_crowded(known, made[-1].at):
            _replace(folder, [*_kept(known, made[-1].at), *made])
        else:
            _append(folder / NAME, made)
    return made


def _append(path: Path, entries: Sequence[Entry]) -> None:
    new = not path.exists()
    descriptor = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            data = file.read() or b""
            end = data.rfind(b"\n") + 1  # what follows was cut off
            file.truncate(end)
            file.seek(end)
            try:
                _write(file.fileno(), b"".join(entry.line() for entry in entries))
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise
    finally:
        if new:
            _sync_folder(path.parent)


def _replace(folder: Path, entries: Sequence[Entry]) -> None:
    fresh = folder / f".{NAME}.new"
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = _open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        _write(descriptor, b"".join(entry.line() for entry in entries))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(folder / NAME)
    _sync_folder(folder)


def _open(path: Path, flags: int) -> int:
    """Open a file for its owner alone: the folder's, so that the gate can read what root has written."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_crowded(entries: Sequence[Entry], now: Instant) -> bool:
    """Whether most of the file no longer counts."""
    if len(entries) < COMPACT_FROM:
        return False
    return 2 * len(_kept(entries, now)) < len(entries)


def _kept(entries: Sequence[Entry], now: Instant) -> list[Entry]:
    """Give what still counts, and what has not been over for KEPT_SECONDS; numbers stay as they are.

    Of lock-outs of addresses, which whoever has many addresses can make many of, no more than the latest.
    """
    living = in_force(entries)
    recent = now - KEPT_SECONDS
    locked = [entry.number for entry in entries if entry.thing is Thing.LOCKED_ADDRESS]
    latest = locked[-MOST_LOCKED] if len(locked) > MOST_LOCKED else 0
    return [
        entry
        for entry in entries
        if (entry.at >= recent or (living.get((entry.thing, entry.value)) is entry and entry.counts(Instant(recent))))
        and (entry.thing is not Thing.LOCKED_ADDRESS or entry.number >= latest)
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock: writers wait for each other."""
    descriptor = _open(folder / f".{NAME}.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
