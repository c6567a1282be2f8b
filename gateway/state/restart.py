"""What a start may believe of the run before it.

One file in the state directory (`run_file`) says how the last run stands. It is only ever replaced whole:

    (no file) ── start ──▶ running ── orderly stop ──▶ stopped ── start ──▶ running

| the file       | so the last run        | and the start                                                    |
| -------------- | ---------------------- | ---------------------------------------------------------------- |
| is not there   | never was              | FIRST: nothing was claimed, so everything is knowable            |
| says `stopped` | ended in order         | CONTINUED: takes over its claims, and what it knew to be unknown |
| says `running` | crashed, or was killed | LOST: what that run may have claimed is unknowable               |
| is damaged     | cannot be known        | LOST                                                             |

A start writes `running` before its first claim. That deletes the claims of the stop before it, so that a later crash
cannot bring them back. Deleting the file by hand tells the next start that no gate ever ran: do so only when no signed
request of before is within its window any more.

After a loss, whatever is dated up to the start *plus the window into the future* is unknowable, because the lost run
may have taken requests that were dated ahead of its clock; a wider window that it had before counts as well. Where
the clock lies behind the file's time (a machine whose battery is flat starts in the past), the file is believed.
"""

from dataclasses import dataclass, replace
from enum import Enum

from gateway.core.message import Instant
from gateway.state.nonces import Held, Nonces
from gateway.state.space import NEVER

HEARTBEAT = 30.0
"""Seconds between two writes of `running`, at most: how far its time may lie behind a crash."""


class Start(Enum):
    """How a start found the run before it."""

    FIRST = "first"
    CONTINUED = "continued"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a start could take over."""

    start: Start
    claims: int = 0
    """Claims taken over."""
    refused_until: Instant | None = None
    """Signed requests dated up to here are refused; None where no memory was lost."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the dates of requests may lie from the clock: the most of any route, in seconds."""

    max_age: float = 0.0
    max_ahead: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """What the file says of a run."""

    running: bool
    at: float
    """When this was written."""
    reach: Reach
    latest: float = NEVER
    """The latest date of any request that was taken before `reach` was in force."""
    floor: float = NEVER
    lost: float = NEVER
    held: Held | None = None
    """Its claims; None while the run lasts."""

    def lasting(self, now: Instant, reach: Reach | None = None) -> "Run":
        """Give what to write of the same run at `now`, with another reach where there is one.

        What it took by a clock that has stepped back since, or within a wider reach, stays in `latest`.
        """
        latest = self.latest
        if now < self.at:
            latest = self.latest_claim(self.at + HEARTBEAT)
        if reach is not None and reach.max_ahead < self.reach.max_ahead:
            latest = max(latest, self.latest_claim(now))
        return replace(self, at=now, reach=reach or self.reach, latest=latest)

    def latest_claim(self, until: float) -> float:
        """Give the latest date that a request can have which was claimed before `until`."""
        return max(until + self.reach.max_ahead, self.latest)


def resume(nonces: Nonces, last: Run | None, reach: Reach, now: Instant) -> tuple[Restored, Run]:
    """Fill an empty memory with what the last run left (None: there was none); give what to tell, and to write."""
    if last is None:
        restored, latest = Restored(Start.FIRST), NEVER
    elif last.running:
        # The crash came between the last write and now; where now lies before it, a heartbeat after it at most.
        latest = last.latest_claim(now if now >= last.at else last.at + HEARTBEAT)
        nonces.lose(max(latest, now + reach.max_ahead, last.floor, last.lost))
        restored = Restored(Start.LOST, refused_until=Instant(nonces.lost))
    else:
        latest = last.latest_claim(last.at)
        if last.held is not None:
            nonces.take_over(last.held, last.reach.max_age)
        nonces.raise_floor(last.floor)
        nonces.lose(last.lost)
        restored = Restored(Start.CONTINUED, claims=len(nonces))
    nonces.widen(reach.max_age)
    return restored, Run(True, now, reach, latest, nonces.floor, nonces.lost)


def unreadable(now: Instant) -> Run:
    """Give what to believe of a file that is damaged: a run that crashed just now."""
    return Run(True, now, Reach())
