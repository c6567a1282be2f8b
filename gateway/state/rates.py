"""Counting requests, by the `limits` library in memory.

The library counts: `incr` and `get` of its storage, which are all that its strategies come down to where one thread
decides. What it does beside that is kept from happening here: its storage starts a timer thread with each
count that looks at every key, and keeps a lock for each. In their place expired counters are let go of a few at a
time, in the order in which they expire, and one lock serves all: the gate decides on one thread.

Bursts, and days and months of the calendar, are counted elsewhere (`bursts`, `quotas`).

A sliding window ends at the request's own time. A fixed window ends by the
system's clock, which the library reads itself: where that steps back, the window lasts longer by as much.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from heapq import heappop, heappush
from math import floor

from limits.storage import MemoryStorage

from gateway.core.chain import RateLimit, RateState, RateTaken, Take, TakeRate
from gateway.core.counters import PartnerCounters, mark_of
from gateway.core.memo import Bounded, Memo
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.bursts import Bursts
from gateway.state.quotas import Quotas

MAX_COUNTERS = 250_000
"""Counters kept at most, some 60 MB. Beyond that only callers that are being counted already are served."""

SWEEP = 4
"""Expired counters let go of with each ask, at most."""

_BELOW = 0.001
"""Seconds after which a count that falls to a number has fallen below it."""


class _Idle(threading.Timer):
    """Stands where the storage looks for its timer: never started, and always said to be at work."""

    def __init__(self) -> None:
        super().__init__(0, lambda: None)

    def is_alive(self) -> bool:
        return True


class _OneLock(defaultdict[str, threading.RLock]):
    """One lock under every key, and none stored."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def __missing__(self, _key: str) -> threading.RLock:
        return self._lock


