"""The files of the transparency log: tiles, bundles, checkpoint; a crash leaves no half of any that counts."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from gateway.audit.tlog.merkle import HASH
from gateway.audit.tlog.tree import WIDTH, Edge, Tile, entries_of, tile_path, widths

CHECKPOINT = "checkpoint"
PUBLIC_KEY = "log.vkey"
HISTORY = "checkpoints"
"""Folder with every checkpoint there was, one file a day."""


class Tiles:
    """The files below one folder. What the last checkpoint counts is never written again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._unsynced: set[Path] = set()
        self._history: Path | None = None
        """The file of checkpoints that this run has added to: what an earlier one left torn is cut off."""

    def checkpoint(self) -> str | None:
        """Read the checkpoint; None where there is none. Raises OSError."""
        try:
            return (self.directory / CHECKPOINT).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def has_history(self) -> bool:
        """Whether there was a checkpoint once. Raises OSError."""
        history = self.directory / HISTORY
        return history.is_dir() and any(file.stat().st_size for file in history.iterdir())

    def edge(self, size: int) -> Edge:
        """Read the right edge of the tree of this size. Raises OSError and ValueError where it is not all there."""
        levels = [self._start(level, size >> 8 * (level + 1), width) for level, width in enumerate(widths(size))]
        return Edge(size, self.bundle(size // WIDTH, size % WIDTH), levels)

    def hashes(self, level: int, index: int, width: int) -> list[bytes]:
        """Read the first `width` hashes of a tile. Raises OSError and ValueError."""
        data = self._start(level, index, width)
        return [data[place : place + HASH] for place in range(0, len(data), HASH)]

    def _start(self, level: int, index: int, width: int) -> bytes:
        """Read the first `width` hashes of a tile, which may have more by now."""
        if not width:
            return b""
        data = self._first_of(tile_path(level, index, width), tile_path(level, index))
        if len(data) < width * HASH:
            raise ValueError(f"{tile_path(level, index, width)} is too short")
        return data[: width * HASH]

    def bundle(self, index: int, width: int) -> bytes:
        """Read the first `width` entries of a bundle. Raises OSError and ValueError."""
        if not width:
            return b""
        data = self._first_of(tile_path(None, index, width), tile_path(None, index))
        entries = entries_of(data)[:width]
        if len(entries) < width:
            raise ValueError(f"{tile_path(None, index, width)} is too short")
        return data[: sum(2 + len(entry) for entry in entries)]

    def _first_of(self, *paths: str) -> bytes:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                return (self.directory / path).read_bytes()
        raise FileNotFoundError(f"{paths[0]} is not there")

    def missing(self, size: int, first: int = 0) -> str | None:
        """Name a full tile or bundle, from index `first` of the lowest level on, that is not there as a whole."""
        for index in range(first, size // WIDTH):
            for level, least in ((0, WIDTH * HASH), (None, 2 * WIDTH)):
                path = tile_path(level, index)
                try:
                    whole = (self.directory / path).stat().st_size >= least
                except FileNotFoundError:
                    whole = False
                if not whole:
                    return path
        return None

    def write(self, tile: Tile) -> None:
        """Write a tile; it is on the disk with the next checkpoint. Raises OSError."""
        path = self.directory / tile.path
        self._unsynced.add(path)
        try:
            if path.read_bytes() == tile.data:
                return  # of the last checkpoint, or of a run that came no further
        except FileNotFoundError:
            pass
        try:
            _write(path, tile.data, os.O_TRUNC)
        except FileNotFoundError:
            self._make(path.parent)
            _write(path, tile.data, os.O_TRUNC)

    def _make(self, folder: Path) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)

    def publish(self, checkpoint: str, date: str) -> None:
        """Bring what was written to the disk, and then put the checkpoint in its place. Raises OSError."""
        for path in self._unsynced:
            _sync(path)
        for folder in _folders(self._unsynced, self.directory):
            _sync(folder)
        self._unsynced.clear()
        fresh = self.directory / f".{CHECKPOINT}.new"
        _write(fresh, checkpoint.encode(), os.O_TRUNC)
        _sync(fresh)
        fresh.rename(self.directory / CHECKPOINT)
        _sync(self.directory)
        self._remember(checkpoint, date)

    def _remember(self, checkpoint: str, date: str) -> None:
        """Keep the checkpoint with those before it; each ends with an empty line.

        Only now that it is in its place: one that is kept was published.
        """
        path = self.directory / HISTORY / f"{date}.txt"
        self._make(path.parent)
        is_new = not path.exists()
        if not is_new and path != self._history:
            os.truncate(path, _end_of_notes(path.read_bytes()))
        self._history = path
        _write(path, f"{checkpoint}\n".encode(), os.O_APPEND)
        _sync(path)
        if is_new:
            _sync(path.parent)
            _sync(self.directory)

    def introduce(self, public: str) -> None:
        """Lay the public key beside the log, where there is none. Raises OSError."""
        path = self.directory / PUBLIC_KEY
        if not path.exists():
            self._make(self.directory)
            _write(path, f"{public}\n".encode(), os.O_TRUNC)

    def drop_partial(self, filled: Iterable[Tile]) -> None:
        """Remove the partial tiles that full ones have taken the place of."""
        for tile in filled:
            shutil.rmtree(self.directory / f"{tile_path(tile.level, tile.index)}.p", ignore_errors=True)


def _end_of_notes(data: bytes) -> int:
    """Give where the last whole note ends, with the empty line behind its signatures."""
    end = data.rfind(b"\n\n")
    while end >= 0 and not data[:end].rpartition(b"\n")[2].startswith("— ".encode()):
        end = data.rfind(b"\n\n", 0, end)
    return end + 2 if end >= 0 else 0


def _folders(paths: Iterable[Path], top: Path) -> list[Path]:
    """Give the folders from those of the files up to the top, those below before those above."""
    found: set[Path] = set()
    for folder in {path.parent for path in paths}:
        above = folder
        while above not in found:
            found.add(above)
            above = above.parent if above != top else top
    return sorted(found, key=lambda folder: -len(folder.parts))


def _write(path: Path, data: bytes, how: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(data)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
