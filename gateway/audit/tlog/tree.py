"""The right edge of the tree: all that has to be known to add entries, and to give the root."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.tlog.merkle import EMPTY, HASH, Leaf, leaf_hashes, root_of

WIDTH = 256
"""Hashes in a full tile, and entries in a full bundle."""

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
        self._bundle: list[Leaf] = [bundle] if bundle else []
        """Pieces of the bundle that is not full."""
        self._levels = list(levels) or [b""]
        """Hashes of the tile that is not full, by level."""

    def extend(self, leaves: Sequence[Leaf]) -> list[Tile]:
        """Add entries, each behind the byte 0 that is hashed with it; gives the tiles that they filled."""
        filled: list[Tile] = []
        start = 0
        while some := leaves[start : start + WIDTH - self.size % WIDTH]:
            start += len(some)
            self._bundle += [part for leaf in some for part in ((len(leaf) - 1).to_bytes(2), leaf[1:])]
            self._levels[0] += leaf_hashes(some)
            self.size += len(some)
            if not self.size % WIDTH:
                filled.append(Tile(None, self.size // WIDTH - 1, WIDTH, b"".join(self._bundle)))
                filled += self._fill()
                self._bundle.clear()
        return filled

    def _fill(self) -> list[Tile]:
        filled = []
        for level, hashes in enumerate(self._levels):
            if len(hashes) < WIDTH * HASH:
                break
            filled.append(Tile(level, (self.size >> 8 * (level + 1)) - 1, WIDTH, hashes))
            if level + 1 == len(self._levels):
                self._levels.append(b"")
            self._levels[level + 1] += root_of(hashes)
            self._levels[level] = b""
        return filled

    def partial(self) -> list[Tile]:
        """Give the tiles that are neither full nor empty."""
        tiles = [
            Tile(level, self.size >> 8 * (level + 1), len(hashes) // HASH, hashes)
            for level, hashes in enumerate(self._levels)
            if hashes
        ]
        width = self.size % WIDTH
        return [Tile(None, self.size // WIDTH, width, b"".join(self._bundle)), *tiles] if width else tiles

    def root(self) -> bytes:
        """Give the root."""
        above = b""
        for hashes in self._levels:
            here = hashes + above
            above = root_of(here) if here else b""
        return above or EMPTY


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
