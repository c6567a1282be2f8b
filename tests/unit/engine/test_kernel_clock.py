import ctypes
from typing import Any, cast

import pytest

from gateway.audit.events import ClockSeen, ClockState
from gateway.core.message import Instant
from gateway.engine import kernel_clock
from gateway.engine.clock import Clock
from gateway.engine.kernel_clock import HOUR, MINUTE, ClockWatch, read_kernel_clock
from tests.unit.engine.gates import Made

GOOD, BAD = ClockState(True, 0.0, 0.001, 0.002), ClockState(False, 0.0, 16.0, 16.0)


class Machine:
    """A machine whose clocks are moved by hand."""

    def __init__(self) -> None:
        self.wall, self.running, self.state = 1_000_000.0, 500.0, GOOD
        self.made = Made()
        self.made.gate.clock = Clock(lambda: Instant(self.wall), lambda: self.running)
        self.watch = ClockWatch(self.made.gate, lambda: self.state)

    def tick_after(self, seconds: float, *, set_by: float = 0.0) -> None:
        self.wall += seconds + set_by
        self.running += seconds
        self.watch.tick()

    @property
    def recorded(self) -> list[ClockSeen]:
        return [event for event in self.made.log.events if isinstance(event, ClockSeen)]


def test_this_machine() -> None:
    state = read_kernel_clock()
    assert state.synchronised is not None or state.why
    assert state.most is None or state.most >= 0.0


@pytest.mark.parametrize(("nano", "offset"), [(0, 0.25), (0x2000, 0.00025)])
def test_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch, nano: int, offset: float) -> None:
    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def adjtimex(self, at: Any) -> int:
            asked = cast("Any", at)._obj
            asked.offset, asked.esterror, asked.maxerror, asked.status = 250_000, 1_500, 20_000, 0x0001 | nano
            return 0

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert read_kernel_clock() == ClockState(True, pytest.approx(offset), pytest.approx(0.0015), pytest.approx(0.02))


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def adjtimex(self, _: object) -> int:
            ctypes.set_errno(1)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert read_kernel_clock() == ClockState(None, why="the kernel does not tell: Operation not permitted")
    monkeypatch.setattr(kernel_clock.sys, "platform", "plan9")
    assert read_kernel_clock() == ClockState(None, why="not known on plan9")


def test_an_hour_passes() -> None:
    machine = Machine()
    assert machine.watch.started() == GOOD
    for _ in range(int(HOUR) - 1):
        machine.tick_after(1.0)
    assert machine.recorded == []
    machine.tick_after(MINUTE)
    (seen,) = machine.recorded
    assert (seen.clock, seen.because, seen.stepped) == (GOOD, "an hour has passed", None)
    machine.tick_after(MINUTE)
    assert len(machine.recorded) == 1


def test_nothing_keeps_it_right_any_more() -> None:
    machine = Machine()
    machine.watch.started()
    machine.state = BAD
    machine.tick_after(1.0)
    assert machine.recorded == []
    machine.tick_after(MINUTE)
    machine.tick_after(MINUTE)
    machine.state = GOOD
    machine.tick_after(MINUTE)
    assert [(seen.clock, seen.because) for seen in machine.recorded] == [(BAD, "it changed"), (GOOD, "it changed")]


@pytest.mark.parametrize("by", [-3_600.0, 2.5])
def test_it_is_set(by: float) -> None:
    machine = Machine()
    machine.watch.started()
    machine.tick_after(1.0, set_by=by)
    machine.tick_after(1.0)
    (seen,) = machine.recorded
    assert (seen.because, seen.stepped) == ("it was set", pytest.approx(by))


def test_a_clock_that_is_moved_slowly_was_not_set() -> None:
    machine = Machine()
    machine.watch.started()
    for _ in range(100):
        machine.tick_after(1.0, set_by=0.0005)
    machine.tick_after(90.0, set_by=0.05)  # the machine was busy
    assert machine.recorded == []


def test_what_is_not_kept_right_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.state = BAD
    machine.watch.started()
    machine.state = ClockState(None, why="the kernel does not tell")
    machine.watch.started()
    assert caplog.messages == [
        "clock: nothing keeps it right, as far as the kernel knows", "clock: the kernel does not tell",
    ]  # fmt: skip
