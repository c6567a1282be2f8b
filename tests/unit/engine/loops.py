"""A loop whose time is moved by hand."""

from collections.abc import Callable
from typing import Any


class Timer:
    """What `call_later` and `call_at` give."""

    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """Timers alone."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made: list[Timer] = []

    @property
    def timers(self) -> list[Timer]:
        """Timers that will fire."""
        return [timer for timer in self.made if not timer.cancelled]

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., object], *arguments: Any) -> Timer:
        timer = Timer(when, lambda: call(*arguments))
        self.made.append(timer)
        return timer

    def call_later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_at(self.now + seconds, call, *arguments)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and fire what is due on the way."""
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer.at <= end), key=lambda timer: timer.at):
            self.now = max(self.now, due[0].at)
            due[0].cancelled = True
            due[0].call()
        self.now = end
