import asyncio
from typing import Any

import pytest

from gateway.core.policy import Upstream
from gateway.core.reasons import Reason
from gateway.engine.body import BodyReader
from gateway.engine.endpoints import Endpoints, UpstreamFailedError
from gateway.engine.gate import Handling
from gateway.engine.passage import Passage
from gateway.engine.upstream_connection import HIGH_WATER, UpstreamConnection
from gateway.engine.upstream_pool import Pool
from tests import world
from tests.engine.upstream import OK
from tests.unit.engine.gates import Made, decided
from tests.unit.engine.transports import FakeTransport, connected
from tests.world import World


class Client:
    """The client's connection."""

    def __init__(self) -> None:
        self.written = b""
        self.held = False
        self.slow = False
        self.last = False
        self.awaited = 0
        self.crashed: list[Exception] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def hold(self) -> None:
        self.held = True

    def go_on(self) -> None:
        self.held = False

    def await_upstream(self, upstream: Upstream) -> None:
        assert upstream.name == "psp"
        self.awaited += 1

    def crash(self, error: Exception) -> None:
        self.crashed.append(error)


class Opens(Pool):
    """A pool whose connections are on transports of the test's."""

    def __init__(self) -> None:
        super().__init__(Endpoints(world.upstream(), None, Made().gate))
        self.made, self.transport = connected(UpstreamConnection(self, self.endpoints.places[0]))
        self.idle: list[UpstreamConnection] = [self.made]
        self.error: Exception | None = None
        self.returned: list[UpstreamConnection] = []

    def take(self) -> UpstreamConnection | None:
        return self.idle.pop() if self.idle else None

    async def open(self) -> UpstreamConnection:
        if self.error is not None:
            raise self.error
        return self.made

    def give_back(self, connection: UpstreamConnection) -> None:
        self.returned.append(connection)


class Run:
    """One passage, and what stands at both its ends."""

    def __init__(self, handling: Handling, sent: World) -> None:
        self.handling = handling
        self.client = Client()
        self.pool = Opens()
        self.body = BodyReader(sent.head())
        self.ended: list[tuple[Reason, str]] = []
        ended = self.ended
        self.passage = Passage(
            self.client, handling, self.pool, self.body, lambda reason, detail: ended.append((reason, detail))
        )

    @property
    def transport(self) -> FakeTransport:
        return self.pool.transport

    def feed(self, data: bytes) -> None:
        """Let a part of the body come, and be passed on."""
        part, _ = self.body.feed(data)
        self.passage.body_part(part)

    def answer(self, data: bytes = OK) -> None:
        self.pool.made.data_received(data)


NO_BODY = {"content-length": None, "content-type": None}


async def run_of(**changes: Any) -> Run:
    """Make the passage of a request that was allowed; no control needed its body."""
    route = world.route(
        match=world.Match(frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"}), "/v1/deposits"),
        chain=world.chain(signature=None, replay=None, rate_limit=None),
        body_limit=2 * HIGH_WATER,
    )
    sent = World(**changes)
    handling = await decided(Made(policy=world.policy(route)), sent)
    assert handling.authorise().allowed
    return Run(handling, sent)


async def whole() -> Run:
    """Make the passage of a request whose body came with it."""
    run = await run_of()
    run.body.feed(world.BODY)
    return run


async def in_chunks() -> Run:
    """Make the passage of a request whose body comes in chunks."""
    return await run_of(fields={"content-length": None, "transfer-encoding": "chunked"})


# The request


async def test_a_request_goes_out_in_one_piece() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    head, _, body = run.transport.written.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:2] == [b"POST /v1/deposits HTTP/1.1", b"host: api.psp.example"]
    assert lines[-1] == b"content-length: %d" % len(world.BODY)
    assert b"x-gateway-request-id: " + run.handling.request_id.encode() in lines
    assert body == world.BODY


@pytest.mark.parametrize(
    ("method", "told"), [("GET", False), ("HEAD", False), ("DELETE", False), ("POST", True), ("PUT", True)]
)
async def test_a_request_without_a_body_says_so_where_one_is_expected(method: str, told: bool) -> None:
    run = await run_of(method=method.encode(), body=b"", fields=NO_BODY)
    run.passage.begin(b"")
    assert (b"\r\ncontent-length: 0\r\n" in run.transport.written) == told
    assert run.transport.written.endswith(b"\r\n\r\n")


async def test_a_body_of_a_declared_length_is_passed_on_as_it_comes() -> None:
    run = await run_of()
    run.passage.begin(b"")
    assert run.transport.take().endswith(b"\r\ncontent-length: %d\r\n\r\n" % len(world.BODY))
    run.feed(world.BODY[:10])
    assert run.transport.take() == world.BODY[:10]
    run.feed(world.BODY[10:])
    assert run.transport.take() == world.BODY[10:]
    run.answer()
    assert run.pool.returned == [run.pool.made]


async def test_a_body_in_chunks_is_passed_on_in_chunks_of_the_gates_own() -> None:
    run = await in_chunks()
    run.passage.begin(b"")
    assert run.transport.take().endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n")
    run.feed(b"3\r\na")
    assert run.transport.take() == b"1\r\na\r\n"
    run.feed(b"bc\r\n2\r\nde\r\n0\r\n\r\n")
    assert run.transport.take() == b"4\r\nbcde\r\n0\r\n\r\n"
    run.answer()
    assert run.pool.returned == [run.pool.made]


