"""The memory of claims: what was claimed stays claimed until its time is over, and what is not known is not guessed.

A claim is answered by the first of these that fits:

1. SEEN: the key is held
2. UNKNOWABLE: it would have been forgotten by now, or was dated before the memory begins
3. REPLAY_MEMORY_FULL: the space holds as many as it may
4. NEW: it is held from now on

Nothing here trusts the clock to go forward. The latest second in which the time of a forgotten key ended is kept: a
claim that ends no later may have been forgotten, whatever the clock says now. So after a step back of the clock what
is held is still SEEN, what was forgotten is UNKNOWABLE, and requests dated now are NEW as soon as their window ends
after the last one that was forgotten: after one window at most. Claims without a date are UNKNOWABLE until the clock is
where it was, but for a minute.

A key is held as a fingerprint of 64 bits. Two keys with the same one are taken for the same: the second is SEEN though
it never came, and is denied. That a replay is taken does not come of it. With a million keys in a space it happens to
one claim in 18 million millions (5e-14), and nobody can bring it about: fingerprints are made with a secret.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from math import ceil
from secrets import token_bytes

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.space import FINGERPRINT_BYTES, NEVER, Space

SECRET_BYTES = blake2b.SALT_SIZE + blake2b.PERSON_SIZE
"""The secret is BLAKE2b's salt and personalisation: random bytes there cost no block of their own, as a key does."""

TURN = 4
"""A bucket is tended with one claim of so many as there are records in one for each: one of twelve, mostly. What is
over stays for a quarter of the time in which as many come, at most; smaller would cost more with each claim."""

LOOKS = 4
"""Buckets looked through for room before a claim is refused because its space is full: some 200 records."""

SLOW = 60.0
"""Seconds by which `now` may lie behind that of earlier claims though no clock stepped back: bodies come slowly."""

_number = int.from_bytes


@dataclass(frozen=True, slots=True)
class Held:
    """All claims, as one run leaves them to the next."""

    secret: bytes = field(repr=False)
    spaces: dict[str, Space]


class Nonces:
    """Claims by space, at most `capacity` in each."""

    def __init__(self, capacity: int) -> None:
        self.floor: float = NEVER
        """Whatever is dated up to here may have been claimed and forgotten."""
        self.lost: float = NEVER
        """As `floor`, but for a loss of the whole memory: it concerns claims without a date, too."""
        self.max_age: float = 0.0
        """Seconds from its date for which every dated claim is held at least."""
        self._capacity = capacity
        self._turn = 0
        """Which of the spaces is tended next though nobody may claim in it any more."""
        self.take_over(Held(token_bytes(SECRET_BYTES), {}), 0.0)

    @property
    def held(self) -> Held:
        """What to leave to the next run, beside `floor`, `lost` and `max_age`."""
        return Held(self._secret, self._spaces)

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim:
        """Answer a claim. Raises Unavailable(REPLAY_MEMORY_FULL).

        Costs the same however many are held: with some claims a bucket of this space and one of another are tended.
        """
        name, key, dated, until = ask
        hashed = self._blank.copy()
        hashed.update(key)
        fingerprint = hashed.digest()
        space = self._spaces.get(name)
        if space is None:
            space = self._open(name)
        buckets = space.buckets
        index = _number(fingerprint) & space.mask  # as `space.place`, without the call
        if index >= len(buckets):
            index &= space.mask >> 1
        held = None
        if buckets[index].find(fingerprint) >= 0:
            held = space.end(index, fingerprint)
            if held is not None and held > now:
                return Claim.SEEN
        if dated is None:
            ends = int(until) + 1  # after `until`, which itself still counts
            # Claimed before, it may have ended at any time from now on.
            forgotten = space.forgotten > now + SLOW
            # It may be as old as the time for which it is remembered.
            lost = now - (until - now) <= self.lost
        else:
            least = dated + self.max_age
            ends = int(least if least > until else until) + 1  # noqa: FURB136 - `max` takes three times as long
            forgotten = ends <= space.forgotten
            lost = dated <= self.floor or dated <= self.lost
        if ends <= now or forgotten or lost:
            return Claim.UNKNOWABLE
        if held is not None:
            space.forget(index, now)
        if not space.rest:
            self._tend(name, space, now)
            index = space.place(fingerprint)
        space.hold(index, fingerprint, ends)
        return Claim.NEW

    def _tend(self, name: str, space: Space, now: float) -> None:
        """Tend a space, and one of the others; see how many claims it may take until the next time."""
        _, left = space.tend(now)
        for _ in range(LOOKS):
            if space.count < self._capacity:
                break
            space.search(now)
        room = self._capacity - space.count
        if room <= 0:
            raise Unavailable(Reason.REPLAY_MEMORY_FULL, f"{self._capacity} nonces of {name} are remembered")
        claims = min(left // TURN or 1, room)
        if len(self._all) > 1:
            other = self._all[self._turn]
            over, left = other.tend(now)
            if over >= left and other.count:
                claims = 1  # it is mostly over: go on with it at once
            else:
                self._turn = (self._turn + 1) % len(self._all)
        space.allow(claims)

    def _open(self, name: str) -> Space:
        space = self._spaces[name] = Space()
        self._all.append(space)
        return space

    def take_over(self, held: Held, max_age: float) -> None:
        """Take over the claims of an earlier run, which held dated ones for `max_age` seconds."""
        self.max_age = max_age
        self._secret, self._spaces = held.secret, held.spaces
        salt, person = held.secret[: blake2b.SALT_SIZE], held.secret[blake2b.SALT_SIZE :]
        self._blank = blake2b(digest_size=FINGERPRINT_BYTES, salt=salt, person=person)
        self._all = list(self._spaces.values())
        self._turn = 0

    def bound(self, capacity: int) -> None:
        """Have each space hold so many claims at most; what is held beyond that stays."""
        self._capacity = capacity
        for space in self._all:
            space.allow(0)

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
            forgotten = max((space.forgotten for space in self._all), default=NEVER)
            self.raise_floor(forgotten - self.max_age)
            for space in self._all:
                space.prolonged += ceil(max_age - self.max_age)
        self.max_age = max_age

    def __len__(self) -> int:
        """Give how many claims are held in memory, those included whose time is over and are not swept yet."""
        return sum(space.count for space in self._all)
