"""How the data path ends what it began: slow, leaving and failing sides, faults of its own, and the drain."""

import asyncio
from typing import Any

import pytest

from gateway.core.chain import Claim
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.client_state import State
from gateway.engine.endpoints import UpstreamFailedError
from gateway.engine.gate import Handling
from gateway.engine.upstream_connection import HIGH_WATER
from tests import world
from tests.engine.harness import get, request
from tests.engine.upstream import OK
from tests.unit.engine.test_data_path import BIG, Run, until_idle, upload


@pytest.fixture
async def run() -> Run:
    return Run()


# Clients that leave


async def test_a_client_that_leaves_within_its_body(run: Run) -> None:
    run.receive(request()[:-1])
    run.client.lose()
    assert run.log == ([Reason.CLIENT_CLOSED], [])


async def test_a_client_that_leaves_within_a_body_that_is_passed_on(run: Run) -> None:
    run.receive(upload(BIG)[:-1])
    run.client.lose()
    assert run.pool.transport.aborted
    assert run.log == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])


async def test_a_client_that_leaves_before_its_answer(run: Run) -> None:
    run.receive(get())
    run.client.lose()
    assert run.pool.transport.aborted
    assert run.log == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])
    assert run.made.gate.unfinished == 0


async def test_a_client_that_leaves_within_its_answer(run: Run) -> None:
    run.receive(get())
    run.answer(OK[:-3])
    run.client.lose()
    assert run.log[1] == [Reason.CLIENT_CLOSED]
    assert run.made.log.events[-1].status == 200  # type: ignore[union-attr]


async def test_a_client_that_leaves_while_its_upstream_is_connected(run: Run) -> None:
    run.pool.idle = []
    run.receive(get())
    run.client.lose()
    await until_idle(run)
    assert run.forwarded() == b""
    assert run.log == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])


@pytest.mark.parametrize("late", [Claim.NEW, OSError("gone")], ids=["answer", "error"])
async def test_a_client_that_leaves_while_the_store_is_asked(run: Run, late: Any) -> None:
    claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
    run.made.state.claiming = lambda _: claimed
    run.receive(request())
    run.client.lose()
    if isinstance(late, Exception):
        claimed.set_exception(late)
    else:
        claimed.set_result(late)
    await until_idle(run)
    assert (run.log, run.forwarded()) == (([Reason.CLIENT_CLOSED], []), b"")


async def test_requests_of_a_client_that_left_are_not_begun(run: Run) -> None:
    run.receive(get() + get())
    run.answer()
    run.client.lose()
    await until_idle(run)
    assert run.log[0][:1] == [Reason.ALLOWED]
    assert run.log[0].count(Reason.ALLOWED) == 1
    assert run.made.gate.unfinished == 0


async def test_a_store_may_answer_after_a_round_trip(run: Run) -> None:
    claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
    run.made.state.claiming = lambda _: claimed
    run.receive(request())
    assert (run.state, run.log) == (State.BUSY, ([], []))
    claimed.set_result(Claim.NEW)
    await until_idle(run)
    assert run.forwarded().endswith(world.BODY)


async def test_time_that_is_over_while_the_store_is_asked_does_not_end_the_connection(run: Run) -> None:
    claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
    run.made.state.claiming = lambda _: claimed
    run.receive(request()[:30])
    run.pass_time(9.0)
    run.receive(request()[30:])
    run.pass_time(100.0)
    assert not run.client.closing
    claimed.set_result(Claim.NEW)
    await until_idle(run)
    run.answer()
    assert run.status() == 200


# Clients that are slow


async def test_the_upstream_waits_for_a_client_that_is_slow(run: Run) -> None:
    run.receive(get())
    run.path.pause_writing()
    assert run.pool.transport.paused
    run.path.resume_writing()
    assert not run.pool.transport.paused


async def test_requests_of_a_client_that_does_not_read_wait(run: Run) -> None:
    run.receive(get("/v1/nothing") + get("/v1/nothing"))
    run.path.pause_writing()
    await until_idle(run)
    run.receive(get("/v1/nothing"))
    assert len(run.log[0]) == 1

    run.path.resume_writing()
    await until_idle(run)

    assert len(run.log[0]) == 3


async def test_a_client_that_does_not_read_is_made_to_wait(run: Run) -> None:
    run.receive(get("/v1/nothing"))
    run.path.pause_writing()
    run.receive(get("/v1/nothing") * 10)
    assert run.client.paused
    run.path.resume_writing()
    await until_idle(run)
    assert not run.client.paused


async def test_a_client_that_never_reads_is_closed(run: Run) -> None:
    run.receive(get("/v1/nothing"))
    run.path.pause_writing()
    run.receive(get("/v1/nothing"))
    run.pass_time(75.0)
    assert run.client.closing


