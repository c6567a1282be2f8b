from typing import Any, cast

import pytest

from gateway.engine.deadlines import Deadlines, Key
from tests.unit.engine.loops import Loop

IDLE: Key = ("idle", 0)
BODY: Key = ("body", 1)


class Run:
    def __init__(self) -> None:
        self.loop = Loop()
        self.passed: list[Key] = []
        self.deadlines = Deadlines(cast("Any", self.loop), self.passed.append)


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_deadline_passes_once(run: Run) -> None:
    run.deadlines.set(IDLE, 5.0)
    run.loop.pass_time(4.9)
    assert run.passed == []
    run.loop.pass_time(10.0)
    assert run.passed == [IDLE]


def test_each_key_has_a_deadline_of_its_own(run: Run) -> None:
    for seconds, key in enumerate([IDLE, BODY, ("body", 3)]):
        run.deadlines.set(key, seconds)
    run.loop.pass_time(9.0)
    assert run.passed == [IDLE, BODY, ("body", 3)]


def test_a_deadline_that_is_set_again_is_moved(run: Run) -> None:
    run.deadlines.set(IDLE, 5.0)
    run.deadlines.set(IDLE, 9.0)
    run.loop.pass_time(8.0)
    assert run.passed == []
    run.loop.pass_time(1.0)
    assert run.passed == [IDLE]


def test_a_deadline_that_is_running_is_not_moved_by_set_unless_set(run: Run) -> None:
    run.deadlines.set_unless_set(IDLE, 5.0)
    run.deadlines.set_unless_set(IDLE, 9.0)
    run.loop.pass_time(5.0)
    assert run.passed == [IDLE]
    run.deadlines.set_unless_set(IDLE, 5.0)
    run.loop.pass_time(5.0)
    assert run.passed == [IDLE, IDLE]


def test_a_cleared_deadline_does_not_pass(run: Run) -> None:
    run.deadlines.set(IDLE, 5.0)
    run.deadlines.set(BODY, 5.0)
    run.deadlines.clear(IDLE)
    run.deadlines.clear(("response", 1))  # not set
    run.loop.pass_time(9.0)
    assert run.passed == [BODY]


def test_a_closed_connection_has_no_deadlines(run: Run) -> None:
    run.deadlines.set(IDLE, 5.0)
    run.deadlines.set(BODY, 5.0)
    run.deadlines.clear_all()
    assert run.loop.timers == []
