"""Hashes of the Merkle tree (RFC 6962, section 2.1)."""

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""Root of the tree without entries."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees to the one above them."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Give the root above subtrees of one height, of which the last may be lower and incomplete.

    Pairs are hashed level by level; one that is left over at the right goes up as it is. That is the same tree as the
    RFC's, which splits at the largest power of two.
    """
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [node_hash(left, right) for left, right in pairs] + (level[-1:] if len(level) % 2 else [])
    return level[0] if level else EMPTY
