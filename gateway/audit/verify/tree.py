"""The Merkle tree of RFC 9162, section 2.1 (that of RFC 6962), as its verifier needs it: roots while leaves come in."""

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256().digest()


def leaf(entry: bytes) -> bytes:
    """Hash an entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def leaf_hashes(leaves: Iterable[bytes | memoryview]) -> list[bytes]:
    """Hash entries that stand behind the byte 0 that is hashed with them."""
    sha = hashlib.sha256
    return [sha(leaf).digest() for leaf in leaves]


def parent(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Peaks:
    """The whole subtrees from left to right, highest first, as a binary counter carries them."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def push(self, digest: bytes, height: int = 0) -> None:
        """Add a whole subtree of 2**height leaves; the tree so far is a multiple of that."""
        self.size += 1 << height
        while self._peaks and self._peaks[-1][0] == height:
            digest = parent(self._peaks.pop()[1], digest)
            height += 1
        self._peaks.append((height, digest))

    def root(self) -> bytes:
        """Give the root of the tree so far."""
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1][1]
        for _, digest in reversed(self._peaks[:-1]):
            found = parent(digest, found)
        return found

    def root_with(self, more: Sequence[bytes]) -> bytes:
        """Give the root of the tree with more leaves, without adding them."""
        copy = Peaks()
        copy.size, copy._peaks = self.size, list(self._peaks)
        for digest in more:
            copy.push(digest)
        return copy.root()


def subtree(leaves: Sequence[bytes]) -> bytes:
    """Give the root of a whole subtree, whose number of leaves is a power of two."""
    sha = hashlib.sha256
    while len(leaves) > 1:
        leaves = [sha(b"\1" + leaves[i] + leaves[i + 1]).digest() for i in range(0, len(leaves), 2)]
    return leaves[0]


def root_from_path(digest: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Give the root that an inclusion proof comes to (RFC 9162, section 2.1.3.2); None where it does not fit."""
    if index >= size:
        return None
    node, last = index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            digest = parent(sibling, digest)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            digest = parent(digest, sibling)
        node >>= 1
        last >>= 1
    return digest if last == 0 else None
