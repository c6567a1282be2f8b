"""The data path on transports and timers of the test's; `test_data_path_sockets` has it behind TLS."""

import asyncio
from typing import Any, cast

import orjson
import pytest

from gateway.core.policy import Limits, Match, Upstream
from gateway.core.reasons import Reason
from gateway.engine.client_state import LINGER_BYTES, State
from gateway.engine.data_path import STREAM_FROM, DataPath
from gateway.engine.deadline import Deadline
from tests import world
from tests.engine.harness import chunked, get, request
from tests.engine.upstream import OK
from tests.unit.engine.gates import Made
from tests.unit.engine.loops import Loop
from tests.unit.engine.test_passage import Opens
from tests.unit.engine.transports import connected
from tests.world import World

LIMITS = Limits(head=3_000, head_timeout=10.0, body_timeout=30.0, idle_timeout=75.0)
UPLOAD = 2 * STREAM_FROM
"""Bytes that the route takes which passes bodies on."""
UNSIGNED = world.chain(signature=None, replay=None, rate_limit=None)
ROUTES = (
    world.route(),
    world.route(name="balance", match=Match(frozenset({"GET", "HEAD"}), "/v1/balance"), chain=UNSIGNED),
    world.route(name="upload", match=Match(frozenset({"POST"}), "/v1/files"), chain=UNSIGNED, body_limit=UPLOAD),
)


class Run:
    """A client's connection, and an upstream's."""

    def __init__(self, made: Made | None = None) -> None:
        self.made = made or Made(policy=world.policy(*ROUTES, listeners={"public": world.listener(limits=LIMITS)}))
        self.loop = Loop()
        self.pool = Opens()
        self.path = DataPath(self.made.gate, world.peer(), lambda: cast("Any", self))
        self.path._deadline = Deadline(cast("Any", self.loop), self.path._time_is_up)
        _, self.client = connected(self.path)

    def of(self, _: Upstream) -> Opens:
        """Give the upstream's pool, as `Pools` does."""
        return self.pool

    def receive(self, *pieces: bytes) -> None:
        """Let bytes come from the client."""
        for piece in pieces:
            assert not self.client.closing
            self.path.data_received(piece)
            self.turn()

    def turn(self) -> None:
        """Let the loop's turn end: decisions and outcomes are recorded, and what waits for them goes on."""
        self.made.turn()

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.pass_time(seconds)
        self.turn()

    def answer(self, data: bytes = OK) -> None:
        """Let bytes come from the upstream; a connection that is given back is there for the next request."""
        self.pool.made.data_received(data)
        self.pool.idle, self.pool.returned = self.pool.idle + self.pool.returned, []

    def forwarded(self) -> bytes:
        """Give what was sent upstream since the last call."""
        return self.pool.transport.take()

    def status(self) -> int:
        """Give the status of what was sent to the client since the last call."""
        return int(self.client.take().split(b" ")[1])

    def code(self) -> str:
        """Give the code of the refusal that was sent to the client."""
        return str(orjson.loads(self.client.take().partition(b"\r\n\r\n")[2])["code"])

    @property
    def log(self) -> tuple[list[Reason], list[Reason]]:
        """Reasons of the decisions and of the outcomes, once the turn has ended."""
        self.turn()
        return self.made.log.decided, self.made.log.finished

    @property
    def state(self) -> State:
        return self.path._state


@pytest.fixture
async def run() -> Run:
    return Run()


def upload(body: bytes, **fields: str | None) -> bytes:
    """Write a request whose body no control needs."""
    return request(World(target=b"/v1/files", body=body, fields=fields))


BIG = b"a" * STREAM_FROM


# Heads


async def test_a_request_is_forwarded_and_answered(run: Run) -> None:
    run.receive(request())
    assert run.forwarded().endswith(world.BODY)
    run.answer()
    assert run.status() == 200
    assert run.log == ([Reason.ALLOWED], [Reason.ALLOWED])
    assert (run.state, run.path.open_requests) == (State.HEAD, 0)


@pytest.mark.parametrize("sent", [request(), chunked(world.BODY, size=9)], ids=["length", "chunked"])
async def test_bytes_may_come_one_by_one(run: Run, sent: bytes) -> None:
    run.receive(*(bytes([byte]) for byte in sent))
    assert run.forwarded().endswith(world.BODY)


async def test_empty_lines_before_a_request_are_ignored(run: Run) -> None:
    run.receive(b"\r\n", b"\r\n\r\n" + get())
    assert run.forwarded().startswith(b"GET /v1/balance ")


