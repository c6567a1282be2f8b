"""The pool on transports of the test's; `test_upstream_pool_sockets` has it with a real upstream."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.core.policy import Endpoint
from gateway.engine.endpoints import FIRST_PAUSE, Endpoints
from gateway.engine.upstream_connection import UpstreamConnection
from gateway.engine.upstream_pool import IDLE_SECONDS, Pool
from tests import world
from tests.unit.engine.gates import Made
from tests.unit.engine.loops import Loop
from tests.unit.engine.test_upstream_connection import EMPTY, REQUEST, Sink
from tests.unit.engine.transports import FakeTransport, connected


class Run:
    """A pool of three endpoints, with connections that wait where the test says."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.made = Made()
        endpoints = tuple(Endpoint(host, 80) for host in "abc")
        self.endpoints = Endpoints(world.upstream(endpoints=endpoints), None, self.made.gate)
        self.pool = Pool(self.endpoints)
        self.transports: dict[UpstreamConnection, FakeTransport] = {}

    def idle(self, at: int = 0) -> UpstreamConnection:
        """Have a connection to the endpoint at this place wait for use."""
        connection, transport = connected(UpstreamConnection(self.pool, self.endpoints.places[at]))
        self.transports[connection] = transport
        self.pool._all.add(connection)
        self.pool.give_back(connection)
        return connection

    def fail(self, at: int) -> None:
        """Have a connection to the endpoint at this place fail."""
        self.endpoints._failed(self.endpoints.places[at], "connection refused")

    def waits(self, connection: UpstreamConnection) -> bool:
        return connection in self.pool._idle[connection.place]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return Run(loop)


# Which one is given


def test_endpoints_take_turns(run: Run) -> None:
    first, second, third = (run.idle(at) for at in range(3))
    others = [run.idle(at) for at in range(3)]
    assert [run.pool.take() for _ in range(3)] == others
    assert [run.pool.take() for _ in range(4)] == [first, second, third, None]


def test_a_turn_without_a_connection_stays(run: Run) -> None:
    run.idle(1)
    assert [run.pool.take(), run.pool.take()] == [None, None]  # one is opened to the first: it has its share
    run.endpoints.used(run.endpoints.next())
    assert run.pool.take() is not None


def test_connections_to_an_endpoint_that_is_out_are_left_alone(run: Run) -> None:
    out, used = run.idle(0), [run.idle(at) for at in (1, 2)]
    run.fail(0)
    assert [run.pool.take() for _ in range(2)] == used
    assert run.pool.take() is None
    assert run.waits(out)


def test_an_endpoint_whose_time_is_over_is_tried_by_a_new_connection(run: Run) -> None:
    for at in range(3):
        run.idle(at)
    run.fail(0)
    run.made.time.move(FIRST_PAUSE)
    assert run.pool.take() is None
    run.endpoints._worked(run.endpoints.places[0])
    assert run.pool.take() is not None


def test_where_all_endpoints_are_out_what_waits_is_used(run: Run) -> None:
    only = run.idle(2)
    for at in range(3):
        run.fail(at)
    assert run.pool.take() is only
    assert run.pool.take() is None


# Idle connections


@pytest.fixture
def idle(run: Run) -> UpstreamConnection:
    """A connection that waits for its next request."""
    return run.idle()


def test_an_idle_connection_is_closed_after_a_time(run: Run, idle: UpstreamConnection) -> None:
    run.loop.pass_time(IDLE_SECONDS - 0.1)
    assert idle.alive
    run.loop.pass_time(0.1)
    assert run.transports[idle].aborted
    assert run.pool.take() is None
    assert run.loop.timers == []


def test_a_connection_in_use_is_not_idle(run: Run, idle: UpstreamConnection) -> None:
    run.loop.pass_time(IDLE_SECONDS - 0.1)
    assert run.pool.take() is idle
    idle.send(Sink(), REQUEST, to_head=False, ends=True)
    run.loop.pass_time(0.2)
    assert idle.alive
    idle.data_received(EMPTY)
    run.loop.pass_time(IDLE_SECONDS - 0.1)
    assert run.waits(idle)
    run.loop.pass_time(0.1)
    assert run.transports[idle].aborted


def test_each_idle_connection_has_the_whole_time(run: Run) -> None:
    ends: dict[UpstreamConnection, float] = {}
    for at in (0, 1, 1, 2, 0):
        ends[run.idle(at)] = run.loop.now + IDLE_SECONDS
        run.loop.pass_time(7.0)
    for connection, end in ends.items():
        run.loop.pass_time(end - run.loop.now - 0.1)
        assert connection.alive
        assert len(run.loop.timers) == 1
        run.loop.pass_time(0.1)
        assert not connection.alive
    assert run.loop.timers == []


def test_a_request_makes_no_timer(run: Run) -> None:
    waiting = [run.idle(at) for at in range(3)]
    for connection in waiting * 3:
        assert run.pool.take() is connection
        run.pool.give_back(connection)
    assert len(run.loop.made) == 1


def test_an_idle_connection_that_the_upstream_closes_leaves_the_pool(run: Run, idle: UpstreamConnection) -> None:
    idle.eof_received()
    run.transports[idle].lose()
    assert not run.waits(idle)
    assert run.pool.take() is None
    assert run.pool._all == set()


def test_an_idle_connection_that_is_closing_is_not_given(run: Run, idle: UpstreamConnection) -> None:
    run.transports[idle].close()
    assert run.pool.take() is None


# The end


@pytest.fixture
def closed(run: Run) -> Iterator[Run]:
    """A pool that was closed while it had connections."""
    for at in range(3):
        run.idle(at)
    run.pool.close()
    yield run
    assert run.loop.timers == []


def test_a_pool_that_is_closed_keeps_nothing(closed: Run) -> None:
    assert all(transport.aborted for transport in closed.transports.values())
    late = closed.idle()
    assert not late.alive
    assert closed.pool.take() is None
