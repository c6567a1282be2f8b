"""The one thing a connection of the data path waits for."""

import asyncio
from collections.abc import Callable


class Deadline:
    """What is waited for, and until when. Moving it later costs nothing: the timer looks again when it fires."""

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[str], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._what = ""
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, what: str, seconds: float) -> None:
        """Wait for `what`, instead of what was waited for."""
        self._what = what
        self._at = at = self._loop.time() + seconds
        if self._timer is None or at < self._timer_at:
            self._arm(at)

    def set_unless(self, what: str, seconds: float) -> None:
        """Wait for `what`, unless it is waited for already."""
        if self._what != what:
            self.set(what, seconds)

    def clear(self) -> None:
        """Wait for nothing."""
        self._what = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._what and self._at > self._loop.time():
            self._arm(self._at)
        elif self._what:
            what, self._what = self._what, ""
            self._passed(what)