class _Expirations(dict[str, float]):
    """When each counter expires, in order as well."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[float, str]] = []

    def __setitem__(self, key: str, at: float) -> None:
        super().__setitem__(key, at)
        heappush(self.order, (at, key))


class Rates:
    """Buckets of requests."""

    def __init__(self, max_counters: int = MAX_COUNTERS) -> None:
        self._max_counters = max_counters
        self._storage = storage = MemoryStorage()
        storage.timer.cancel()
        storage.timer.join()
        storage.timer = _Idle()
        storage.locks = _OneLock()
        self._expirations = storage.expirations = _Expirations()
        self._fixed = _Fixed(storage)
        self._sliding = _Sliding(storage)
        self.quotas = Quotas(max_counters)
        self._bursts = Bursts(max_counters)
        self._names = Memo(_name, size=lambda bucket: sum(map(len, bucket[2])))
        self._counted = Bounded[int, tuple[TakeRate, "Counted"]](size=int.bit_length)
        """What is counted for asks that come again, by the identity of the ask that is held with it."""

    def __len__(self) -> int:
        """Give how many counters are kept."""
        return len(self._expirations) + len(self._bursts) + len(self.quotas)

    def take(self, ask: TakeRate, now: Instant) -> RateTaken:
        """Take from every bucket, or from none where one of them is exhausted.

        Raises Unavailable(STATE_UNAVAILABLE) where counters would be needed beyond the most that may be kept.
        """
        order = self._expirations.order
        if order and order[0][0] <= now:
            self._sweep(now, SWEEP)
        known = self._counted.get(id(ask))
        counted = self._count(ask) if known is None else known[1]
        if len(self._expirations) + len(counted) > self._max_counters:
            self._make_room(counted, now)
        if len(counted) == 1 and counted[0][2].cost == 1:
            window, name, take = counted[0]
            state = window.take(name, take, now)
            return RateTaken(state.allowed, (state,))
        states = tuple([window.look(name, take, now) for window, name, take in counted])
        if [state for state in states if not state.allowed]:
            return RateTaken(False, states)
        # Two takes from one bucket may both find room and not both get it: then what was taken stays taken.
        states = tuple([window.take(name, take, now) for window, name, take in counted])
        return RateTaken(not [state for state in states if not state.allowed], states)

    def used(self, take: Take, now: Instant) -> int:
        """Tell what is used of a bucket, and change nothing."""
        name = self._names[take.limit.window, take.limit.kind, take.key, take.whose]
        try:
            return take.limit.room - self._counting(take.limit).look(name, take, now).remaining
        except Unavailable:
            return 0  # there is no room to count it, so it is not counted

    def charge(self, takes: tuple[Take, ...], now: Instant) -> None:
        """Take from each bucket whether it fits or not. Raises Unavailable(STATE_UNAVAILABLE): a quota, not written."""
        for take in takes:
            name = self._names[take.limit.window, take.limit.kind, take.key, take.whose]
            self._counting(take.limit).charge(name, take, now)

    def count(self, counters: Iterable[PartnerCounters]) -> int:
        """Tell how many counters would begin anew."""
        which = self._which(counters)
        return len(self._found(which)) + len(self._bursts.found(which)) + len(self.quotas.found(which))

    def forget(self, counters: Iterable[PartnerCounters]) -> int:
        """Have counters begin anew; gives how many there were. Raises Unavailable(STATE_UNAVAILABLE)."""
        which = self._which(counters)
        found = self._found(which)
        for key in found:
            self._storage.storage.pop(key, None)
            del self._expirations[key]
        return len(found) + self._bursts.forget(which) + self.quotas.forget(which)

    def _found(self, which: Callable[[str], bool]) -> list[str]:
        return [key for key in self._expirations if which(key.partition("/")[0])]

    def _which(self, counters: Iterable[PartnerCounters]) -> Callable[[str], bool]:
        """Give what tells by their names which counters are meant."""
        names, marks = set[str](), set[str]()
        for each in counters:
            names.update(self._names[one.limit.window, one.limit.kind, one.key, None] for one in each.takes)
            if each.mixed:
                marks.add(each.mark)

        return lambda name: name in names or name.rpartition(":")[2] in marks

    def _count(self, ask: TakeRate) -> "Counted":
        limits = [take.limit for take in ask.takes]
        names = [
            self._names[limit.window, limit.kind, take.key, take.whose]
            for limit, take in zip(limits, ask.takes, strict=True)
        ]
        counted = list(zip(map(self._counting, limits), names, ask.takes, strict=True))
        self._counted.keep(id(ask), (ask, counted))
        return counted

    def _counting(self, limit: RateLimit) -> "Counting":
        if limit.burst is not None:
            return self._bursts
        return self.quotas if limit.calendar else self._sliding if limit.sliding else self._fixed

    def _make_room(self, counted: "Counted", now: Instant) -> None:
        self._sweep(now, len(self._expirations))
        if len(self._expirations) + len(counted) <= self._max_counters:
            return
        for window, name, take in counted:
            if isinstance(window, _Fixed | _Sliding) and window.look(name, take, now).remaining >= take.limit.amount:
                raise Unavailable(Reason.STATE_UNAVAILABLE, f"{self._max_counters} rate counters are in use")

    def _sweep(self, now: float, most: int) -> None:
        order, expirations = self._expirations.order, self._expirations
        while order and order[0][0] <= now and most > 0:
            at, key = order[0]
            self._storage.get(key)  # lets go of it where it has expired by the library's own clock
            if expirations.get(key) == at:
                return
            heappop(order)
            most -= 1


def _name(bucket: tuple[int, bool | str, tuple[str, ...], str | None]) -> str:
    """Give the name a bucket is counted under: a digest of the window and the key, so that none is spelt as another.

    What is counted by a partner and something else has the partner's mark at its end.
    """
    *counted, key, whose = bucket
    name = blake2b(repr((*counted, key)).encode(), digest_size=16).hexdigest()
    return name if whose is None else f"{name}:{mark_of(key[0], key[1], whose)}"


class _Fixed:
    """Windows that begin with their first request, as the library's FixedWindowRateLimiter counts them."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    def look(self, name: str, take: Take, now: Instant) -> RateState:
        """Tell whether there is room, and how much."""
        used = self._storage.get(name)
        return self._state(name, take.limit, used, used + take.cost <= take.limit.amount, now)

    def take(self, name: str, take: Take, now: Instant) -> RateState:
        """Take where there is room."""
        used = self._storage.incr(name, take.limit.window, take.cost)
        return self._state(name, take.limit, used, used <= take.limit.amount, now)

    def charge(self, name: str, take: Take, now: Instant) -> None:
        """Take whether there is room or not."""
        del now
        self._storage.incr(name, take.limit.window, take.cost)

    def _state(self, name: str, limit: RateLimit, used: int, allowed: bool, now: Instant) -> RateState:
        ends = self._storage.expirations.get(name, now)
        return RateState(limit, allowed, max(limit.amount - used, 0), min(max(ends - now, 0.0), limit.window))


