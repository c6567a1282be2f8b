"""Deadlines of one connection: at most one for each key, moved or cancelled as the message goes on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy.proxy import events

type Key = tuple[str, int]
"""What the deadline is for, and the stream; 0 for the connection."""


@dataclass(frozen=True)
class DeadlinePassed(events.Event):
    """Something took too long; the layer that set the deadline handles it."""

    key: Key


class Deadlines:
    """Timers of a connection. `passed` is called with the key of one that passed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[Key], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def set(self, key: Key, seconds: float) -> None:
        """Let `key` pass in `seconds`, instead of when it would have."""
        self.clear(key)
        self._timers[key] = self._loop.call_later(seconds, self._fire, key)

    def set_unless_set(self, key: Key, seconds: float) -> None:
        """Let `key` pass in `seconds`, unless it is running already."""
        if key not in self._timers:
            self._timers[key] = self._loop.call_later(seconds, self._fire, key)

    def clear(self, key: Key) -> None:
        """Forget `key`."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def clear_all(self) -> None:
        """Forget all: the connection is closed."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._passed(key)