async def test_a_head_that_is_no_http_ends_the_connection(run: Run) -> None:
    run.receive(b"\x16\x03\x01\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in run.client.written
    assert run.status() == 400
    assert (run.log[0], run.state) == ([Reason.MESSAGE_MALFORMED], State.LINGER)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"GET /\n", Reason.MESSAGE_MALFORMED), (b"GET /" + b"a" * 3_000, Reason.HEAD_TOO_LARGE)],
)
async def test_what_no_further_bytes_can_mend_is_refused_at_once(run: Run, sent: bytes, reason: Reason) -> None:
    run.receive(sent)
    assert run.log[0] == [reason]


async def test_a_head_has_its_time_from_its_first_byte(run: Run) -> None:
    run.pass_time(60.0)
    run.receive(get()[:20])
    run.pass_time(9.0)
    run.receive(get()[20:-1])
    run.pass_time(1.0)
    assert run.code() == "http.head_timeout"
    assert run.log[0] == [Reason.HEAD_TIMEOUT]


async def test_an_idle_connection_is_closed_without_a_word(run: Run) -> None:
    run.receive(get())
    run.answer()
    run.client.take()
    run.pass_time(75.0)
    assert (run.client.closing, run.client.written) == (True, b"")


async def test_a_client_that_leaves_within_a_head_leaves_a_record(run: Run) -> None:
    run.receive(get()[:30])
    run.client.lose()
    assert run.log[0] == [Reason.MESSAGE_MALFORMED]
    assert run.path.ended.done()


async def test_a_client_may_leave_between_requests(run: Run) -> None:
    run.client.lose()
    assert run.made.log.events == []
    assert run.path.ended.done()


async def test_a_refused_client_is_read_for_a_while(run: Run) -> None:
    run.receive(b"\x16\x03\x01\r\n\r\n", b"a" * LINGER_BYTES)
    assert not run.client.closing
    run.receive(b"a")
    assert run.client.closing


async def test_a_refused_client_has_an_end(run: Run) -> None:
    run.receive(b"\x16\x03\x01\r\n\r\n")
    run.pass_time(5.0)
    assert run.client.closing


# Bodies


async def test_a_denied_request_is_answered_before_its_body(run: Run) -> None:
    head, _, body = request(World(fields={"authorization": None})).partition(b"\r\n\r\n")
    run.receive(head + b"\r\n\r\n")
    assert run.code() == "token.missing"
    run.receive(body + get())
    assert (run.log, run.forwarded(), run.state) == (([Reason.TOKEN_MISSING], []), b"", State.LINGER)


@pytest.mark.parametrize("transfer", ["length", "chunked"])
async def test_a_denied_request_whose_body_is_here_leaves_the_connection_open(run: Run, transfer: str) -> None:
    sent = request() if transfer == "length" else chunked(world.BODY)
    run.receive(sent.replace(b"Bearer", b"Basic") + get())
    assert run.code() == "token.missing"
    await until_idle(run)
    assert run.forwarded().startswith(b"GET ")


async def test_a_body_that_a_control_needs_is_collected(run: Run) -> None:
    run.receive(request()[:-1])
    assert (run.log, run.forwarded(), run.state) == (([], []), b"", State.BODY)
    run.receive(request()[-1:])
    assert run.log[0] == [Reason.ALLOWED]


@pytest.mark.parametrize("transfer", ["length", "chunked"])
async def test_a_long_body_that_no_control_needs_is_passed_on_as_it_comes(run: Run, transfer: str) -> None:
    fields = {} if transfer == "length" else {"content-length": None, "transfer-encoding": "chunked"}
    head = upload(BIG, **fields)[: -len(BIG)]
    run.receive(head)
    assert (run.log[0], run.state) == ([Reason.ALLOWED], State.STREAM)
    run.forwarded()

    run.receive(BIG[:10] if transfer == "length" else b"a\r\n" + BIG[:10] + b"\r\n")
    assert BIG[:10] in run.forwarded()
    run.receive(BIG[10:] if transfer == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG) - 10, BIG[10:]))

    assert BIG[10:] in run.forwarded()
    assert run.state is State.BUSY
    run.answer()
    assert run.log[1] == [Reason.ALLOWED]
    assert run.pool.idle == [run.pool.made]


async def test_a_short_body_goes_with_its_head(run: Run) -> None:
    head, _, body = upload(b"{}").partition(b"\r\n\r\n")
    run.receive(head + b"\r\n\r\n")
    assert (run.log[0], run.forwarded()) == ([], b"")
    run.receive(body)
    assert run.forwarded().endswith(b"\r\n\r\n{}")


async def test_a_client_is_told_to_go_on_with_its_body(run: Run) -> None:
    head, _, body = request(World(fields={"expect": "100-continue"})).partition(b"\r\n\r\n")
    run.receive(head + b"\r\n\r\n")
    assert run.client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    run.receive(body)
    assert run.forwarded().endswith(body)


async def test_a_client_that_goes_on_by_itself_is_not_told_to(run: Run) -> None:
    run.receive(request(World(fields={"expect": "100-continue"}))[:-1])
    assert run.client.written == b""


