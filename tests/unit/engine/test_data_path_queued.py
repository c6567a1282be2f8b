"""The data path between a decision and its record: what the client, time and faults do meanwhile."""

import asyncio
from typing import Any

import pytest

from gateway.core.chain import Claim
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.client_state import State
from gateway.engine.gate import Handling
from tests.engine.harness import chunked, get, request
from tests.unit.engine.test_data_path import BIG, Run, upload
from tests.unit.engine.test_data_path_ends import broken
from tests.world import World

FULL = Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left")


@pytest.fixture
async def run() -> Run:
    return Run()


def feed(run: Run, *pieces: bytes) -> None:
    """Let bytes come within one turn."""
    for piece in pieces:
        run.path.data_received(piece)


async def turns() -> None:
    """Let the loop itself end some turns."""
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.mark.parametrize("sent", [get(), request(), chunked(b"{}")], ids=["head", "length", "chunked"])
async def test_nothing_is_sent_to_anyone_before_the_turn_is_written(run: Run, sent: bytes) -> None:
    feed(run, sent)
    assert (run.state, run.path.open_requests) == (State.BUSY, 1)
    assert (run.forwarded(), run.client.written, run.made.log.events) == (b"", b"", [])
    await turns()
    assert run.made.log.decided[0] in (Reason.ALLOWED, Reason.SIGNATURE_MISMATCH)
    assert run.forwarded() or run.client.written


async def test_a_denial_is_answered_once_it_is_written(run: Run) -> None:
    feed(run, get("/v1/nothing"))
    assert run.client.written == b""
    await turns()
    assert run.code() == "route.unknown"
    assert (run.log, run.state) == (([Reason.ROUTE_UNKNOWN], []), State.HEAD)


# More of the same client


async def test_pipelined_requests_wait_while_one_is_queued(run: Run) -> None:
    feed(run, get("/v1/balance?a=1"), get("/v1/balance?a=2")[:20], get("/v1/balance?a=2")[20:])
    assert run.made.log.events == []
    await turns()
    assert run.made.log.decided == [Reason.ALLOWED]
    assert run.forwarded().startswith(b"GET /v1/balance?a=1 ")
    run.answer()
    await turns()
    assert run.forwarded().startswith(b"GET /v1/balance?a=2 ")
    run.answer()
    assert run.log == ([Reason.ALLOWED] * 2, [Reason.ALLOWED] * 2)


async def test_pipelined_denials_are_each_answered_in_order(run: Run) -> None:
    feed(run, get("/v1/nothing") * 3)
    for _ in range(3):
        await turns()
    assert run.client.take().count(b"HTTP/1.1 404 ") == 3
    assert run.log[0] == [Reason.ROUTE_UNKNOWN] * 3


async def test_a_client_that_sends_much_while_queued_is_made_to_wait(run: Run) -> None:
    feed(run, get("/v1/nothing"), b"a" * 3_001)
    assert run.client.paused
    await turns()
    assert not run.client.paused
    assert run.made.log.decided == [Reason.ROUTE_UNKNOWN, Reason.HEAD_TOO_LARGE]


async def test_the_body_of_a_denied_request_may_come_while_it_is_queued(run: Run) -> None:
    head, _, body = request(World(fields={"authorization": None})).partition(b"\r\n\r\n")
    feed(run, head + b"\r\n\r\n", body[:5], body[5:] + get())
    await turns()
    assert run.code() == "token.missing"
    assert run.forwarded().startswith(b"GET ")


@pytest.mark.parametrize("at_once", [True, False])
async def test_nothing_behind_a_malformed_chunk_is_a_request(run: Run, at_once: bool) -> None:
    smuggled = b"0\r\n\r\n" + get()
    feed(run, chunked(b"")[:-5])
    feed(run, *([b"3;a=b\r\n" + smuggled] if at_once else [b"3;a=b\r\n", smuggled]))
    await turns()
    assert b"\r\nconnection: close\r\n" in run.client.written
    assert run.code() == "http.malformed"
    assert (run.log, run.forwarded(), run.state) == (([Reason.MESSAGE_MALFORMED], []), b"", State.LINGER)


async def test_a_body_too_large_whose_end_comes_while_queued_leaves_the_connection_open(run: Run) -> None:
    feed(run, chunked(b"a" * 70_000)[:-5], b"0\r\n\r\n" + get())
    await turns()
    assert run.code() == "http.body_too_large"
    assert run.forwarded().startswith(b"GET ")
    assert run.log[0] == [Reason.BODY_TOO_LARGE, Reason.ALLOWED]


# The client leaves


@pytest.mark.parametrize("sent", [get(), request()], ids=["head", "body"])
async def test_a_client_that_leaves_while_its_allow_is_queued(run: Run, sent: bytes) -> None:
    feed(run, sent)
    run.client.lose()
    await turns()
    assert (run.made.log.decided, run.made.log.finished) == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])
    assert (run.forwarded(), run.client.written, run.made.gate.unfinished) == (b"", b"", 0)
    assert run.path.ended.done()


async def test_a_client_that_leaves_while_its_denial_is_queued(run: Run) -> None:
    feed(run, get("/v1/nothing"))
    run.client.lose()
    await turns()
    assert (run.log, run.client.written) == (([Reason.ROUTE_UNKNOWN], []), b"")


