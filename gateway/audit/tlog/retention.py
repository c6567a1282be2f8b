"""Old files of the log: compressed, and deleted, when the policy says so. What remains can be verified all the same.

1. `due`: which files are older than the policy wants them at hand, or kept at all
2. `seal`: a file is compressed; the file itself goes once the compressed one is on the disk and holds the same
3. `delete`: a file goes, then entries and hashes that no tree needs any more (C2SP tlog-tiles, pruning)
"""

import contextlib
import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from gateway.audit.files import COMPRESSED, LogFile, date_of, log_files, open_log_file
from gateway.audit.tlog.tiles import HISTORY
from gateway.audit.tlog.tree import WIDTH
from gateway.core.message import Instant
from gateway.core.publication import Retention

CHUNK = 262_144
"""Bytes that are compressed at once."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Due:
    """A file whose time has come."""

    file: LogFile
    last: int
    """Sequence of its last record."""


class OldFiles:
    """Takes care of the old files of the log in a folder. Raises OSError where something cannot be done."""

    def __init__(self, directory: Path, tlog: Path, progress: Callable[[], None] = lambda: None) -> None:
        """`progress` is called after each CHUNK, for it may take long."""
        self._directory = directory
        self._tlog = tlog
        self._progress = progress

    def due(self, age: Retention, published: int, now: Instant) -> tuple[list[Due], list[Due]]:
        """Give the files to be sealed, and those to be deleted, oldest first.

        The newest never is; nor is one of which not every record is published.
        """
        today = date.fromisoformat(date_of(now))
        sealed: list[Due] = []
        deleted: list[Due] = []
        files = log_files(self._directory)
        for file, following in pairwise(files):
            # Its last record may be of the day on which the next one began.
            seconds = (today - date.fromisoformat(following.date)).days * DAY
            if following.first - 1 > published:
                break
            if seconds > age.keep:
                deleted.append(Due(file, following.first - 1))
            elif seconds > age.at_hand and file.path.suffix != COMPRESSED:
                sealed.append(Due(file, following.first - 1))
        return sealed, deleted

    def seal(self, due: Due) -> str:
        """Compress a file; gives the SHA-256 of what it holds."""
        path = due.file.path
        fresh, target = path.with_name(f".{path.name}{COMPRESSED}.new"), path.with_name(f"{path.name}{COMPRESSED}")
        digest = hashlib.sha256()
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o400)
        with os.fdopen(fd, "wb") as raw:
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as compressed:
                for chunk in self._chunks(path):
                    digest.update(chunk)
                    compressed.write(chunk)
            raw.flush()
            os.fsync(fd)
        again = hashlib.sha256()
        for chunk in self._chunks(fresh, compressed=True):
            again.update(chunk)
        if again.digest() != digest.digest():
            raise OSError(5, "what was compressed is not what the file holds", str(fresh))
        fresh.rename(target)
        _sync(self._directory)
        path.unlink()
        _sync(self._directory)
        return digest.hexdigest()

    def _chunks(self, path: Path, *, compressed: bool = False) -> Iterator[bytes]:
        with gzip.open(path, "rb") if compressed else open_log_file(path) as opened:
            while chunk := opened.read(CHUNK):
                yield chunk
                self._progress()

    def delete(self, due: Due) -> None:
        """Delete a file."""
        due.file.path.unlink()
        _sync(self._directory)

    def prune(self) -> None:
        """Delete the entries, hashes and checkpoints of which nothing that is kept has a part."""
        files = log_files(self._directory)
        if not files or files[0].first == 1:
            return
        least, tiles = files[0].first - 1, self._tlog / "tile"
        for level in tiles.iterdir() if tiles.is_dir() else ():
            span = WIDTH if level.name == "entries" else WIDTH ** (int(level.name) + 1)
            self._prune(level, 0, least // span)
        with contextlib.suppress(FileNotFoundError):
            for kept in (self._tlog / HISTORY).iterdir():
                if kept.stem < files[0].date:
                    kept.unlink()

    def _prune(self, folder: Path, above: int, first: int) -> None:
        """Delete the tiles below a folder whose numbers are lower than the first that is kept."""
        for path in folder.iterdir():
            digits = path.name.partition(".")[0]
            number = above * 1000 + int(digits.removeprefix("x"))
            if digits.startswith("x"):
                self._prune(path, number, first)
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif number < first:
                self._progress()
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