async def test_a_body_that_is_whole_before_there_is_a_connection_keeps_its_framing() -> None:
    run = await in_chunks()
    run.pool.idle = []
    run.passage.begin(b"")
    run.feed(b"3\r\nabc\r\n0\r\n\r\n")
    await opened(run)
    assert run.transport.written.endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


async def opened(run: Run) -> None:
    """Let the connection that is waited for be there."""
    opening = run.passage._opening
    assert opening is not None
    await opening


async def test_an_answer_before_the_end_of_the_body_ends_the_upstreams_connection() -> None:
    run = await run_of()
    run.passage.begin(b"")
    run.feed(world.BODY[:10])
    run.answer()
    assert run.ended == [(Reason.ALLOWED, "")]
    assert run.pool.returned == []
    assert run.transport.aborted


# Slow sides


async def test_a_client_waits_while_the_upstream_is_slow() -> None:
    run = await run_of()
    run.passage.begin(b"")
    run.pool.made.pause_writing()
    run.feed(world.BODY[:10])
    assert run.client.held
    run.pool.made.resume_writing()
    assert not run.client.held


async def test_a_client_waits_while_its_upstream_is_connected_and_much_has_come() -> None:
    big = HIGH_WATER + 10
    run = await run_of(body=b"a" * big, fields={"content-length": str(big)})
    run.pool.idle = []
    run.passage.begin(b"")
    run.feed(b"a" * HIGH_WATER)
    assert not run.client.held
    run.feed(b"a")
    assert run.client.held

    await opened(run)

    assert not run.client.held
    assert run.transport.written.endswith(b"a" * (HIGH_WATER + 1))


async def test_an_upstream_waits_while_the_client_is_slow() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.passage.client_slow()
    assert run.transport.paused
    run.passage.client_ready()
    assert not run.transport.paused


async def test_an_upstream_waits_for_a_client_that_was_slow_before() -> None:
    run = await whole()
    run.client.slow = True
    run.passage.begin(world.BODY)
    assert run.transport.paused


# The response


async def test_a_response_is_written_anew() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.answer(OK[:-5])
    assert run.client.written.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    assert run.passage.status == 200
    run.answer(OK[-5:])
    assert run.client.written.endswith(b'\r\n\r\n{"status":"ok"}')
    assert (run.ended, run.handling.response_bytes) == ([(Reason.ALLOWED, "")], 15)


async def test_a_response_in_chunks_goes_out_in_chunks_of_the_gates_own() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    run.answer(b"2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n")
    assert run.client.written.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


async def test_a_response_that_the_connection_ends_is_told_from_one_that_broke_off() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.answer(b"HTTP/1.1 200 OK\r\n\r\nabc")
    run.pool.made.eof_received()
    assert run.client.written.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert run.ended == [(Reason.ALLOWED, "")]


async def test_the_client_is_told_that_its_connection_ends() -> None:
    run = await whole()
    run.client.last = True
    run.passage.begin(world.BODY)
    run.answer()
    assert b"\r\nconnection: close\r\n" in run.client.written


async def test_the_upstreams_time_runs_from_each_part() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.answer(OK[:-5])
    run.answer(OK[-5:-1])
    assert run.client.awaited == 3


# Ends


async def test_an_upstream_that_breaks_off_ends_the_passage() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.transport.lose()
    assert [reason for reason, _ in run.ended] == [Reason.UPSTREAM_BROKEN]


async def test_an_upstream_that_cannot_be_reached_ends_the_passage() -> None:
    run = await whole()
    run.pool.idle, run.pool.error = [], UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, "connection refused")
    run.passage.begin(world.BODY)
    await opened(run)
    assert run.ended == [(Reason.UPSTREAM_UNREACHABLE, "connection refused")]
    assert run.handling.sent_upstream is None


async def test_a_fault_while_connecting_ends_the_clients_connection() -> None:
    run = await whole()
    run.pool.idle, run.pool.error = [], ZeroDivisionError()
    run.passage.begin(world.BODY)
    await opened(run)
    assert [type(error) for error in run.client.crashed] == [ZeroDivisionError]


async def test_a_fault_once_connected_ends_both_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Handling, "sends_upstream", broken)
    run = await whole()
    run.pool.idle = []
    run.passage.begin(world.BODY)
    await opened(run)
    assert [type(error) for error in run.client.crashed] == [ZeroDivisionError]
    assert run.transport.aborted
    assert run.transport.written == b""


async def test_a_passage_that_is_dropped_says_nothing_to_anybody() -> None:
    run = await whole()
    run.passage.begin(world.BODY)
    run.passage.drop()
    assert run.transport.aborted
    run.transport.lose()
    assert (run.ended, run.client.written) == ([], b"")
    run.passage.drop()


async def test_a_passage_that_is_dropped_waits_for_no_connection() -> None:
    run = await whole()
    run.pool.idle = []
    run.passage.begin(world.BODY)
    opening = run.passage._opening
    assert opening is not None
    run.passage.drop()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert opening.cancelled()
    assert run.transport.written == b""


async def test_only_an_allowed_request_has_a_passage() -> None:
    with pytest.raises(RuntimeError, match="needs an allowed request"):
        Run(Made().handling(), World())
