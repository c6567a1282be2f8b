"""Whether a string to sign can be read in one way only.

A signature protects the string, not the parts: two requests whose parts give the same string have the same signature.
So each part must be told from its neighbours. Parts of fixed length are; a part that is followed by a delimiter (the
separator, or a literal) is, as long as its value does not hold that delimiter; one part may hold anything, as the
string can be read from both ends towards it. `Layout` finds that part, the guards that the others need, and those
that nothing tells apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase, digits

from gateway.signing.encoding import TimestampFormat
from gateway.signing.parts import (
    DERIVED,
    Body,
    BodyDigest,
    Crc32,
    Field,
    Header,
    Literal,
    Method,
    Part,
    Path,
    Query,
    QueryWithout,
    Shared,
    Target,
    Timestamp,
)

_ALPHABETS: Mapping[type[Part], str] = {
    Method: ascii_uppercase,
    Crc32: digits,
    Timestamp: f"{digits}-+:.TZ",
}
"""All that some parts can hold."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A delimiter that the value of `part` must not hold: where it holds it, content could move between parts."""

    part: Part
    delimiter: bytes
    follows: bool
    """Whether the delimiter stands after the value; else before it."""

    def refuses(self, value: bytes) -> bool:
        """Whether the value and the delimiter beside it can be read in another way."""
        if self.follows:
            return (value + self.delimiter).find(self.delimiter) != len(value)
        return (self.delimiter + value).rfind(self.delimiter) != 0


@dataclass(frozen=True, slots=True)
class Layout:
    """How the parts of a string to sign are told apart."""

    guards: tuple[Guard, ...]
    run_together: tuple[Part, ...]
    """Neighbours between which content can move unnoticed; empty where the string has one reading only."""

    @classmethod
    def of(cls, parts: Sequence[Part], separator: bytes, timestamp_format: TimestampFormat) -> "Layout":
        """Lay out the parts. Raises ValueError where no request could pass a guard."""
        slots, gaps = _slots(parts, separator)
        free = max(range(len(slots)), key=lambda index: _freedom(slots[index], timestamp_format), default=0)
        guards: list[Guard] = []
        left = 0
        while left < free and _ends(slots, gaps, left, timestamp_format):
            guards.append(Guard(slots[left], gaps[left + 1], follows=True))
            left += 1
        right = len(slots) - 1
        while right > free and (gaps[right] or _is_fixed(slots[right], timestamp_format)):
            guards.append(Guard(slots[right], gaps[right], follows=False))
            right -= 1
        needed = tuple(guard for guard in guards if _may_hold(guard, timestamp_format))
        for guard in needed:
            if isinstance(guard.part, Timestamp) and guard.refuses(b"2026-11-22T10:00:00Z"):
                raise ValueError(f"every RFC 3339 time holds {guard.delimiter!r}: use unix, or another separator")
        return cls(needed, tuple(slots[left : right + 1]) if left < right else ())


def _slots(parts: Sequence[Part], separator: bytes) -> tuple[list[Part], list[bytes]]:
    """Give the parts that vary, and the constant bytes before each and after the last."""
    slots: list[Part] = []
    gaps: list[bytes] = []
    gap = b""
    for index, part in enumerate(parts):
        if index:
            gap += separator
        if isinstance(part, Literal):
            gap += part.text.encode()
        elif not isinstance(part, Shared):  # the same in every request of a key, and known to nobody else
            slots.append(part)
            gaps.append(gap)
            gap = b""
    return slots, [*gaps, gap]


def _freedom(part: Part, form: TimestampFormat) -> int:
    """Rank the parts by what a guard would cost them: the one with the most is the one that may hold anything."""
    if isinstance(part, Body) or (isinstance(part, DERIVED) and not isinstance(part, (Crc32, Field, QueryWithout))):
        return 4
    if isinstance(part, (Target, Path)):
        return 3
    if isinstance(part, (Query, QueryWithout, Header)) or (isinstance(part, Field) and part.free):
        return 2
    return 0 if _is_fixed(part, form) else 1


def _ends(slots: Sequence[Part], gaps: Sequence[bytes], index: int, form: TimestampFormat) -> bool:
    """Whether a reader from the left can tell where the part ends."""
    if gaps[index + 1] or _is_fixed(slots[index], form):
        return True
    # Methods are letters and paths begin with a slash.
    return isinstance(slots[index], Method) and isinstance(slots[index + 1], (Path, Target))


def _is_fixed(part: Part, form: TimestampFormat) -> bool:
    return isinstance(part, BodyDigest) or (isinstance(part, Timestamp) and form != "rfc3339")


def _may_hold(guard: Guard, form: TimestampFormat) -> bool:
    """Whether a value can hold what a guard looks for, so that reading every value for it is not in vain."""
    part = guard.part
    if not guard.delimiter or _is_fixed(part, form):
        return False
    byte = guard.delimiter[0] if guard.follows else guard.delimiter[-1]
    if isinstance(part, Header):
        return byte >= 0x20 or byte == 0x09
    alphabet = next((text for kind, text in _ALPHABETS.items() if isinstance(part, kind)), None)
    if alphabet is not None:
        return chr(byte) in alphabet
    return (isinstance(part, DERIVED) and not isinstance(part, QueryWithout)) or 0x21 <= byte <= 0x7E
