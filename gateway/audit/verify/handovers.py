"""Keys that took over from others: whom the keys that were given vouch for, and from which size of the tree to which.

1. each handover must be signed by both keys that it names
2. a key that is trusted vouches for the one that it handed over to, and for the one that it took over from
3. a key that handed over signs nothing larger, one that took over nothing smaller
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.verify.notes import Checkpoint, InvalidNoteError, Key, notes_of, read_note

FILE = "handovers"
TITLE = "gateway key handover"

_ENDLESS = 1 << 63
_TEXT = re.compile(
    re.escape(TITLE) + r"\n(?P<origin>[^\s+]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"(?P<old>[^\n]+)\n(?P<new>[^\n]+)\n\Z"
)


@dataclass(frozen=True, slots=True)
class Handover:
    """That one key took over from another."""

    origin: str
    size: int
    root: bytes
    old: Key
    new: Key
    note: str

    @classmethod
    def read(cls, note: str) -> "Handover":
        """Read one, and verify both signatures. Raises InvalidNoteError."""
        match = _TEXT.match(f"{note.rpartition('\n\n')[0]}\n")
        if match is None:
            raise InvalidNoteError("it is no handover")
        old, new = Key.parse(match["old"]), Key.parse(match["new"])
        for key in (old, new):
            read_note(note, [key])
        if not old.name == new.name == match["origin"]:
            raise InvalidNoteError(f"its keys are not those of {match['origin']}")
        return cls(match["origin"], int(match["size"]), base64.b64decode(match["root"]), old, new, note)

    @property
    def checkpoint(self) -> Checkpoint:
        """What both keys say of the tree."""
        return Checkpoint(self.origin, self.size, self.root, self.new, self.note)


@dataclass(frozen=True, slots=True)
class Known:
    """The keys that count, and what is wrong with the handovers."""

    keys: list[Key]
    handovers: list[Handover]
    """Those that a trusted key has signed."""
    problems: list[str] = field(default_factory=list)

    def of_size(self, size: int) -> list[Key]:
        """Give the keys that may sign a tree of this size."""
        return [key for key in self.keys if self._least(key) <= size <= self._most(key)]

    def _least(self, key: Key) -> int:
        return max((one.size for one in self.handovers if one.new == key), default=0)

    def _most(self, key: Key) -> int:
        return min((one.size for one in self.handovers if one.old == key), default=_ENDLESS)


def known(tlog: Path, keys: Iterable[Key]) -> Known:
    """Follow the handovers of a log from the keys that are trusted. Raises OSError."""
    try:
        text = (tlog / FILE).read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return Known(list(keys), [])
    left: list[Handover] = []
    found = Known(list(keys), [])
    for note in notes_of(text):
        try:
            left.append(Handover.read(note))
        except InvalidNoteError as error:
            found.problems.append(f"{tlog.name}/{FILE}: {error}")
    while following := [one for one in left if one.old in found.keys or one.new in found.keys]:
        found.handovers.extend(following)
        left = [one for one in left if one not in following]
        found.keys.extend({key for one in following for key in (one.old, one.new)} - set(found.keys))
    found.problems.extend(f"{tlog.name}/{FILE}: the key {one.new} took over from one that nobody knows" for one in left)
    return found
