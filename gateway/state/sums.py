"""Amounts and counts within a sliding time, in one process: never above their limit in any window.

A window is divided into PARTS; what a request counts goes into the part of its time, and counts until that part has
left the window as a whole. So an amount counts for its window at least, and for one part of it longer at most: the
limit holds exactly, and room comes back up to a sixtieth of the window late. Where the clock steps back, what was
counted ahead of it still counts.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from gateway.core.holds import Spend
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

PARTS = 60
"""Of a window."""

SWEEP = 4
"""Counters that are over and let go of with each ask, at most."""


def part_of(window: int, now: float) -> int:
    """Give the number of the part of a window that `now` lies in, since 1970."""
    return int(now * PARTS // window)


def over_at(window: int, part: int) -> float:
    """Give when what was counted in a part counts no more."""
    return (part + 1 + PARTS) * window / PARTS


@dataclass(slots=True)
class _Share:
    """What one partner has."""

    counters: dict[bytes, dict[int, int]] = field(default_factory=dict)
    """Amounts by part, by the digest of what is counted."""
    windows: dict[bytes, int] = field(default_factory=dict)
    order: list[tuple[float, bytes]] = field(default_factory=list)
    """When each counter is over, at the earliest."""


class Sums:
    """Counters by partner."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._shares: dict[str, _Share] = {}

    def __len__(self) -> int:
        return sum(len(share.counters) for share in self._shares.values())

    def counted(self, partner: str, digest: bytes, window: int, now: Instant) -> int:
        """Give what counts now."""
        share = self._shares.get(partner)
        parts = None if share is None else share.counters.get(digest)
        if not parts:
            return 0
        least = part_of(window, now) - PARTS
        for part in [part for part in parts if part < least]:
            del parts[part]
        return sum(parts.values())

    def fits(self, partner: str, digest: bytes, spend: Spend, now: Instant) -> bool:
        """Whether there is room for a spend."""
        return self.counted(partner, digest, spend.limit.window, now) + spend.amount <= spend.limit.most

    def make_room(self, partner: str, digests: tuple[bytes, ...], now: Instant) -> None:
        """See that the counters can be held. Raises Unavailable(VELOCITY_FULL)."""
        share = self._shares.setdefault(partner, _Share())
        self._sweep(share, now, SWEEP)
        new = sum(digest not in share.counters for digest in digests)
        if len(share.counters) + new > self.most and new:
            self._sweep(share, now, len(share.order))
            if len(share.counters) + new > self.most:
                raise Unavailable(Reason.VELOCITY_FULL, f"{self.most} counters of {partner} are in use")

    def add(self, partner: str, digest: bytes, window: int, part: int, amount: int) -> None:
        """Count an amount in a part; a negative one gives back what was counted there."""
        share = self._shares.setdefault(partner, _Share())
        parts = share.counters.get(digest)
        if parts is None:
            if amount <= 0:
                return
            parts = share.counters[digest] = {}
            heappush(share.order, (over_at(window, part), digest))
        share.windows[digest] = window
        left = parts.get(part, 0) + amount
        if left > 0 or (left == 0 and amount == 0):
            parts[part] = left
        else:
            parts.pop(part, None)

    def _sweep(self, share: _Share, now: float, most: int) -> None:
        order = share.order
        while order and order[0][0] <= now and most > 0:
            _, digest = heappop(order)
            most -= 1
            parts, window = share.counters.get(digest), share.windows.get(digest)
            if parts is None or window is None:
                continue
            last = max(parts, default=None)
            if last is None or over_at(window, last) <= now:
                del share.counters[digest], share.windows[digest]
            else:
                heappush(order, (over_at(window, last), digest))