async def test_a_denied_client_is_not_told_to_go_on(run: Run) -> None:
    run.receive(request(World(fields={"expect": "100-continue", "authorization": None}))[: -len(world.BODY)])
    assert run.code() == "token.missing"


@pytest.mark.parametrize("size", [65_537, 200_000])
async def test_a_collected_body_beyond_the_limit_is_refused_as_soon_as_that_is_seen(run: Run, size: int) -> None:
    run.receive(chunked(b"a" * size)[:-5])
    assert run.code() == "http.body_too_large"
    assert (run.log, run.forwarded()) == (([Reason.BODY_TOO_LARGE], []), b"")


async def test_a_declared_body_beyond_the_limit_is_refused_at_its_head(run: Run) -> None:
    run.receive(upload(b"", **{"content-length": str(UPLOAD + 1)}))
    assert run.code() == "http.body_too_large"
    assert run.log == ([Reason.BODY_TOO_LARGE], [])


async def test_a_body_beyond_the_limit_that_is_passed_on_breaks_the_upstream_off(run: Run) -> None:
    run.receive(upload(b"", **{"content-length": None, "transfer-encoding": "chunked"}))
    run.receive(b"%x\r\n%b\r\n" % (UPLOAD, b"a" * UPLOAD))
    run.receive(b"1\r\na\r\n")
    assert run.code() == "http.body_too_large"
    assert run.pool.transport.aborted
    assert run.log == ([Reason.ALLOWED], [Reason.BODY_TOO_LARGE])


@pytest.mark.parametrize("transfer", ["collected", "passed on"])
async def test_a_malformed_chunk_is_refused(run: Run, transfer: str) -> None:
    fields = {"content-length": None, "transfer-encoding": "chunked"}
    run.receive(chunked(b"")[:-5] if transfer == "collected" else upload(b"", **fields))
    run.receive(b"3;a=b\r\n")
    assert run.code() == "http.malformed"
    reasons = [Reason.MESSAGE_MALFORMED]
    assert run.log == ((reasons, []) if transfer == "collected" else ([Reason.ALLOWED], reasons))
    assert run.state is State.LINGER


@pytest.mark.parametrize("transfer", ["collected", "passed on"])
async def test_a_body_that_does_not_come_is_refused(run: Run, transfer: str) -> None:
    run.receive((request() if transfer == "collected" else upload(BIG))[:-1])
    run.pass_time(30.0)
    assert run.code() == "http.body_timeout"
    assert run.log == (
        ([Reason.BODY_TIMEOUT], []) if transfer == "collected" else ([Reason.ALLOWED], [Reason.BODY_TIMEOUT])
    )
    assert run.pool.transport.aborted == (transfer == "passed on")


async def test_an_answer_before_the_bodys_end_ends_both_connections(run: Run) -> None:
    run.receive(upload(BIG)[:-1])
    run.answer(b"HTTP/1.1 413 \r\ncontent-length: 0\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in run.client.written
    assert run.status() == 413
    assert run.pool.transport.aborted
    assert (run.log[1], run.state) == ([Reason.ALLOWED], State.LINGER)


# Pipelining


async def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    run.receive(b"".join(get(path) for path in ("/v1/balance?a=1", "/v1/nothing", "/v1/balance?a=2")))
    assert run.forwarded().startswith(b"GET /v1/balance?a=1 ")
    run.answer()
    assert run.status() == 200
    await until_idle(run)
    assert run.forwarded().startswith(b"GET /v1/balance?a=2 ")
    assert run.code() == "route.unknown"
    run.answer()
    assert run.log == ([Reason.ALLOWED, Reason.ROUTE_UNKNOWN, Reason.ALLOWED], [Reason.ALLOWED] * 2)


async def until_idle(_: Run) -> None:
    """Let the loop come to what it was told to do soon."""
    for _turn in range(6):
        await asyncio.sleep(0)


async def test_a_client_that_pipelines_much_is_made_to_wait(run: Run) -> None:
    run.receive(get())
    run.receive(b"a" * 3_000)
    assert not run.client.paused
    run.receive(b"a")
    assert run.client.paused
    run.answer()
    assert not run.client.paused


async def test_what_follows_a_chunked_body_is_a_request_of_its_own(run: Run) -> None:
    follows = get("/v1/nothing")
    run.receive(chunked(world.BODY) + follows[:9])
    run.answer()
    run.receive(follows[9:])
    await until_idle(run)
    assert run.log[0] == [Reason.ALLOWED, Reason.ROUTE_UNKNOWN]


async def test_connection_close_is_honoured(run: Run) -> None:
    run.receive(get(connection="close") + get())
    run.answer()
    assert b"\r\nconnection: close\r\n" in run.client.written
    assert run.client.closing
    assert run.log[0] == [Reason.ALLOWED]
