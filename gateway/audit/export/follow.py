"""Reading a log on from where reading ended, across files and restarts: the log itself is the queue.

A position is the last record that was taken: its file, the byte behind it, its sequence and its id. What the position
speaks of is looked at before it is used: a log that was made anew begins at its beginning, and is told of.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import orjson

from gateway.audit.files import COMPRESSED, LogFile, log_files, open_log_file
from gateway.audit.reader import Entry, entry_of

BATCH_BYTES = 524_288
"""Bytes of the log that are read at once: what is held in memory, and what may be sent twice."""


@dataclass(frozen=True, slots=True)
class Position:
    """The last record that was taken."""

    file: str
    """Name of its file, uncompressed."""
    start: int
    end: int
    """Bytes of its line in the file."""
    sequence: int
    uid: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that cannot be had: from one sequence to another, or a line that is none."""

    what: str


type Item = Entry | Loss


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read, and the position behind it."""

    items: list[Item]
    position: Position | None


class PositionError(Exception):
    """A file of positions that cannot be used; the message says why."""


def read_positions(path: Path) -> dict[str, Position]:
    """Read the positions of a log's folders; none where there is no file yet. Raises OSError, PositionError."""
    try:
        found = orjson.loads(path.read_bytes())
        return {str(worker): Position(**position) for worker, position in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise PositionError(f"{path} holds no positions: remove it to begin anew") from error


def write_positions(path: Path, positions: Mapping[str, Position]) -> None:
    """Write them so that either the old or the new ones are there after a crash. Raises OSError."""
    made = path.with_name(f"{path.name}.new")
    with made.open("wb") as file:
        file.write(orjson.dumps({worker: asdict(position) for worker, position in positions.items()}))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


class Follower:
    """Reads one folder of the log."""

    def __init__(self, folder: Path, position: Position | None) -> None:
        self._folder = folder
        self._given = position
        self._checked = False
        self._told: set[tuple[str, int]] = set()
        """Where lines are that are no records: each is told of once."""
        self.position = position

    def take(self) -> Batch:
        """Give what follows, up to BATCH_BYTES, and go on behind it. Raises OSError."""
        items: list[Item] = []
        if not self._checked:
            items += self._check()
            self._checked = True
        files = log_files(self._folder)
        taken = 0
        for place, file in enumerate(self._from(files)):
            newest = file is files[-1]
            for item, size in self._read(file, 0 if place else self._start(file), newest=newest):
                items.append(item)
                taken += size
                if taken >= BATCH_BYTES:
                    return Batch(items, self.position)
        return Batch(items, self.position)

    def behind(self) -> int:
        """Give the bytes still to be read, 0 where there are none; of a compressed file about. Raises OSError."""
        files = self._from(log_files(self._folder))
        return sum(self._rest(file, after) for file, after in zip_longest(files, files[1:]))

    def _rest(self, file: LogFile, after: LogFile | None) -> int:
        """Give what is still to be read of a file; `after` is the one behind it."""
        size, position = file.path.stat().st_size, self.position
        if file.path.suffix != COMPRESSED:
            return size - self._start(file)
        ended = position is not None and after is not None and position.sequence + 1 >= after.first
        return 0 if ended and self._start(file) else size

    def _check(self) -> Iterator[Loss]:
        """Begin anew where the position is of another log."""
        position = self._given
        if position is None:
            return
        for file in log_files(self._folder):
            if _name(file) == position.file:
                with open_log_file(file.path) as opened:
                    opened.seek(position.start)
                    entry = entry_of(opened.readline())
                if entry is None or entry.text("metadata", "uid") != position.uid:
                    self.position = None
                    yield Loss(f"the log is not the one that was forwarded up to {position.uid}: it begins anew")
                return

    def _from(self, files: list[LogFile]) -> list[LogFile]:
        """Give the files from the position's on; where that is gone, those with later records."""
        position = self.position
        if position is None:
            return files
        names = [_name(file) for file in files]
        if position.file in names:
            return files[names.index(position.file) :]
        return [file for file in files if file.first > position.sequence]

    def _start(self, file: LogFile) -> int:
        position = self.position
        return position.end if position is not None and position.file == _name(file) else 0

    def _read(self, file: LogFile, start: int, *, newest: bool) -> Iterator[tuple[Item, int]]:
        with open_log_file(file.path) as opened:
            opened.seek(start)
            for line in opened:
                if newest and not line.endswith(b"\n"):
                    return  # just being written
                start += len(line)
                entry = entry_of(line)
                if entry is None:
                    if (_name(file), start) not in self._told:
                        self._told.add((_name(file), start))
                        yield Loss(f"{_name(file)}: a line of {len(line)} bytes is no record"), len(line)
                    continue
                expected = 1 if self.position is None else self.position.sequence + 1
                if entry.sequence != expected and (self.position is not None or file.first != entry.sequence):
                    yield Loss(f"sequence {entry.sequence} where {expected} should follow"), 0
                uid = entry.text("metadata", "uid")
                self.position = Position(_name(file), start - len(line), start, entry.sequence, uid)
                yield entry, len(line)


def _name(file: LogFile) -> str:
    return f"{file.path.name.partition('.')[0]}.jsonl"
