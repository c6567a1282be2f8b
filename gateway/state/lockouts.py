"""Lock-outs that gates share by their store, and the journal of each gate's own machine.

In the store, a lock-out has a name, and what befalls it is told by numbered events. Every gate takes them over into its
journal, so that a lock-out outlives restarts, and the store as well, and is shown and lifted on any machine. The
gate on whose machine it happened records it; the others do not.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import orjson

from gateway.core.barred import LOCKED, Caller, Thing
from gateway.core.message import Instant
from gateway.state.revocations import Entry, add, in_force

_ORIGIN = "origin"
"""File with the name of the machine's gates, in the folder of their state: at random, and for good."""


class What(NamedTuple):
    """What an event says: who, by whom and why, and on which machine."""

    caller: Caller
    by: str
    because: str
    origin: str

    def pack(self) -> bytes:
        """Write it."""
        return orjson.dumps((self.caller.thing.value, self.caller.value, self.by, self.because, self.origin))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read what `pack` wrote. Raises ValueError."""
        thing, value, by, because, origin = orjson.loads(data)
        caller = Caller(Thing(thing), str(value))
        if caller.thing not in LOCKED:
            raise ValueError("no caller")
        return cls(caller, str(by), str(because), str(origin))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that befell a lock-out."""

    number: int
    lock: str
    """The lock-out's name."""
    lifted: bool
    """Whether it was lifted; otherwise it began."""
    left: float
    """Seconds until it is over, at the time of asking."""
    what: What

    def entry(self, now: Instant, origin: str) -> Entry:
        """Give the journal's line of it, on a machine of this name."""
        thing, value = self.what.caller
        action, until = ("lift", None) if self.lifted else ("revoke", Instant(now + self.left))
        elsewhere = self.what.origin != origin
        return Entry(
            0, action, thing, value, now, until, self.what.by, self.what.because, lock=self.lock, elsewhere=elsewhere
        )


def take_over(folder: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Add to the journal what it does not have yet, of lock-outs that have a name; raises as `add` does.

    All workers of a machine may do so at once. A lifting counts for the lock-out of its name only: the caller may have
    been locked out again since.
    """
    return add(folder, entries, _missing)


def _missing(known: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
    there = {(entry.action, entry.lock) for entry in known if entry.lock is not None}
    locked = {key: entry for key, entry in in_force(known).items() if entry.thing in LOCKED}
    number = known[-1].number if known else 0
    missing: list[Entry] = []
    for entry in entries:
        if entry.lock is not None and (entry.action, entry.lock) in there:
            continue
        key, taken = (entry.thing, entry.value), entry
        if entry.action == "lift":
            lock = locked.get(key)
            if lock is None or lock.lock != entry.lock:
                continue
            taken = replace(entry, of=lock.number)
            del locked[key]
        else:
            locked[key] = replace(entry, number=number + len(missing) + 1)
        if entry.lock is not None:
            there.add((entry.action, entry.lock))
        missing.append(taken)
    return missing


def origin_of(folder: Path) -> str:
    """Give the name of the machine's gates; makes one where there is none. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _ORIGIN
    made = folder / f".{_ORIGIN}.{os.getpid()}"
    if not path.exists():
        made.write_text(os.urandom(8).hex(), encoding="ascii")
        try:
            with suppress(FileExistsError):  # another worker was faster
                os.link(made, path)
        finally:
            made.unlink()
    return path.read_text(encoding="ascii").strip()
