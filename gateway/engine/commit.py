"""Group commit: the records of one turn of the event loop go to the log with one system call.

What waits for its record goes on once that is written, and not otherwise. Records keep the order in which they were
queued, those that are written at once included.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from gateway.audit.events import Event, RequestDecided, RequestFinished
from gateway.audit.log import AuditLog
from gateway.core.reasons import Reason, Unavailable

logger = logging.getLogger(__name__)


class Waiter(Protocol):
    """Who goes on once a record is written."""

    def committed(self, error: Unavailable | None) -> None:
        """Take note that the record is in the log, or why it is not. MUST NOT raise, and MUST NOT queue records."""

    def go_on(self) -> None:
        """Go on; called after `committed` for all records that were written together. MUST NOT raise."""


class GroupCommit:
    """Gathers records; one for each gate.

    Where the log is durable, who waits goes on only once the record is on the disk: the disk is waited for in a
    thread, by one wait after the other, each for all that was written until it began.
    """

    def __init__(self, log: AuditLog, *, durable: bool = False) -> None:
        self.durable = durable
        """Whether the disk is waited for, and not the kernel alone."""
        self._log = log
        self._events: list[Event] = []
        self._waiters: list[Waiter | None] = []
        self._unsynced: list[tuple[_Place, Event, Waiter]] = []
        """What is written and may not be on the disk yet."""
        self._syncing = False
        self._thread: ThreadPoolExecutor | None = None
        self.observe: Callable[[Event, bool], None] | None = None
        """Told of each event, and whether it was written; MUST NOT raise."""

    def soon(self, event: Event, waiter: Waiter | None = None) -> None:
        """Have an event recorded in this turn of the loop."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._turn)
        self._events.append(event)
        self._waiters.append(waiter)

    def now(self, event: Event) -> Unavailable | None:
        """Record an event at once, after those that are queued; gives why it is not in the log.

        Where the log is durable, the disk is waited for at once too, if a request waits for it.
        """
        if self._events:
            self.flush()
        error = self._log.append_all((event,))[0]
        if self.observe is not None:
            self.observe(event, error is None)
        if error is None and self.durable and _forwards(event):
            place = self._place()
            self._log.sync()
            error = self._lost(event) if self._is_lost(place) else None
        return error

    def flush(self) -> None:
        """Record what is queued; whoever waits for it goes on in the next turn of the loop."""
        waiting = self._write()
        if self._unsynced:
            self._log.sync()
            waiting += self._synced()
        for waiter in waiting:
            asyncio.get_running_loop().call_soon(waiter.go_on)

    def _turn(self) -> None:
        for waiter in self._write():
            waiter.go_on()
        if self._unsynced and not self._syncing:
            self._sync()

    def _write(self) -> list[Waiter]:
        events, self._events = self._events, []
        waiters, self._waiters = self._waiters, []
        waiting = []
        errors = self._log.append_all(events)
        if self.observe is not None:
            for event, error in zip(events, errors, strict=True):
                self.observe(event, error is None)
        for event, waiter, error in zip(events, waiters, errors, strict=True):
            if waiter is not None:
                if error is None and self.durable and _forwards(event):
                    self._unsynced.append((self._place(), event, waiter))
                    continue
                waiter.committed(error)
                waiting.append(waiter)
            elif error is not None:
                logger.error("audit: %s", error)
        return waiting

    def _sync(self) -> None:
        """Wait for the disk in the thread."""
        self._syncing = True
        self._thread = self._thread or ThreadPoolExecutor(1, "audit-sync")
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._log.sync)
        done.add_done_callback(self._after_sync)

    def _after_sync(self, done: asyncio.Future[None]) -> None:
        self._syncing = False
        if not done.cancelled():
            done.exception()
        for waiter in self._synced():
            waiter.go_on()
        if self._unsynced and not self._syncing:
            self._sync()

    def _synced(self) -> list[Waiter]:
        """Tell those whose records a wait for the disk was about; what it did not bring there is denied."""
        unsynced, self._unsynced = self._unsynced, []
        waiting = []
        for place, event, waiter in unsynced:
            if self._is_lost(place):
                waiter.committed(self._lost(event))
            elif place.last <= self._log.synced:
                waiter.committed(None)
            else:
                self._unsynced.append((place, event, waiter))  # written since the wait began
                continue
            waiting.append(waiter)
        return waiting

    def _place(self) -> "_Place":
        return _Place(self._log.sequence, self._log.losses)

    def _is_lost(self, place: "_Place") -> bool:
        """Whether the record's file was given up since: it may be on the disk or not."""
        return place.losses != self._log.losses

    def _lost(self, event: Event) -> Unavailable:
        """Deny what is not known to be on the disk; it may be in the log, so the log is told its outcome."""
        detail = "the decision could not be brought to the disk"
        if isinstance(event, RequestDecided):
            reason, seconds = Reason.AUDIT_UNAVAILABLE, event.gate_seconds
            self.soon(
                RequestFinished(
                    event.at, event.request_id, event.decision, reason, detail, reason.status, seconds, None, 0
                )
            )
        return Unavailable(Reason.AUDIT_UNAVAILABLE, detail)

    def close(self) -> None:
        """Record what is queued, and end the thread."""
        self.flush()
        if self._thread is not None:
            self._thread.shutdown()


class _Place(NamedTuple):
    """Where a record was written."""

    last: int
    """Sequence of the last record that was written with it."""
    losses: int
    """How many files the log had given up by then."""


def _forwards(event: Event) -> bool:
    """Whether a request is forwarded once the event is recorded."""
    return isinstance(event, RequestDecided) and event.status is None
