"""Consistency proofs (RFC 6962, section 2.1.2): that one tree goes on from another."""

from gateway.audit.tlog.merkle import node_hash, root_of
from gateway.audit.tlog.tiles import Tiles
from gateway.audit.tlog.tree import WIDTH


def consistency_proof(tiles: Tiles, old: int, new: int) -> list[bytes]:
    """Prove that the tree of `new` entries, whose tiles are there, goes on from that of `old`.

    Raises OSError and ValueError where tiles are not all there.
    """
    return [] if old in (0, new) else _Proof(tiles, new).below(old, 0, new, known=True)


class _Proof:
    def __init__(self, tiles: Tiles, size: int) -> None:
        self._tiles = tiles
        self._size = size

    def below(self, old: int, start: int, end: int, *, known: bool) -> list[bytes]:
        """Give the proof for the subtree from `start`, of which `old` is the end of the old tree's part.

        `known` says that the old tree's root is this subtree's, so that its hash need not be told.
        """
        if old == end:
            return [] if known else [self._root(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [*self.below(old, start, middle, known=known), self._root(middle, end)]
        return [*self.below(old, middle, end, known=False), self._root(start, middle)]

    def _root(self, start: int, end: int) -> bytes:
        count = end - start
        if count & (count - 1):
            middle = start + _split(count)
            return node_hash(self._root(start, middle), self._root(middle, end))
        level, rest = divmod(count.bit_length() - 1, 8)
        tile, place = divmod(start >> 8 * level, WIDTH)
        hashes = self._tiles.hashes(level, tile, min(WIDTH, (self._size >> 8 * level) - tile * WIDTH))
        return root_of(b"".join(hashes[place : place + (1 << rest)]))


def _split(count: int) -> int:
    """Give the largest power of two below a number."""
    return 1 << (count - 1).bit_length() - 1
