"""Steady rates with a burst, in the memory of the process: buckets that leak.

A bucket holds what was taken and has not leaked yet. It leaks evenly, `amount` in `window` seconds, and takes a request
where that leaves no more than `burst` in it. So no more than `burst` and t times `amount` / `window` is taken within
any t seconds. All is counted in whole numbers: of a unit, `window` times a million make one request, so that `amount`
of them leak each microsecond.

Where the clock steps back, nothing leaks for that time; where it steps ahead, as much leaks as the step is long.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from gateway.core.chain import RateLimit, RateState, Take
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

SECOND = 1_000_000
"""Microseconds."""

SWEEP = 4
"""Empty buckets let go of with each request, at most."""


class Level(NamedTuple):
    """What a bucket holds at a time."""

    units: int
    at: int
    """Microseconds."""
    empty: int
    """When it will be empty."""


class Bursts:
    """Buckets by name: `most` of them at most that are not empty."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._levels: dict[str, Level] = {}
        self._order: list[tuple[int, str]] = []
        """When each may be empty, at the earliest."""

    def __len__(self) -> int:
        """Give how many buckets are kept."""
        return len(self._levels)

    def look(self, name: str, take: Take, now: Instant) -> RateState:
        """Tell whether there is room, and how much. Raises Unavailable(STATE_UNAVAILABLE) as `take` does."""
        at = round(now * SECOND)
        self._make_room(name, at)
        return state_of(take, self._units(name, take.limit, at))

    def take(self, name: str, take: Take, now: Instant) -> RateState:
        """Take where there is room. Raises Unavailable(STATE_UNAVAILABLE) where too many buckets are kept."""
        at = round(now * SECOND)
        self._make_room(name, at)
        units = self._units(name, take.limit, at)
        state = state_of(take, units)
        if not state.allowed:
            level = self._levels.get(name)
            if level is not None and at < level.at:  # the clock has stepped back: it leaks from now on
                self._set(name, units, at, take.limit.amount)
            return state
        units += take.cost * take.limit.window * SECOND
        self._set(name, units, at, take.limit.amount)
        return state_of(take, units, taken=True)

    def charge(self, name: str, take: Take, now: Instant) -> None:
        """Take whether there is room or not."""
        at = round(now * SECOND)
        units = self._units(name, take.limit, at) + take.cost * take.limit.window * SECOND
        self._set(name, units, at, take.limit.amount)

    def forget(self, which: Callable[[str], bool]) -> int:
        """Have those begin anew whose name it says; gives how many."""
        found = self.found(which)
        for name in found:
            del self._levels[name]
        return len(found)

    def found(self, which: Callable[[str], bool]) -> list[str]:
        """Give those whose name it says."""
        return [name for name in self._levels if which(name)]

    def _units(self, name: str, limit: RateLimit, at: int) -> int:
        level = self._levels.get(name)
        return 0 if level is None else max(level.units - max(at - level.at, 0) * limit.amount, 0)

    def _set(self, name: str, units: int, at: int, amount: int) -> None:
        empty = at - (-units // amount)
        if name not in self._levels:
            heappush(self._order, (empty, name))
        self._levels[name] = Level(units, at, empty)

    def _make_room(self, name: str, at: int) -> None:
        order = self._order
        if order and order[0][0] <= at:
            self._sweep(at, SWEEP)
        if len(self._levels) >= self._most and name not in self._levels:
            self._sweep(at, len(order))
            if len(self._levels) >= self._most:
                raise Unavailable(Reason.STATE_UNAVAILABLE, f"{self._most} buckets of rates are in use")

    def _sweep(self, at: int, most: int) -> None:
        order, levels = self._order, self._levels
        while order and order[0][0] <= at and most > 0:
            _, name = heappop(order)
            most -= 1
            level = levels.get(name)
            if level is None:
                continue  # it began anew
            if level.empty <= at:
                del levels[name]
            else:
                heappush(order, (level.empty, name))


def state_of(take: Take, units: int, *, taken: bool = False) -> RateState:
    """Tell where a bucket stands that holds so much; `taken` where the request's own cost is in it."""
    limit, one = take.limit, take.limit.window * SECOND
    used = -(-units // one)
    allowed = taken or used + take.cost <= limit.room
    # Refused: until the cost fits. Otherwise until one more is free.
    least = (used - 1 if allowed else limit.room - take.cost) * one
    waits = -(-(units - least) // limit.amount) if used else 0
    return RateState(limit, allowed, max(limit.room - used, 0), waits / SECOND)
