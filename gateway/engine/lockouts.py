"""Locks callers out: at once here, and by the journal in every worker, over restarts, and for whoever lifts it."""

import asyncio
import logging
from pathlib import Path

from gateway.core.barred import Bar, Barred, Caller
from gateway.core.decision import Decision
from gateway.core.lockout import Failures
from gateway.core.message import Instant
from gateway.engine.gate import Gate
from gateway.state.revocations import Entry, JournalError, add

logger = logging.getLogger(__name__)

BY = "gate"
"""Who locks out, in the journal and in records."""

NAME = "lockouts"
"""Under which failures are recorded."""


class Lockouts:
    """Counts what the gate decides, and bars who failed too often."""

    def __init__(self, gate: Gate, shared: Path) -> None:
        """Write to the journal in `shared`, the folder of the state that all workers share."""
        self._gate = gate
        self._shared = shared
        self._failures = Failures()
        self._writing: set[asyncio.Task[None]] = set()

    def decided(self, decision: Decision, now: Instant) -> None:
        """Take note of a decision."""
        lockout = decision.exchange.policy.lockout
        if lockout is None:
            return
        caller = self._failures.decided(decision, lockout, now)
        if caller is not None:
            until = Instant(now + lockout.seconds)
            because = (
                f"{lockout.after} failed authentications within {lockout.within:.0f} s, at last {decision.reason.code}"
            )
            self._lock(caller, until, Entry(0, "revoke", *caller, now, until, BY, because))

    async def close(self) -> None:
        """Wait until all is written."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _lock(self, caller: Caller, until: Instant, entry: Entry) -> None:
        barred = self._gate.barred
        bars = {} if barred is None else dict(barred.bars)
        if type(barred) in (type(None), Barred):
            self._gate.barred = Barred({**bars, caller: Bar(0, until)})  # until the journal says so too
        task = asyncio.get_running_loop().create_task(self._write(entry))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, entry: Entry) -> None:
        gate = self._gate
        try:
            await asyncio.to_thread(add, self._shared, [entry])
        except (OSError, JournalError) as error:
            detail = f"not written to the journal of revocations: {error}"
            gate.health.failed(NAME, detail, gate.clock.now(), gate.in_force.facts)
        else:
            gate.health.worked([NAME], gate.clock.now(), gate.in_force.facts)
