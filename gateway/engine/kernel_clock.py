"""The machine's clock, as its kernel knows it: whether something keeps it right, and how far off it may be.

1. at the start, and once an hour, the state is recorded
2. it is looked at every minute, and recorded where it began or ceased to be kept right
3. where the clock was set, that is recorded at once: it and the clock that only runs have moved apart

The kernel is asked by adjtimex(2), which everybody may do that changes nothing. NTP and PTP daemons tell it of their
work; chrony does so with `rtcsync`, which distributions set.
"""

import ctypes
import errno
import logging
import math
import os
import sys
from collections.abc import Callable

from gateway.audit.events import ClockSeen, ClockState
from gateway.engine.gate import Gate

logger = logging.getLogger(__name__)

HOUR, MINUTE = 3_600.0, 60.0

STEP = 2.0
"""Seconds by which the clock must have been set to be told of: a busy machine may need less between two looks."""

_UNSYNC, _NANO = 0x0040, 0x2000
"""Bits of the status (linux/timex.h): nothing keeps the clock right; the offset is in nanoseconds."""


class _Timex(ctypes.Structure):
    """`struct timex` (linux/timex.h), with room for what is not looked at."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def read_kernel_clock() -> ClockState:
    """Ask the kernel."""
    if not sys.platform.startswith("linux"):
        return ClockState(None, why=f"not known on {sys.platform}")
    asked = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked)) < 0:
        number = ctypes.get_errno()
        return ClockState(None, why=f"the kernel does not tell: {os.strerror(number or errno.EPERM)}")
    unit = 1e-9 if asked.status & _NANO else 1e-6
    return ClockState(not asked.status & _UNSYNC, asked.offset * unit, asked.esterror * 1e-6, asked.maxerror * 1e-6)


class ClockWatch:
    """Looks at the clock once in each tick of the service, and records what is to be known of it."""

    def __init__(self, gate: Gate, read: Callable[[], ClockState] = read_kernel_clock) -> None:
        self._gate = gate
        self._read = read
        self._apart = self._moved()
        self._look_at = self._record_at = -math.inf
        self._synchronised: bool | None = None

    def started(self) -> ClockState:
        """Give the state for the record of the start."""
        now = self._gate.clock.monotonic()
        self._look_at, self._record_at = now + MINUTE, now + HOUR
        state = self._read()
        self._synchronised = state.synchronised
        if not state.synchronised:
            logger.warning("clock: %s", state.why or "nothing keeps it right, as far as the kernel knows")
        return state

    def tick(self) -> None:
        """Look."""
        apart, now = self._moved(), self._gate.clock.monotonic()
        by, self._apart = apart - self._apart, apart
        if abs(by) > STEP:
            logger.warning("clock: it was set by %+.3f s", by)
            self._record("it was set", self._read(), by)
        elif now >= self._look_at:
            self._look_at = now + MINUTE
            state = self._read()
            if state.synchronised != self._synchronised:
                self._record("it changed", state)
            elif now >= self._record_at:
                self._record("an hour has passed", state)

    def _moved(self) -> float:
        return self._gate.clock.now() - self._gate.clock.monotonic()

    def _record(self, because: str, state: ClockState, by: float | None = None) -> None:
        self._record_at = self._gate.clock.monotonic() + HOUR
        self._synchronised = state.synchronised
        self._gate.record(ClockSeen(self._gate.clock.now(), self._gate.in_force.facts, state, because, by))