class _Sliding:
    """Windows that slide, as the library's SlidingWindowCounterRateLimiter counts them.

    Each window of the clock has its counter; that of the previous one weighs as much as the sliding window still
    holds of it.
    """

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._counters = storage.storage
        """Read directly: names tell windows apart, so none counts that the library would have let go of."""
        self._keys = Bounded[str, tuple[float, str, str]](capacity=16_384)
        """Number of the last window of the clock, and the names of its counter and of the one before, by bucket."""

    def look(self, name: str, take: Take, now: Instant) -> RateState:
        """Tell whether there is room, and how much."""
        return self._count(name, take, now, taking=False)

    def take(self, name: str, take: Take, now: Instant) -> RateState:
        """Take where there is room."""
        return self._count(name, take, now, taking=True)

    def charge(self, name: str, take: Take, now: Instant) -> None:
        """Take whether there is room or not."""
        _, current = self._storage.sliding_window_keys(name, take.limit.window, now)
        self._storage.incr(current, 2 * take.limit.window, take.cost)

    def _count(self, name: str, take: Take, now: Instant, *, taking: bool) -> RateState:
        limit, counters = take.limit, self._counters
        window = limit.window
        index = now // window
        keys = self._keys.get(name)
        if keys is None or keys[0] != index:
            keys = self._keys.keep(name, (index, *self._storage.sliding_window_keys(name, window, now)))
        _, before, current = keys
        previous, count = counters.get(before, 0), counters.get(current, 0)
        previous_ends = (1 - (now - window) / window % 1) * window
        used = floor(previous * previous_ends / window + count)
        allowed = used + take.cost <= limit.amount
        if allowed and taking:
            if count:  # beside this, the library would only look whether the counter has expired by its own clock
                count = counters[current] = count + take.cost
            else:
                count = self._storage.incr(current, 2 * window, take.cost)
            used += take.cost
        below = used if allowed else limit.amount - take.cost + 1
        after = falls_below(below, window, previous, previous_ends, count)
        return RateState(limit, allowed, max(limit.amount - used, 0), after)


def falls_below(below: int, window: int, previous: int, previous_ends: float, current: int) -> float:
    """Give the seconds until less than `below` is used of a sliding window, if nothing is added.

    `previous_ends` is how long the window of the clock before still weighs, and so how long the present one lasts.

    The library gives a time as well, which is 0 at the very beginning of a window.
    """
    if below > current and previous:
        after = previous_ends - (below - current) * window / previous
    elif current:
        # Once the current window is the previous one, its count loses weight.
        after = previous_ends + max(window - below * window / current, 0.0)
    else:
        after = 0.0
    return max(after, 0.0) + _BELOW


type Counting = _Fixed | _Sliding | Quotas | Bursts
type Counted = Sequence[tuple[Counting, str, Take]]
"""Where, under which name, and what is taken."""
