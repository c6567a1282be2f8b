from typing import Any, cast

import pytest

from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.engine.connection import Connection
from gateway.engine.deadlines import Deadlines
from gateway.engine.gate import Handling
from tests import world
from tests.unit.engine.gates import Made
from tests.unit.engine.loops import Loop

LIMITS = Limits(idle_timeout=75.0, head_timeout=10.0)


class Run:
    """The shared part of a connection, on a loop whose time the test moves."""

    def __init__(self) -> None:
        listener = world.listener(limits=LIMITS)
        self.made = Made(policy=world.policy(listeners={"public": listener}))
        self.loop = Loop()
        self.passed: list[str] = []
        deadlines = Deadlines(cast("Any", self.loop), lambda key: self.passed.append(key[0]))
        self.connection = Connection(self.made.gate, world.peer(), deadlines)


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_client_has_the_idle_time_for_its_next_request(run: Run) -> None:
    run.connection.idles()
    run.loop.pass_time(74.9)
    assert run.passed == []
    run.loop.pass_time(0.1)
    assert run.passed == ["idle"]


def test_a_head_has_its_time_from_its_first_byte(run: Run) -> None:
    run.connection.idles()
    run.loop.pass_time(60.0)
    for _ in range(3):
        run.connection.head_begins()
        run.loop.pass_time(4.0)
    assert run.passed == ["head"]


def test_a_head_that_came_in_time_has_no_deadline(run: Run) -> None:
    run.connection.head_begins()
    run.connection.head_ends()
    assert run.loop.timers == []


def test_a_connection_does_not_idle_while_a_request_is_open(run: Run) -> None:
    run.connection.idles()
    run.connection.begins()
    run.connection.begins()
    run.connection.ends()
    assert run.loop.timers == []
    run.connection.ends()
    run.loop.pass_time(75.0)
    assert run.passed == ["idle"]


def test_a_connection_that_ends_waits_for_no_further_request(run: Run) -> None:
    run.connection.begins()
    run.connection.closing = True
    run.connection.ends()
    run.loop.pass_time(0.0)
    assert run.passed == ["idle"]


def test_an_upstream_that_moves_has_another_key(run: Run) -> None:
    first, second = world.upstream(), world.upstream(port=9001)
    keys = [run.connection.upstream_key(one) for one in (first, second, first)]
    assert keys[0] == keys[2] != keys[1]
    assert run.connection.upstreams[keys[1]] is second


def test_an_upstream_that_was_read_anew_has_another_key(run: Run) -> None:
    keys = {run.connection.upstream_key(world.upstream()) for _ in range(5)}
    assert len(keys) == 5  # its certificate may be another one


def test_bytes_that_are_no_request_are_recorded_and_answered(run: Run) -> None:
    run.connection.head_begins()
    answer = run.connection.refuse_unreadable(Denied(Reason.MESSAGE_MALFORMED), "'\\x16'")
    assert answer.status == 400
    assert run.made.log.decided == [Reason.MESSAGE_MALFORMED]
    assert run.loop.timers == []


def test_bytes_that_are_no_request_are_answered_whatever_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Handling, "refuse", broken)
    assert run.connection.refuse_unreadable(Denied(Reason.MESSAGE_MALFORMED), "").status == 503
    assert "ZeroDivisionError" in caplog.text
