"""Locks callers out over all gates that share a store.

1. each failed authentication is counted in the store, which locks out with the last one that a caller may have
2. the gate that hears so bars the caller at once; the others hear it within LOOK_SECONDS, or by the caller's next
   failure there
3. each machine writes it into its journal, where it outlives restarts and the store, is listed, and can be lifted
4. a lifting in the journal of one machine is told to the store, and by that to all

While the store cannot answer, the policy says what counts (`on_store_failure.lockout`). Who is locked out stays so.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.core.barred import Barred, Caller, Unreadable, caller_of
from gateway.core.decision import Decision
from gateway.core.lockout import MOST_COUNTED, Failures, Lockout, failed_by
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import FailModes, OnFailure
from gateway.engine.gate import Gate
from gateway.engine.lockouts import BY, Locking, Lockouts, because_of
from gateway.engine.worker import Worker
from gateway.state.fallback import Fallback
from gateway.state.lockouts import Event, What, origin_of
from gateway.state.memory import MemoryState
from gateway.state.revocations import Entry
from gateway.state.valkey.tally import Failed, Since, Tally, caller_key

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between looks at what other gates counted: a lock-out holds everywhere within it."""

MOST_OWED = 1_000
"""Callers whose failures are counted once the store can: those that failed before it was noticed that it cannot."""

LIFTED_SECONDS = 86_400.0
"""For which a lifting is told to the store again after a restart: no lock-out lasts longer."""


