"""Group commit: the records of one turn of the event loop go to the log with one system call.

What waits for its record goes on once that is written, and not otherwise. Records keep the order in which they were
queued, those that are written at once included.
"""

import asyncio
import logging
from typing import Protocol

from gateway.audit.events import Event
from gateway.audit.log import AuditLog
from gateway.core.reasons import Unavailable

logger = logging.getLogger(__name__)


class Waiter(Protocol):
    """Who goes on once a record is written."""

    def committed(self, error: Unavailable | None) -> None:
        """Take note that the record is in the log, or why it is not. MUST NOT raise, and MUST NOT queue records."""

    def go_on(self) -> None:
        """Go on; called after `committed` for all records that were written together. MUST NOT raise."""


class GroupCommit:
    """Gathers records; one for each gate."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._events: list[Event] = []
        self._waiters: list[Waiter | None] = []

    def soon(self, event: Event, waiter: Waiter | None = None) -> None:
        """Have an event recorded in this turn of the loop."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._turn)
        self._events.append(event)
        self._waiters.append(waiter)

    def now(self, event: Event) -> Unavailable | None:
        """Record an event at once, after those that are queued; gives why it is not in the log."""
        if self._events:
            self.flush()
        return self._log.append_all((event,))[0]

    def flush(self) -> None:
        """Record what is queued; whoever waits for it goes on in the next turn of the loop."""
        for waiter in self._write():
            asyncio.get_running_loop().call_soon(waiter.go_on)

    def _turn(self) -> None:
        for waiter in self._write():
            waiter.go_on()

    def _write(self) -> list[Waiter]:
        events, self._events = self._events, []
        waiters, self._waiters = self._waiters, []
        waiting = []
        for waiter, error in zip(waiters, self._log.append_all(events), strict=True):
            if waiter is not None:
                waiter.committed(error)
                waiting.append(waiter)
            elif error is not None:
                logger.error("audit: %s", error)
        return waiting
