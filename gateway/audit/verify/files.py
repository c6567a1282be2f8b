"""What a log consists of: its own files with the records, and those of the transparency log below `tlog`."""

import gzip
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_BUFFER = 1_048_576

WIDTH = 256
HASH = 32

FOLDER = "tlog"

_SEGMENT = re.compile(r"audit-\d{4}-\d{2}-\d{2}_(\d{12,})\.jsonl(?:\.gz)?\Z", re.ASCII)
_WORKER = re.compile(r"worker-[1-9]\d*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file with records."""

    path: Path
    first: int
    """Sequence of its first record, as its name has it."""

    def open(self, *, buffered: bool = True) -> BinaryIO:
        """Open it, be it compressed or not; `buffered` for lines. Raises OSError."""
        if self.path.suffix == ".gz":
            return cast("BinaryIO", gzip.open(self.path, "rb"))
        try:
            return self.path.open("rb", buffering=_BUFFER if buffered else 0)
        except FileNotFoundError:  # sealed meanwhile
            return cast("BinaryIO", gzip.open(f"{self.path}.gz", "rb"))


def segments(directory: Path) -> list[Segment]:
    """Give the files with records, in their order; one that is there in two forms counts as it was written.

    Raises OSError.
    """
    found = [(int(match[1]), path) for path in directory.iterdir() if (match := _SEGMENT.match(path.name))]
    names = {path.name for _, path in found}
    doubled = {f"{name}.gz" for name in names} & names
    return [Segment(path, first) for first, path in sorted(found) if path.name not in doubled]


def logs(directory: Path) -> list[Path]:
    """Give the folders that hold a log: the one given, and those of workers in it. Raises OSError."""
    workers = [path for path in directory.iterdir() if _WORKER.match(path.name) and path.is_dir()]
    workers.sort(key=lambda path: int(path.name.removeprefix("worker-")))
    own = (directory / FOLDER).is_dir() or bool(segments(directory))
    return [directory, *workers] if own or not workers else workers


def tile_name(level: int | str, index: int, width: int = WIDTH) -> str:
    """Give the path of a tile of hashes, or of entries (level `entries`), as C2SP tlog-tiles has it."""
    name = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        name = f"x{index % 1000:03}/{name}"
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


class Tiles:
    """Reads the files of a transparency log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._buffer = bytearray()
        """Where bundles are read to: memory of half a megabyte that is new each time costs more than the reading."""

    def text(self, name: str) -> str | None:
        """Read a file of text; None where there is none. Raises OSError."""
        try:
            return (self.directory / name).read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def hashes(self, level: int, index: int, width: int) -> list[bytes] | None:
        """Read the first `width` hashes of a tile; None where they are not there. Raises OSError."""
        data = self._read(level, index, width)
        if data is None or len(data) < width * HASH:
            return None
        return [data[place : place + HASH] for place in range(0, width * HASH, HASH)]

    def entries(self, index: int, width: int) -> list[bytes] | None:
        """Read the first `width` entries of a bundle; None where they are not there. Raises OSError."""
        data = self._read("entries", index, width)
        if data is None:
            return None
        found: list[bytes] = []
        place = 0
        while place + 2 <= len(data) and len(found) < width:
            end = place + 2 + (data[place] << 8 | data[place + 1])
            found.append(data[place + 2 : end])
            place = end
        return found if len(found) == width and place <= len(data) else None

    def holds(self, index: int, leaves: Sequence[bytes | memoryview | None], hashes: Sequence[bytes]) -> bool:
        """Whether bundle and tile hold just these entries, each behind a byte 0, and their hashes. Raises OSError."""
        tile = self._read(0, index, len(leaves))
        end = self._load(index, len(leaves))
        if tile is None or not tile.startswith(b"".join(hashes)):
            return False
        bundle, same, place = self._buffer, self._buffer.startswith, 0
        for leaf in leaves:
            length = len(leaf or b"") - 1
            if place >= end or bundle[place] << 8 | bundle[place + 1] != length:
                return False
            if leaf is None or not same(leaf[1:], place + 2):
                return False
            place += length + 2
        return place <= end

    def _load(self, index: int, width: int) -> int:
        """Read a bundle into the buffer; gives how many bytes it has, 0 where it is not there."""
        for name in (tile_name("entries", index, width), tile_name("entries", index)):
            with suppress(FileNotFoundError, NotADirectoryError), (self.directory / name).open("rb", 0) as opened:
                size = os.fstat(opened.fileno()).st_size
                if size > len(self._buffer):
                    self._buffer = bytearray(size)
                return opened.readinto(self._buffer)
        return 0

    def _read(self, level: int | str, index: int, width: int) -> bytes | None:
        for name in (tile_name(level, index, width), tile_name(level, index)):
            try:
                return (self.directory / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        return None