class SharedLockouts:
    """Counts in the store."""

    def __init__(self, gate: Gate, shared: Path, tally: Tally, *, first: bool) -> None:
        """Write to the journal in `shared`; the `first` of its workers does so at once, the others if it did not.

        Raises OSError where the folder cannot be written to.
        """
        self._gate = gate
        self._tally = tally
        self._first = first
        self._lock = Locking(gate, shared)
        self._origin = origin_of(shared)
        self._since = Since()
        self._failing: OrderedDict[bytes, None] = OrderedDict()
        """Callers that have failed somewhere, and begin anew once they authenticate."""
        self._here = Failures()
        """What is counted while the store cannot answer."""
        self._owed: OrderedDict[Caller, tuple[What, Lockout]] = OrderedDict()
        """Failures that the store has not counted: until it does, no credentials are looked at, though it may answer
        else. A store that is full can be read."""
        self._journal: set[tuple[str, str]] = set()
        """What the journal has: action and name of the lock-out."""
        self._untaken: list[Entry] = []
        """What it may lack; looked at again with the next look."""
        self._unlifted: dict[str, What] = {}
        """Liftings that the store does not know of yet."""
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Hear what happened before, and go on listening."""
        await self.look()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    def decided(self, decision: Decision, now: Instant) -> None:
        """Take note of a decision."""
        policy = decision.exchange.policy
        lockout = policy.lockout
        if lockout is None:
            return
        if decision.reason is Reason.ALLOWED:
            if self._failing or len(self._here):
                self._passed(caller_of(decision.exchange))
            return
        caller = failed_by(decision, lockout)
        if caller is not None:
            self._fail(caller, lockout, because_of(lockout, decision.reason), now)

    def noticed(self, entries: Sequence[Entry], *, fresh: bool) -> None:
        """Take note of entries of the journal; what was lifted here is to be lifted everywhere."""
        if fresh:
            self._journal.clear()
        since = self._gate.clock.now() - LIFTED_SECONDS
        for entry in entries:
            if entry.lock is None:
                continue
            self._journal.add((entry.action, entry.lock))
            if entry.action == "lift" and not entry.elsewhere and entry.at > since:
                caller = Caller(entry.thing, entry.value)
                self._unlifted[entry.lock] = What(caller, entry.by, entry.because, self._origin)

    async def close(self) -> None:
        """Listen no more, and wait until all is written."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        await self._lock.close()

    # Counting

    def _fail(self, caller: Caller, lockout: Lockout, because: str, now: Instant) -> None:
        what = What(caller, BY, because, self._origin)
        try:
            failed = self._tally.fail(what, lockout).go()
        except Unavailable as unavailable:
            self._uncounted(what, lockout, now, unavailable)
        else:
            failed.add_done_callback(partial(self._counted, what, lockout, now))

    def _counted(self, what: What, lockout: Lockout, now: Instant, answer: "asyncio.Future[Failed]") -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if isinstance(error, Unavailable):
            self._uncounted(what, lockout, now, error)
            return
        self._came_to(what, answer.result())

    def _came_to(self, what: What, failed: Failed) -> None:
        """Do what a failure that was counted came to."""
        if failed.lock is None:
            self._remember(caller_key(what.caller))
            return
        self._failing.pop(caller_key(what.caller), None)
        event = Event(0, failed.lock, False, failed.left, what)
        self._begin(event, write=failed.began)

    def _begin(self, event: Event, *, write: bool) -> None:
        """Bar a caller, as the store says."""
        now = self._gate.clock.now()
        if ("lift", event.lock) in self._journal or event.left <= 0:
            return
        if ("revoke", event.lock) not in self._journal:
            self._lock.lock(event.what.caller, Instant(now + event.left))
            if write:
                self._lock.write(event.entry(now, self._origin))

    def _passed(self, caller: Caller) -> None:
        self._here.forget(caller)
        key = caller_key(caller)
        if key not in self._failing:
            return
        del self._failing[key]
        try:
            self._tally.clear(key).go().add_done_callback(_taken)
        except Unavailable:
            self._remember(key)

    def _remember(self, key: bytes) -> None:
        self._failing[key] = None
        self._failing.move_to_end(key)
        if len(self._failing) > MOST_COUNTED:
            self._failing.popitem(last=False)

    # Without the store

    @property
    def _modes(self) -> FailModes:
        return self._gate.in_force.policy.state.on_failure

    def _uncounted(self, what: What, lockout: Lockout, now: Instant, unavailable: Unavailable) -> None:
        """Do with a failure what the policy says, where the store could not count it."""
        modes = self._modes
        if modes.lockout is OnFailure.DENY:
            if len(self._owed) < MOST_OWED:
                self._owed.setdefault(what.caller, (what, lockout))
            self._listen(unavailable.detail)
        elif modes.lockout is OnFailure.LOCAL:
            share = replace(lockout, after=max(lockout.after // modes.nodes, 1))
            if self._here.count(what.caller, share, now):
                until = Instant(now + lockout.seconds)
                self._lock.lock(what.caller, until)
                because = f"{what.because}, while the store could not answer"
                self._lock.write(Entry(0, "revoke", *what.caller, now, until, BY, because))

    def _listen(self, why_not: str) -> None:
        """Have credentials looked at, or with a reason not."""
        barred = self._gate.barred
        said = f"failed authentications cannot be counted: {why_not}" if why_not else ""
        if not isinstance(barred, Unreadable) and (said or (barred is not None and barred.uncounted)):
            made = (barred or Barred({})).counting(said)
            self._gate.barred = made if said or made.bars or made.locked else None

    # Other gates

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once at what other gates counted, and tell what was lifted here."""
        if self._gate.in_force.policy.lockout is None:
            self._listen("")
            return
        try:
            if self._modes.lockout is not OnFailure.DENY:
                self._owed.clear()
            await self._settle()
            await self._lift()
            await self._hear()
        except Exception as error:  # noqa: BLE001 - whatever it is, failures cannot be counted
            why = error.detail if isinstance(error, Unavailable) else type(error).__name__
            self._listen(why if self._modes.lockout is OnFailure.DENY else "")
        else:
            self._listen("")

    async def _settle(self) -> None:
        """Have counted what could not be counted before."""
        for caller, (what, lockout) in list(self._owed.items()):
            self._came_to(what, await self._tally.fail(what, lockout).go())
            self._owed.pop(caller, None)

    async def _lift(self) -> None:
        for lock, what in list(self._unlifted.items()):
            await self._tally.lift(lock, what).go()
            del self._unlifted[lock]

    async def _hear(self) -> None:
        untaken = [entry for entry in self._untaken if (entry.action, str(entry.lock)) not in self._journal]
        self._untaken = []
        more = True
        while more:
            news = await self._tally.news(self._since).go()
            self._since, more = news.since, news.more
            for key in news.failed:
                self._remember(key)
            for event in news.events:
                self._take(event)
        self._lock.write(*untaken)

    def _take(self, event: Event) -> None:
        """Take over what happened at a gate, here or elsewhere."""
        if event.left <= 0:
            return
        self._failing.pop(caller_key(event.what.caller), None)
        if not event.lifted:
            self._begin(event, write=False)
        entry = event.entry(self._gate.clock.now(), self._origin)
        if (entry.action, event.lock) in self._journal:
            return
        if self._first:
            self._lock.write(entry)
        else:
            self._untaken.append(entry)


def lockouts_of(
    gate: Gate, state: MemoryState | Fallback, shared: Path, worker: Worker | None
) -> Lockouts | SharedLockouts:
    """Give what counts failed authentications: it counts where the state is. Raises OSError."""
    if isinstance(state, Fallback):
        return SharedLockouts(gate, shared, state.store.tally, first=worker is None or worker.number == 1)
    return Lockouts(gate, shared)


def _taken(answer: "asyncio.Future[None]") -> None:
    """Take note of what nothing follows from: who failed and is not begun anew is counted too strictly, for a while."""
    if not answer.cancelled():
        answer.exception()
