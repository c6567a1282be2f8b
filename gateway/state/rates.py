"""Counting requests, by the `limits` library in memory.

The library counts; what it does beside that is kept from happening here: its storage starts a timer thread with each
count that looks at every key, and keeps a lock for each. In their place expired counters are let go of a few at a
time, in the order in which they expire, and one lock serves all: the gate decides on one thread.

The library reads the system's clock itself. Where that clock steps back, a fixed window lasts longer by as much.
"""

import threading
from collections import defaultdict
from hashlib import blake2b
from heapq import heappop, heappush
from math import floor

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from gateway.core.chain import RateLimit, RateState, RateTaken, Take, TakeRate
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

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
        self._fixed = FixedWindowRateLimiter(storage)
        self._sliding = SlidingWindowCounterRateLimiter(storage)

    def __len__(self) -> int:
        """Give how many counters are kept."""
        return len(self._expirations)

    def take(self, ask: TakeRate, now: Instant) -> RateTaken:
        """Take from every bucket, or from none where one of them is exhausted.

        Raises Unavailable(STATE_UNAVAILABLE) where counters would be needed beyond the most that may be kept.
        """
        self._sweep(now, SWEEP)
        buckets = [_Bucket(take.limit, take.key) for take in ask.takes]
        if len(self) + len(buckets) > self._max_counters:
            self._make_room(ask, buckets, now)
        pairs = list(zip(ask.takes, buckets, strict=True))
        free = [True]
        if len(pairs) > 1:
            free = [self._limiter(take).test(bucket, cost=take.cost) for take, bucket in pairs]
        if all(free):
            # Two takes from one bucket may both find room and not both get it: then what was taken stays taken.
            free = [self._limiter(take).hit(bucket, cost=take.cost) for take, bucket in pairs]
        states = [self._state(*pair, allowed, now) for pair, allowed in zip(pairs, free, strict=True)]
        return RateTaken(all(free), tuple(states))

    def _limiter(self, take: Take) -> RateLimiter:
        return self._sliding if take.limit.sliding else self._fixed

    def _state(self, take: Take, bucket: "_Bucket", allowed: bool, now: Instant) -> RateState:
        limit = take.limit
        if limit.sliding:
            counts = self._storage.get_sliding_window(bucket.key, limit.window)
            used = _used(counts, limit.window)
            after = _falls_to(counts, limit.window, used - 1 if allowed else limit.amount - take.cost)
            return RateState(limit, allowed, max(limit.amount - used, 0), after)
        reset, remaining = self._fixed.get_window_stats(bucket)
        return RateState(limit, allowed, remaining, min(max(reset - now, 0.0), limit.window))

    def _make_room(self, ask: TakeRate, buckets: "list[_Bucket]", now: Instant) -> None:
        self._sweep(now, len(self))
        if len(self) + len(buckets) <= self._max_counters:
            return
        for take, bucket in zip(ask.takes, buckets, strict=True):
            if self._limiter(take).get_window_stats(bucket).remaining >= take.limit.amount:
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


type _Counts = tuple[int, float, int, float]
"""As the library gives them: the previous window's count and the seconds it still weighs, and the current one's."""


def _used(counts: _Counts, window: int) -> int:
    """Give how much of a sliding window is used, as the library weighs it."""
    previous, previous_ends, current, _ = counts
    return floor(previous * previous_ends / window + current)


def _falls_to(counts: _Counts, window: int, used: int) -> float:
    """Give the seconds until no more than `used` is used, if nothing is added.

    The library gives a time as well, which is 0 at the very beginning of a window.
    """
    previous, previous_ends, current, current_ends = counts
    below = used + 1
    if below > current and previous:
        after = previous_ends - (below - current) * window / previous
    elif current:
        # Once the current window is the previous one, its count loses weight.
        after = current_ends - window + max(window - below * window / current, 0.0)
    else:
        after = 0.0
    return max(after, 0.0) + _BELOW


class _Bucket(RateLimitItemPerSecond):
    """A limit as the library takes it, with the key it is counted under.

    The key is a digest: the library would join its parts by slashes, which a token's subject may hold, too.
    """

    __slots__ = ("key",)

    def __init__(self, limit: RateLimit, key: tuple[str, ...]) -> None:
        super().__init__(limit.amount, limit.window)
        self.key = blake2b(repr((limit.window, limit.sliding, key)).encode(), digest_size=16).hexdigest()

    def key_for(self, *_identifiers: bytes | str | float) -> str:
        return self.key