async def test_a_client_waits_while_the_upstream_is_slow(run: Run) -> None:
    run.receive(upload(BIG)[: -len(BIG)])
    run.pool.made.pause_writing()
    run.receive(BIG[:10])
    assert run.client.paused
    run.pool.made.resume_writing()
    assert not run.client.paused


# Upstreams that fail


async def test_an_upstream_that_cannot_be_reached(run: Run) -> None:
    run.pool.idle, run.pool.error = [], UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, "connection refused")
    run.receive(get())
    await until_idle(run)
    assert run.code() == "upstream.unreachable"
    assert run.log[1] == [Reason.UPSTREAM_UNREACHABLE]
    assert run.state is State.HEAD


async def test_an_upstream_that_closes_before_its_answer(run: Run) -> None:
    run.receive(get())
    run.pool.transport.lose()
    assert run.code() == "upstream.broken"
    assert not run.client.closing


async def test_an_upstream_that_closes_within_its_answer(run: Run) -> None:
    run.receive(get())
    run.answer(OK[:-3])
    run.pool.transport.lose()
    assert run.client.aborted
    assert run.log[1] == [Reason.UPSTREAM_BROKEN]


async def test_an_upstream_that_does_not_answer_in_time(run: Run) -> None:
    run.receive(get())
    run.pass_time(30.0)
    assert run.code() == "upstream.timeout"
    assert run.pool.transport.aborted
    assert run.log[1] == [Reason.UPSTREAM_TIMEOUT]


async def test_an_answer_that_stops(run: Run) -> None:
    run.receive(get())
    run.pass_time(29.0)
    run.answer(OK[:-3])
    run.pass_time(29.0)
    assert not run.client.closing
    run.pass_time(1.0)
    assert run.client.aborted
    assert run.log[1] == [Reason.UPSTREAM_TIMEOUT]


async def test_an_upstream_that_fails_within_the_body(run: Run) -> None:
    run.receive(upload(BIG)[:-1])
    run.pool.transport.lose()
    assert run.code() == "upstream.broken"
    assert (run.log[1], run.state) == ([Reason.UPSTREAM_BROKEN], State.LINGER)


async def test_a_long_answer_is_passed_on_as_it_comes(run: Run) -> None:
    run.receive(get())
    run.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % HIGH_WATER + b"a" * 9)
    assert run.client.take().endswith(b"\r\n\r\n" + b"a" * 9)
    run.answer(b"a" * 9)
    assert run.client.take() == b"a" * 9


# Faults of our own


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("secret")


@pytest.mark.parametrize("name", ["begin", "resume"])
async def test_a_fault_before_the_decision_denies(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(Handling, name, broken)
    run.receive(request())
    assert run.code() == "gate.control_failed"
    assert run.forwarded() == b""
    assert run.log == ([Reason.CONTROL_FAILED], [])
    assert "ZeroDivisionError" in caplog.text


async def test_a_fault_in_a_head_is_recorded(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.engine.data_path.parse", broken)
    run.receive(get())
    run.client.lose()
    assert run.client.aborted
    assert run.log == ([Reason.CONTROL_FAILED], [])
    assert len(caplog.records) == 1


async def test_a_fault_after_the_allow_is_the_requests_outcome(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Handling, "sends_upstream", broken)
    run.receive(get())
    assert (run.client.aborted, run.forwarded()) == (True, b"")
    assert run.log == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert run.made.gate.unfinished == 0
    assert caplog.records


async def test_a_fault_when_time_is_up_ends_the_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run.receive(request()[:-1])
    with monkeypatch.context() as patched:
        patched.setattr(Handling, "answer", broken)
        run.pass_time(30.0)
    assert run.client.aborted
    assert run.log == ([Reason.BODY_TIMEOUT], [])
    assert caplog.records


async def test_a_fault_in_the_record_of_a_client_that_left_is_logged(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run.receive(request()[:-1])
    monkeypatch.setattr(Handling, "authorise", broken)
    run.client.lose()
    assert run.path.ended.done()
    assert "ZeroDivisionError" in caplog.text


async def test_an_allow_that_cannot_be_recorded_goes_nowhere(run: Run) -> None:
    run.made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE)
    run.receive(request())
    assert run.code() == "gate.audit_unavailable"
    assert run.forwarded() == b""


# Draining


async def test_an_idle_connection_is_drained_at_once(run: Run) -> None:
    run.path.drain()
    assert run.client.closing


async def test_a_request_under_way_is_answered_before_its_connection_ends(run: Run) -> None:
    run.receive(get() + get())
    run.path.drain()
    assert not run.client.closing
    run.answer()
    assert b"\r\nconnection: close\r\n" in run.client.written
    assert run.client.closing
    assert run.log == ([Reason.ALLOWED], [Reason.ALLOWED])


async def test_a_connection_that_is_cut_has_an_outcome_for_what_was_under_way(run: Run) -> None:
    run.receive(get())
    assert run.path.open_requests == 1
    run.path.abort()
    run.client.lose()
    assert run.log[1] == [Reason.CLIENT_CLOSED]
