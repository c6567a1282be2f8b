"""Quotas of days and months (UTC) in one process, kept over its end.

What is used is written to a journal in the state folder ahead of its use: a line says up to where a quota may be used
before the next line, and is on disk before anything beyond the line before it is admitted. So after a crash, a quota
counts as used what its last line says: never less than was admitted, and no more than `ahead_of` too much. An orderly
stop writes what was used exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from pathlib import Path

from gateway.core.chain import RateLimit, RateState, Take
from gateway.core.message import Instant
from gateway.core.periods import period
from gateway.core.reasons import Reason, Unavailable
from gateway.state.journal import Journal

NAME = "quotas"
"""Of the journal's files."""

LINGER = 3_600.0
"""Seconds for which a day or month is counted beyond its end, where the clock steps back."""

SWEEP = 4
"""Quotas that are over and let go of with each request, at most."""

_AHEAD = 100
"""Parts of a quota, of which one is written ahead of its use: no more lines than that for each quota."""


def ahead_of(amount: int) -> int:
    """Give how much of a quota a line covers."""
    return max(amount // _AHEAD, 1)


@dataclass(slots=True)
class Quota:
    """One day or month of one caller."""

    over: float
    """When it can be forgotten."""
    used: int = 0
    written: float = 0
    """Up to where the journal lets it be used."""
    synced: float = 0
    """Up to where the disk does."""


class Quotas:
    """Quotas by name and period: `most` of them at most. Without `restore` they are in memory only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._quotas: dict[str, Quota] = {}
        self._order: list[tuple[float, str]] = []
        self._journal: Journal | None = None
        self.behind: list[Quota] = []
        """What was taken and is not on disk yet: nothing may be admitted before `synced`."""

    def __len__(self) -> int:
        """Give how many quotas are kept."""
        return len(self._quotas)

    def restore(self, directory: Path, now: Instant) -> None:
        """Take over what earlier runs wrote, and write from now on. Raises OSError."""
        journal = Journal(directory, NAME)
        for over, entry in journal.read():
            name, used = entry
            if over > now and isinstance(name, str) and isinstance(used, int):
                self._quotas.pop(name, None)
                self._quotas[name] = Quota(over, used, used, used)
        self._order = sorted((quota.over, name) for name, quota in self._quotas.items())
        journal.replace(([name, quota.used], quota.over) for name, quota in self._quotas.items())
        self._journal = journal

    def look(self, name: str, take: Take, now: Instant) -> RateState:
        """Tell whether there is room, and how much. Raises Unavailable(STATE_UNAVAILABLE) as `take` does."""
        counter, left = _counter(name, take.limit, now)
        self._make_room(counter, now)
        quota = self._quotas.get(counter)
        used = 0 if quota is None else quota.used
        return _state(take.limit, used, left, allowed=used + take.cost <= take.limit.amount)

    def take(self, name: str, take: Take, now: Instant) -> RateState:
        """Take where there is room. Raises Unavailable(STATE_UNAVAILABLE): too many are kept, or it cannot be written.

        What was taken may be acted on once `behind` is empty, or `synced` has passed.
        """
        counter, left = _counter(name, take.limit, now)
        quota = self._quotas.get(counter)
        used = 0 if quota is None else quota.used
        if used + take.cost > take.limit.amount:
            return _state(take.limit, used, left, allowed=False)
        if quota is None:
            quota = self._begin(counter, now, left)
        self._use(counter, quota, used + take.cost, take.limit)
        if quota.used > quota.synced:
            self.behind.append(quota)
        return _state(take.limit, quota.used, left, allowed=True)

    def charge(self, name: str, take: Take, now: Instant) -> None:
        """Take whether there is room or not, of the day or month that it is now.

        It is on disk once `synced` has passed. Raises Unavailable(STATE_UNAVAILABLE) as `take` does.
        """
        counter, left = _counter(name, take.limit, now)
        quota = self._quotas.get(counter) or self._begin(counter, now, left)
        self._use(counter, quota, quota.used + take.cost, take.limit)
        if quota.used > quota.synced:
            self.behind.append(quota)

    def forget(self, which: Callable[[str], bool]) -> int:
        """Have those begin anew whose name it says; gives how many. Raises Unavailable(STATE_UNAVAILABLE)."""
        found = self.found(which)
        for counter in found:
            if self._journal is not None:
                self._journal.append([counter, 0], self._quotas[counter].over)
            del self._quotas[counter]
        return len(found)

    def found(self, which: Callable[[str], bool]) -> list[str]:
        """Give those whose name it says."""
        return [counter for counter in self._quotas if which(counter.partition("/")[0])]

    async def synced(self, behind: list[Quota]) -> None:
        """Wait until what is behind is on disk. Raises Unavailable(STATE_UNAVAILABLE)."""
        marks = [(quota, quota.written) for quota in behind]
        if self._journal is None:
            raise Unavailable(Reason.STATE_UNAVAILABLE, "the journal of quotas is not open")
        await self._journal.synced()
        for quota, mark in marks:
            quota.synced = max(quota.synced, mark)

    def tidy(self, now: Instant) -> None:
        """Delete what is over. Raises OSError."""
        if self._journal is not None:
            self._journal.tidy(now)

    def save(self) -> None:
        """Write exactly what was used. Raises Unavailable(STATE_UNAVAILABLE)."""
        if self._journal is not None:
            for name, quota in self._quotas.items():
                if quota.used < quota.written:
                    self._journal.append([name, quota.used], quota.over)

    def close(self) -> None:
        """Write no more."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _begin(self, counter: str, now: Instant, left: float) -> Quota:
        self._make_room(counter, now)
        unwritten = inf if self._journal is None else 0
        quota = Quota(now + left + LINGER, 0, unwritten, unwritten)
        self._quotas[counter] = quota
        heappush(self._order, (quota.over, counter))
        return quota

    def _use(self, counter: str, quota: Quota, used: int, limit: RateLimit) -> None:
        if used > quota.written and self._journal is not None:
            upto = max(used, min(used + ahead_of(limit.amount) - 1, limit.amount))
            self._journal.append([counter, upto], quota.over)
            quota.written = upto
        quota.used = used

    def _make_room(self, counter: str, now: Instant) -> None:
        order = self._order
        if order and order[0][0] <= now:
            self._sweep(now, SWEEP)
        if len(self._quotas) >= self._most and counter not in self._quotas:
            self._sweep(now, len(order))
            if len(self._quotas) >= self._most:
                raise Unavailable(Reason.STATE_UNAVAILABLE, f"{self._most} quotas are in use")

    def _sweep(self, now: float, most: int) -> None:
        order = self._order
        while order and order[0][0] <= now and most > 0:
            over, counter = heappop(order)
            most -= 1
            quota = self._quotas.get(counter)
            if quota is not None and quota.over <= over:
                del self._quotas[counter]


def _counter(name: str, limit: RateLimit, now: Instant) -> tuple[str, float]:
    if limit.calendar is None:
        raise RuntimeError("no limit of the calendar")
    named, left = period(limit.calendar, now)
    return f"{name}/{named}", left


def _state(limit: RateLimit, used: int, left: float, *, allowed: bool) -> RateState:
    return RateState(limit, allowed, max(limit.amount - used, 0), left)