async def test_a_client_that_leaves_while_queued_and_the_log_fails(run: Run) -> None:
    run.made.log.error = FULL
    feed(run, get())
    run.client.lose()
    run.made.log.error = None
    await turns()
    assert (run.log, run.forwarded(), run.made.gate.unfinished) == (([], []), b"", 0)


async def test_one_clients_leaving_lets_the_others_of_its_turn_go_on(run: Run) -> None:
    other = Run(run.made)
    feed(run, get())
    feed(other, get())
    run.client.lose()
    assert (run.made.log.writes, other.forwarded()) == ([2], b"")
    await turns()
    assert run.forwarded() == b""
    assert other.forwarded().startswith(b"GET ")
    other.answer()
    assert other.log == ([Reason.ALLOWED] * 2, [Reason.CLIENT_CLOSED, Reason.ALLOWED])


# Time


@pytest.mark.parametrize("sent", [[get()], [request()[:-1], request()[-1:]]], ids=["head", "body"])
async def test_time_that_is_over_while_queued_ends_nothing(run: Run, sent: list[bytes]) -> None:
    feed(run, *sent)
    run.loop.pass_time(1_000.0)
    assert not run.client.closing
    await turns()
    assert run.forwarded()
    run.answer()
    assert run.log == ([Reason.ALLOWED], [Reason.ALLOWED])


async def test_a_body_that_is_late_is_answered_once_that_is_written(run: Run) -> None:
    feed(run, request()[:-1])
    run.loop.pass_time(30.0)
    assert (run.client.written, run.state) == (b"", State.BUSY)
    await turns()
    assert run.code() == "http.body_timeout"
    assert (run.log, run.state) == (([Reason.BODY_TIMEOUT], []), State.LINGER)


async def test_the_upstreams_time_begins_when_the_allow_is_written(run: Run) -> None:
    feed(run, get())
    run.loop.pass_time(29.0)
    await turns()
    run.loop.pass_time(29.0)
    assert run.client.written == b""
    run.loop.pass_time(1.0)
    assert run.code() == "upstream.timeout"


# Failures


async def test_a_log_that_fails_denies_all_requests_of_its_turn(run: Run) -> None:
    runs = [run, *(Run(run.made) for _ in range(3))]
    run.made.log.error = FULL
    for number, one in enumerate(runs):
        feed(one, request(World(nonce=f"n-{number}")))
    await turns()
    assert [one.code() for one in runs] == ["gate.audit_unavailable"] * 4
    assert [one.forwarded() for one in runs] == [b""] * 4
    assert run.made.gate.unfinished == 0

    run.made.log.error = None
    feed(run, get())
    await turns()
    assert run.forwarded().startswith(b"GET ")


async def test_a_long_body_is_passed_on_only_after_its_allow_is_in_the_log(run: Run) -> None:
    run.made.log.error = FULL
    feed(run, upload(BIG)[:-1])
    assert run.code() == "gate.audit_unavailable"
    assert (run.forwarded(), run.state) == (b"", State.LINGER)


async def test_a_fault_while_queued_is_the_outcome(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    feed(run, get())
    run.path.crash(ZeroDivisionError())
    await turns()
    assert (run.client.aborted, run.client.written, run.forwarded()) == (True, b"", b"")
    assert run.log == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert run.made.gate.unfinished == 0
    assert caplog.records


async def test_a_fault_once_written_ends_one_connection_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = Run(run.made)
    feed(run, get("/v1/nothing"))
    feed(other, get())
    monkeypatch.setattr(Handling, "answer", broken)
    await turns()
    assert (run.client.aborted, run.client.written) == (True, b"")
    assert other.forwarded().startswith(b"GET ")
    assert run.log == ([Reason.ROUTE_UNKNOWN, Reason.ALLOWED], [])
    assert "ZeroDivisionError" in caplog.text


async def test_a_body_that_is_asked_for_twice_ends_the_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Handling, "resume", lambda *_: run.path._handling and run.path._handling.waiting)
    feed(run, request())
    await turns()
    assert (run.client.aborted, run.forwarded()) == (True, b"")
    assert run.log == ([Reason.CONTROL_FAILED], [])
    assert "decided once" in caplog.text


@pytest.mark.parametrize("late", [Claim.NEW, OSError("gone")], ids=["answer", "error"])
async def test_a_store_that_answers_late_queues_its_decision(run: Run, late: Any) -> None:
    claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
    run.made.state.claiming = lambda _: claimed
    feed(run, request())
    await turns()
    assert run.made.log.events == []
    if isinstance(late, Exception):
        claimed.set_exception(late)
    else:
        claimed.set_result(late)
    await turns()
    assert run.made.log.decided == [Reason.STATE_UNAVAILABLE if isinstance(late, Exception) else Reason.ALLOWED]
    assert bool(run.forwarded()) == (late is Claim.NEW)


# Draining


async def test_a_connection_is_drained_after_what_is_queued(run: Run) -> None:
    feed(run, get())
    run.path.drain()
    assert not run.client.closing
    await turns()
    run.answer()
    assert run.client.closing
    assert run.log == ([Reason.ALLOWED], [Reason.ALLOWED])
