"""The right edge of the tree: all that has to be known to add entries, and to give the root."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.tlog.merkle import EMPTY, leaf_hash, root_of

WIDTH = 256
"""Hashes in a full tile, and entries in a full bundle."""
HASH = 32
"""Bytes of a hash."""

MAX_ENTRY = 65_535
"""Bytes of an entry: its length has two bytes."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of hashes, or a bundle of entries, as it stands in its file."""

    level: int | None
    """None: a bundle of entries."""
    index: int
    width: int
    data: bytes

    @property
    def path(self) -> str:
        """Its path below the log's."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int | None, index: int, width: int = WIDTH) -> str:
    """Give the path of a tile, or of a bundle (no level), with `width` hashes or entries."""
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{number}{partial}"


class Edge:
    """The tiles and the bundle that are not full yet."""

    def __init__(self, size: int = 0, bundle: bytes = b"", levels: Sequence[bytes] = ()) -> None:
        self.size = size
        """Entries in the tree."""
        self._bundle = bytearray(bundle)
        self._levels = [bytearray(level) for level in levels] or [bytearray()]
        """Hashes of the tile that is not full, by level."""

    def add(self, entry: bytes) -> list[Tile]:
        """Add an entry; gives the tiles that it filled."""
        self._bundle += len(entry).to_bytes(2, "big")
        self._bundle += entry
        self._levels[0] += leaf_hash(entry)
        self.size += 1
        if self.size % WIDTH:
            return []
        filled = [Tile(None, self.size // WIDTH - 1, WIDTH, bytes(self._bundle))]
        self._bundle.clear()
        return filled + self._fill()

    def _fill(self) -> list[Tile]:
        filled = []
        for level, hashes in enumerate(self._levels):
            if len(hashes) < WIDTH * HASH:
                break
            filled.append(Tile(level, (self.size >> 8 * (level + 1)) - 1, WIDTH, bytes(hashes)))
            if level + 1 == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level + 1] += root_of(_split(hashes))
            hashes.clear()
        return filled

    def partial(self) -> list[Tile]:
        """Give the tiles that are neither full nor empty."""
        tiles = [
            Tile(level, self.size >> 8 * (level + 1), len(hashes) // HASH, bytes(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]
        width = self.size % WIDTH
        return [Tile(None, self.size // WIDTH, width, bytes(self._bundle)), *tiles] if width else tiles

    def root(self) -> bytes:
        """Give the root."""
        above: list[bytes] = []
        for hashes in self._levels:
            here = _split(hashes) + above
            above = [root_of(here)] if here else []
        return above[0] if above else EMPTY


def widths(size: int) -> list[int]:
    """Give the width of the tile that is not full, by level, in a tree of this size."""
    found = []
    while size:
        found.append(size % WIDTH)
        size //= WIDTH
    return found


def entries_of(bundle: bytes) -> list[bytes]:
    """Give the entries of a bundle. Raises ValueError where it ends within one."""
    found = []
    place = 0
    while place < len(bundle):
        start = place + 2
        place = start + int.from_bytes(bundle[place:start], "big")
        found.append(bundle[start:place])
    if place != len(bundle):
        raise ValueError("the bundle ends within an entry")
    return found


def _split(hashes: bytes | bytearray) -> list[bytes]:
    return [bytes(hashes[start : start + HASH]) for start in range(0, len(hashes), HASH)]
