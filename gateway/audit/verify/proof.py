"""Proofs that a record is in the log (C2SP tlog-proof): made of the tiles, and checked alone, without the log.

A proof of ours carries the record itself as its extra data: whoever has the log's public key needs nothing else.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.verify.files import FOLDER, WIDTH, Tiles
from gateway.audit.verify.notes import Checkpoint, InvalidNoteError, Key, read_checkpoint
from gateway.audit.verify.tree import leaf, parent, root_from_path, subtree

MAX_PROOF = 262_144
"""Bytes: a record of 64 KiB, 64 hashes and a checkpoint, in base64."""

_FORMAT = "c2sp.org/tlog-proof@v1"
_EXTRA = re.compile(r"extra ([A-Za-z0-9+/=]*)\Z")
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})\Z", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9+/]{43}=\Z")


class ProofError(Exception):
    """A proof that cannot be made, or does not prove anything; the message says why."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows: this record is at this place of the tree that was signed."""

    sequence: int
    record: bytes
    checkpoint: Checkpoint


def prove(directory: Path, sequence: int, keys: Sequence[Key]) -> str:
    """Make the proof of a record, of the last checkpoint of the log in a folder. Raises ProofError and OSError."""
    tiles = Tiles(directory / FOLDER)
    note = tiles.text("checkpoint")
    if note is None:
        raise ProofError(f"{directory} has no checkpoint yet")
    try:
        checkpoint = read_checkpoint(note, keys)
    except InvalidNoteError as error:
        raise ProofError(f"the log's checkpoint: {error}") from None
    if not 1 <= sequence <= checkpoint.size:
        raise ProofError(f"there is no record {sequence} in {checkpoint}")
    index = sequence - 1
    bundle = tiles.entries(index // WIDTH, min(WIDTH, checkpoint.size - index // WIDTH * WIDTH))
    if bundle is None:
        raise ProofError(f"the bundle with record {sequence} is not there: was it deleted?")
    record = bundle[index % WIDTH]
    path = _Tree(tiles).path(index, checkpoint.size)
    if root_from_path(leaf(record), index, checkpoint.size, path) != checkpoint.root:
        raise ProofError(f"record {sequence} is not in the tree that was signed: run `gateway audit verify`")
    lines = [_FORMAT, f"extra {_base64(record)}", f"index {index}", *map(_base64, path), "", note]
    return "\n".join(lines)


def check_proof(text: str, keys: Sequence[Key], record: bytes | None = None) -> Proven:
    """Check a proof by the log's public key; `record` stands in for one that brings none. Raises ProofError."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != _FORMAT or len(text) > MAX_PROOF:
        raise ProofError(f"it is no proof: it does not begin with {_FORMAT}")
    extra = _EXTRA.match(lines[0]) if lines else None
    if extra is not None:
        lines.pop(0)
        record = record or _decoded(extra[1])
    index = _INDEX.match(lines.pop(0)) if lines else None
    if index is None or not all(_HASH.match(line) for line in lines) or len(lines) > 63:
        raise ProofError("it is no proof: index or hashes cannot be read")
    if record is None:
        raise ProofError("it does not bring the record: give the record beside it")
    try:
        checkpoint = read_checkpoint(note, keys)
    except InvalidNoteError as error:
        raise ProofError(f"its checkpoint: {error}") from None
    root = root_from_path(leaf(record), int(index[1]), checkpoint.size, [_decoded(line) for line in lines])
    if root != checkpoint.root:
        raise ProofError("the record and the hashes do not come to the root that was signed")
    return Proven(int(index[1]) + 1, record, checkpoint)


class _Tree:
    """Hashes of subtrees, from the tiles."""

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles

    def path(self, index: int, size: int) -> list[bytes]:
        """Give the inclusion proof of a leaf, its sibling first (RFC 9162, section 2.1.3.1)."""
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _below(end - start)
            if index < middle:
                path.append(self._root(middle, end, size))
                end = middle
            else:
                path.append(self._root(start, middle, size))
                start = middle
        return path[::-1]

    def _root(self, start: int, end: int, size: int) -> bytes:
        """Give the root of the subtree from one leaf until before another."""
        width = end - start
        if width & (width - 1) == 0:
            return self._whole(start, width.bit_length() - 1, size)
        middle = start + _below(width)
        return parent(self._root(start, middle, size), self._root(middle, end, size))

    def _whole(self, start: int, height: int, size: int) -> bytes:
        """Give the root of a whole subtree: of the hashes in the tile that has it."""
        level, rest = divmod(height, 8)
        first = start >> 8 * level
        tile, place = divmod(first, WIDTH)
        count = min(WIDTH, (size >> 8 * level) - tile * WIDTH)
        hashes = self._tiles.hashes(level, tile, count)
        if hashes is None:
            raise ProofError(f"tile {tile} of level {level} is not there")
        return subtree(hashes[place : place + (1 << rest)])


def _below(width: int) -> int:
    """Give the largest power of two below a number."""
    return 1 << (width - 1).bit_length() - 1


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ProofError("it is no proof: its base64 cannot be read") from None
