from typing import Any, cast

import pytest

from gateway.engine.deadline import Deadline
from tests.unit.engine.loops import Loop


class Run:
    def __init__(self) -> None:
        self.loop = Loop()
        self.passed: list[tuple[str, float]] = []
        self.deadline = Deadline(cast("Any", self.loop), lambda what: self.passed.append((what, self.loop.now - 100.0)))


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_deadline_passes_once(run: Run) -> None:
    run.deadline.set("idle", 5.0)
    run.loop.pass_time(60.0)
    assert run.passed == [("idle", 5.0)]


def test_a_deadline_takes_the_place_of_the_one_before(run: Run) -> None:
    run.deadline.set("idle", 5.0)
    run.deadline.set("body", 9.0)
    run.loop.pass_time(60.0)
    assert run.passed == [("body", 9.0)]


def test_a_deadline_may_be_sooner_than_the_one_before(run: Run) -> None:
    run.deadline.set("idle", 60.0)
    run.deadline.set("body", 2.0)
    run.loop.pass_time(100.0)
    assert run.passed == [("body", 2.0)]


def test_a_deadline_that_moves_on_makes_no_timer_each_time(run: Run) -> None:
    for _ in range(100):
        run.deadline.set("idle", 5.0)
        run.loop.pass_time(0.01)
    assert len(run.loop.made) == 1
    run.loop.pass_time(60.0)
    assert [what for what, _ in run.passed] == ["idle"]
    assert run.passed[0][1] == pytest.approx(5.99)


def test_a_deadline_that_is_waited_for_is_not_moved_by_set_unless(run: Run) -> None:
    run.deadline.set("idle", 60.0)
    run.deadline.set_unless("head", 5.0)
    run.loop.pass_time(3.0)
    run.deadline.set_unless("head", 5.0)
    run.loop.pass_time(60.0)
    assert run.passed == [("head", 5.0)]


def test_a_cleared_deadline_does_not_pass(run: Run) -> None:
    run.deadline.clear()
    run.deadline.set("idle", 5.0)
    run.deadline.clear()
    assert run.loop.timers == []
    run.deadline.set("idle", 7.0)
    run.loop.pass_time(60.0)
    assert run.passed == [("idle", 7.0)]


def test_the_next_deadline_may_be_set_while_one_passes(run: Run) -> None:
    deadline = Deadline(cast("Any", run.loop), lambda what: (run.passed.append((what, 0.0)), again(what)))

    def again(what: str) -> None:
        if what == "head":
            deadline.set("linger", 5.0)

    deadline.set("head", 1.0)
    run.loop.pass_time(60.0)
    assert [what for what, _ in run.passed] == ["head", "linger"]
