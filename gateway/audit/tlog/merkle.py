"""Hashes of the Merkle tree (RFC 6962, section 2.1), many at a time: hashes stand one behind the other."""

from collections.abc import Iterable
from hashlib import sha256

type Leaf = bytes | memoryview
"""An entry behind the byte 0 that is hashed with it."""

HASH = 32
"""Bytes of a hash."""

EMPTY = sha256(b"").digest()
"""Root of the tree without entries."""


def leaf_hashes(leaves: Iterable[Leaf]) -> bytes:
    """Hash leaves."""
    sha = sha256
    return b"".join([sha(leaf).digest() for leaf in leaves])


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees to the one above them."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: bytes) -> bytes:
    """Give the root above subtrees of one height, of which the last may be lower and incomplete.

    Pairs are hashed level by level; one that is left over at the right goes up as it is. That is the same tree as the
    RFC's, which splits at the largest power of two.
    """
    sha, pair = sha256, 2 * HASH
    while len(hashes) > HASH:
        whole = len(hashes) - len(hashes) % pair
        above = [sha(b"\x01" + hashes[place : place + pair]).digest() for place in range(0, whole, pair)]
        hashes = b"".join(above) + hashes[whole:]
    return hashes or EMPTY
