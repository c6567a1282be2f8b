"""The memory of claims: what was claimed stays claimed until its time is over, and what is not known is not guessed.

A claim is answered by the first of these that fits:

1. SEEN: the key is held
2. UNKNOWABLE: it would have been forgotten by now, or was dated before the memory begins
3. REPLAY_MEMORY_FULL: the space holds as many as it may
4. NEW: it is held from now on

Nothing here trusts the clock to go forward. Keys are forgotten in the order of the second in which their time ends,
and the latest such second is kept: a claim that ends no later may have been forgotten, whatever the clock says now.
So after a step back of the clock what is held is still SEEN, what was forgotten is UNKNOWABLE, and requests dated now
are NEW as soon as their window ends after the last one that was forgotten: after one window at most. Claims without
a date are UNKNOWABLE until the clock is where it was, but for a minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heappop, heappush
from math import ceil

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

KEY_BYTES = 16
"""Keys are kept as digests of this size: nobody finds two with the same one, and all cost the same memory."""

SWEEP = 32
"""Expired keys forgotten with each claim, at most. More than one, so that the memory shrinks under load."""

SLOW = 60.0
"""Seconds by which `now` may lie behind that of earlier claims though no clock stepped back: bodies come slowly."""

NEVER = float("-inf")


class Batch:
    """Keys whose time is over at the same second."""

    __slots__ = ("ends", "keys")

    def __init__(self, ends: int, keys: list[bytes] | None = None) -> None:
        self.ends = ends
        """From this second on they count no longer."""
        self.keys = [] if keys is None else keys


@dataclass(slots=True)
class Space:
    """The claims of one space.

    A key costs 100 to 140 bytes with CPython 3.13, depending on how full the dictionary is: 64 for the digest, 8 for
    its place in the batch, the rest for the dictionary.
    """

    held: dict[bytes, Batch] = field(default_factory=dict)
    batches: dict[int, Batch] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    """Heap of the batches' ends."""
    forgotten: float = NEVER
    """The latest end of a batch of which a key was forgotten."""

    def hold(self, key: bytes, ends: int) -> None:
        """Hold a key until the second `ends` begins."""
        batch = self.batches.get(ends)
        if batch is None:
            batch = self.batches[ends] = Batch(ends)
            heappush(self.order, ends)
        batch.keys.append(key)
        self.held[key] = batch

    def add(self, batch: Batch) -> None:
        """Hold a whole batch that ends after all others: a key in an earlier one was claimed again since."""
        self.batches[batch.ends] = batch
        heappush(self.order, batch.ends)
        self.held.update(dict.fromkeys(batch.keys, batch))

    def prolong(self, seconds: int) -> None:
        """Hold every key for so much longer. Costs as much as there are batches, not keys."""
        for batch in self.batches.values():
            batch.ends += seconds
        self.batches = {batch.ends: batch for batch in self.batches.values()}
        self.order = [ends + seconds for ends in self.order]

    def sweep(self, now: float, most: int = SWEEP) -> None:
        """Forget up to `most` keys whose time is over."""
        order, held = self.order, self.held
        while order and order[0] <= now and most > 0:
            ends = order[0]
            batch = self.batches[ends]
            self.forgotten = max(self.forgotten, ends)
            while batch.keys and most > 0:
                key = batch.keys.pop()
                most -= 1
                if held.get(key) is batch:  # not claimed again since
                    del held[key]
            if not batch.keys:
                heappop(order)
                del self.batches[ends]


class Nonces:
    """Claims by space, at most `capacity` in each."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.spaces: dict[str, Space] = {}
        self.floor: float = NEVER
        """Whatever is dated up to here may have been claimed and forgotten."""
        self.lost: float = NEVER
        """As `floor`, but for a loss of the whole memory: it concerns claims without a date, too."""
        self.max_age: float = 0.0
        """Seconds from its date for which every dated claim is held at least."""
        self._rounds: Iterator[Space] = iter(())

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim:
        """Answer a claim. Raises Unavailable(REPLAY_MEMORY_FULL).

        Costs the same however many are held: a few expired keys of this space and of one other are forgotten on the
        way.
        """
        name, long_key, dated, until = ask
        key = blake2b(long_key, digest_size=KEY_BYTES).digest()
        space = self.spaces.get(name)
        if space is None:
            space = self.spaces[name] = Space()
        held = space.held.get(key)
        if held is not None and held.ends > now:
            return Claim.SEEN
        if dated is None:
            ends = int(until) + 1  # after `until`, which itself still counts
            # Claimed before, it may have ended at any time from now on.
            forgotten = space.forgotten > now + SLOW
            # It may be as old as the time for which it is remembered.
            lost = now - (until - now) <= self.lost
        else:
            ends = int(max(until, dated + self.max_age)) + 1
            forgotten = ends <= space.forgotten
            lost = dated <= self.floor or dated <= self.lost
        if ends <= now or forgotten or lost:
            return Claim.UNKNOWABLE
        for due in (space, self._next()) if len(self.spaces) > 1 else (space,):
            if due.order and due.order[0] <= now:
                due.sweep(now)
        if len(space.held) >= self.capacity:
            raise Unavailable(Reason.REPLAY_MEMORY_FULL, f"{self.capacity} nonces of {name} are remembered")
        space.hold(key, ends)
        return Claim.NEW

    def _next(self) -> Space:
        """Give the spaces in turn, so that those nobody claims in shrink too."""
        space = next(self._rounds, None)
        if space is None:
            self._rounds = iter(list(self.spaces.values()))
            space = next(self._rounds)
        return space

    def take_over(self, spaces: dict[str, Space], max_age: float) -> None:
        """Take over the claims of an earlier run, which held dated ones for `max_age` seconds."""
        self.spaces, self.max_age = spaces, max_age

    def raise_floor(self, to: float) -> None:
        """Have whatever is dated up to `to` be UNKNOWABLE unless it is held; a lower floor changes nothing."""
        self.floor = max(self.floor, to)

    def lose(self, to: float) -> None:
        """As `raise_floor`, for a memory that was lost as a whole."""
        self.lost = max(self.lost, to)

    def widen(self, max_age: float) -> None:
        """Hold dated claims for `max_age` seconds from their date, those that are held already as well.

        Where that is longer than before, what was forgotten by the shorter time is no longer knowable.
        """
        if max_age > self.max_age:
            forgotten = max((space.forgotten for space in self.spaces.values()), default=NEVER)
            self.raise_floor(forgotten - self.max_age)
            for space in self.spaces.values():
                space.prolong(ceil(max_age - self.max_age))
        self.max_age = max_age

    def __len__(self) -> int:
        """Give how many claims are held in memory, those included whose time is over and are not swept yet."""
        return sum(len(space.held) for space in self.spaces.values())
