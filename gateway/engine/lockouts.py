"""Locks callers out: at once here, and by the journal in every worker, over restarts, and for whoever lifts it."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from gateway.core.barred import Bar, Barred, Caller, Unreadable
from gateway.core.decision import Decision
from gateway.core.lockout import Failures, Lockout
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from gateway.engine.gate import Gate
from gateway.state.lockouts import take_over
from gateway.state.revocations import Entry, JournalError

logger = logging.getLogger(__name__)

BY = "gate"
"""Who locks out, in the journal and in records."""

NAME = "lockouts"
"""Under which failures are recorded."""

WRITE_SECONDS = 0.1
"""Between two writes of the journal: whoever has many addresses could have it written hundreds of times a second."""


class Lockouts:
    """Counts in the memory of the process."""

    def __init__(self, gate: Gate, shared: Path) -> None:
        """Write to the journal in `shared`, the folder of the state that all workers share."""
        self._lock = Locking(gate, shared)
        self._failures = Failures()

    async def start(self) -> None:
        """Do nothing: counts begin with the process."""

    def decided(self, decision: Decision, now: Instant) -> None:
        """Take note of a decision."""
        lockout = decision.exchange.policy.lockout
        if lockout is None:
            return
        caller = self._failures.decided(decision, lockout, now)
        if caller is not None:
            until = Instant(now + lockout.seconds)
            because = because_of(lockout, decision.reason)
            self._lock.lock(caller, until)
            self._lock.write(Entry(0, "revoke", *caller, now, until, BY, because))

    def noticed(self, entries: Sequence[Entry], *, fresh: bool) -> None:
        """Do nothing: what is barred follows the journal by itself."""

    async def close(self) -> None:
        """Wait until all is written."""
        await self._lock.close()


class Locking:
    """Bars callers at once, and writes the journal behind the requests."""

    def __init__(self, gate: Gate, shared: Path) -> None:
        self._gate = gate
        self._shared = shared
        self._unwritten: list[Entry] = []
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def lock(self, caller: Caller, until: Instant) -> None:
        """Bar a caller in this process, until the journal says so too."""
        barred = self._gate.barred
        if not isinstance(barred, Unreadable):
            self._gate.barred = (barred or Barred({})).locking(caller, Bar(0, until))

    def write(self, *entries: Entry) -> None:
        """Have entries written that the journal does not have yet."""
        self._unwritten += entries
        if self._unwritten and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Wait until all is written."""
        self._closing.set()
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        gate = self._gate
        while self._unwritten:
            entries, self._unwritten = self._unwritten, []
            try:
                await asyncio.to_thread(take_over, self._shared, entries)
            except (OSError, JournalError) as error:
                detail = f"not written to the journal of revocations: {error}"
                gate.health.failed(NAME, detail, gate.clock.now(), gate.in_force.facts)
            else:
                gate.health.worked([NAME], gate.clock.now(), gate.in_force.facts)
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                pass


def because_of(lockout: Lockout, last: Reason) -> str:
    """Say why somebody is locked out."""
    return f"{lockout.after} failed authentications within {lockout.within:.0f} s, at last {last.code}"
