"""Every reason is produced by some test: what no test can produce, the gate does not do.

A pytest plugin, loaded by `tests.conftest`. It notes the reasons that the gate's own code gave while the tests ran, and
fails a whole run that lacks one. Reasons that a test made up itself do not count.
"""

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest

from gateway.audit.events import ConnectionCut, ConnectionRefused, RequestFinished
from gateway.core.decision import Decision
from gateway.core.reasons import Denied, Reason, Unavailable

GATE = "gateway.engine.gate"
"""Makes the events, of reasons that its callers name."""

TOLD = "reasons"
"""Under which name a process of several tells what it noted."""

CHOICES = ("keyword", "markexpr", "lf", "stepwise", "ignore", "ignore_glob", "collectonly")
"""Options of pytest with which not every test runs."""


class Produced:
    """The reasons that the gate gave."""

    def __init__(self) -> None:
        self._raised: set[Reason] = set()
        self._decided: set[Reason] = set()
        self._ended: set[Reason] = set()

    @property
    def reasons(self) -> set[Reason]:
        """Reasons that the gate gave: it ended a connection or a request with them, or raised and decided by them."""
        raised = self._raised | {Reason.ALLOWED}  # which no exception carries
        return self._ended | (self._decided & raised)

    @property
    def missing(self) -> list[Reason]:
        """Reasons that it did not give."""
        return [reason for reason in Reason if reason not in self.reasons]

    def noted(self) -> list[list[str]]:
        """Give what was noted, for another process to add."""
        return [[reason.name for reason in one] for one in (self._raised, self._decided, self._ended)]

    def add(self, noted: list[list[str]]) -> None:
        """Add what another process noted."""
        for one, names in zip((self._raised, self._decided, self._ended), noted, strict=True):
            one.update(Reason[name] for name in names)

    def raised(self, reason: Reason, frame: FrameType | None) -> None:
        """Note that an exception with the reason was made at `frame`."""
        if _is_product(frame):
            self._raised.add(reason)

    def decided(self, reason: Reason, frame: FrameType | None) -> None:
        """Note that a decision with the reason was made at `frame`."""
        if _is_product(frame):
            self._decided.add(reason)

    def ended(self, reason: Reason, frame: FrameType | None) -> None:
        """Note that an event with the reason was made at `frame`."""
        while frame is not None and _module(frame) == GATE:
            frame = frame.f_back
        if _is_product(frame):
            self._ended.add(reason)


def watch(kind: Any, note: Callable[[Reason, FrameType | None], None]) -> None:
    """Have every object of a type noted when it is made, with the frame that makes it."""
    if issubclass(kind, tuple):  # a NamedTuple is made by __new__ alone
        make = kind.__new__

        def __new__(cls: type, *arguments: Any, **named: Any) -> Any:  # noqa: N807 - its place is the class
            made = make(cls, *arguments, **named)
            note(made.reason, sys._getframe(1))
            return made

        kind.__new__ = staticmethod(__new__)
        return
    initialise = kind.__init__

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807 - its place is the class
        initialise(self, *arguments, **named)
        note(self.reason, sys._getframe(1))

    kind.__init__ = __init__


def _is_product(frame: FrameType | None) -> bool:
    return frame is not None and _module(frame).startswith("gateway.")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


class Plugin:
    """Fails a whole run of all tests that leaves a reason out."""

    def __init__(self, produced: Produced) -> None:
        self._produced = produced
        self._deselected = False
        self._missing: list[Reason] = []

    def pytest_deselected(self, items: Iterable[object]) -> None:
        """Note that not every test runs."""
        self._deselected = self._deselected or any(True for _ in items)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run where it was whole, and a reason is missing. A process of several tells the first one."""
        told = getattr(session.config, "workeroutput", None)
        if told is not None:
            told[TOLD] = self._produced.noted(), self._deselected
        elif session.exitstatus == pytest.ExitCode.OK and not self._deselected and is_whole(session.config):
            self._missing = self._produced.missing
            if self._missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a process of several (pytest-xdist) noted; one that crashed has failed the run already."""
        noted, deselected = getattr(node, "workeroutput", {}).get(TOLD, ([[], [], []], False))
        self._produced.add(noted)
        self._deselected = self._deselected or deselected

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which reasons are missing."""
        if self._missing:
            terminalreporter.section("reasons that no test produced", red=True)
            for reason in self._missing:
                terminalreporter.line(f"{reason.code} ({reason.name})")


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for, and were to run."""
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    # Plugins that are switched off, such as the cache, take their options with them.
    return not named and not any(getattr(config.option, choice, None) for choice in CHOICES)


def load(config: pytest.Config) -> None:
    """Begin to note."""
    produced = Produced()
    for kind, note in (
        (Denied, produced.raised),
        (Unavailable, produced.raised),
        (Decision, produced.decided),
        (RequestFinished, produced.ended),
        (ConnectionRefused, produced.ended),
        (ConnectionCut, produced.ended),
    ):
        watch(kind, note)
    config.pluginmanager.register(Plugin(produced), "gateway-reasons")
