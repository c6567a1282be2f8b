from collections.abc import Sequence

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from gateway.engine.http1 import LINGER_BYTES, ReadRequestHeaders, StrictHttp1Server
from tests import world
from tests.engine.harness import chunked, get, request
from tests.unit.engine.flows import Wire
from tests.unit.engine.gates import Made

LIMITS = Limits(head=2_000, fields=20)


class Run(Wire):
    """The reader of a client's HTTP/1.1 alone; the test stands for the streams."""

    def __init__(self) -> None:
        super().__init__(Made(policy=world.policy(listeners={"public": world.listener(limits=LIMITS)})))
        self.reader = self.layer = StrictHttp1Server(self.context, self.connection)
        self.start()

    def answer(self, body: bytes = b"", stream: int = 1) -> None:
        """Answer the request in hand."""
        response = http.Response.make(200, body)
        self.feed(ResponseHeaders(stream, response))
        self.feed(ResponseEndOfMessage(stream))

    @property
    def heads(self) -> Sequence[str]:
        """Targets that were handed on."""
        return [event.head.target for event in self.handed_on if isinstance(event, ReadRequestHeaders)]

    @property
    def body(self) -> bytes | None:
        """The body that was handed on; None where it did not end."""
        ended = any(isinstance(event, RequestEndOfMessage) for event in self.handed_on)
        data = b"".join(event.data for event in self.handed_on if isinstance(event, RequestData))
        return data if ended else None

    def status(self) -> int:
        """Give the status of the answer that was sent."""
        return int(self.sent().split(b" ")[1])


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_head_is_handed_on_once_it_is_whole(run: Run) -> None:
    sent = get()
    for byte in sent[:-1]:
        run.receive(bytes([byte]))
    assert run.heads == []
    run.receive(sent[-1:])
    assert run.heads == ["/v1/balance"]


@pytest.mark.parametrize("sent", [request(), chunked(world.BODY, size=7)], ids=["length", "chunks"])
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_body_is_handed_on_as_it_comes(run: Run, sent: bytes, bytewise: bool) -> None:
    for piece in [bytes([byte]) for byte in sent] if bytewise else [sent]:
        run.receive(piece)
    assert run.body == world.BODY


def test_the_time_of_a_head_begins_with_its_first_byte_and_ends_with_its_last(run: Run) -> None:
    run.receive(b"\r\n")
    assert run.loop.timers == []
    run.receive(get()[:9])
    run.loop.pass_time(9.9)
    run.receive(get()[9:-1])
    assert len(run.loop.timers) == 1
    run.receive(get()[-1:])
    assert run.loop.timers == []


def test_a_head_that_is_late_is_answered(run: Run) -> None:
    run.receive(get()[:30])
    run.loop.pass_time(10.0)
    assert run.status() == 408
    assert run.made.log.decided == [Reason.HEAD_TIMEOUT]


def test_an_idle_connection_is_closed_without_a_word(run: Run) -> None:
    run.deadline(("idle", 0))
    assert (run.closed(), run.sent(), run.made.log.events) == (True, b"", [])


def test_a_client_may_leave_between_requests(run: Run) -> None:
    run.leave()
    assert (run.sent(), run.made.log.events) == (b"", [])


def test_a_client_that_leaves_within_a_head_leaves_a_record(run: Run) -> None:
    run.receive(get()[:30])
    run.leave()
    assert (run.sent(), run.made.log.decided) == (b"", [Reason.MESSAGE_MALFORMED])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\nh", Reason.MESSAGE_MALFORMED),
        (b"GET / HTTP/1.1\r\nx-a: 1\rb", Reason.MESSAGE_MALFORMED),
        (b"GET /" + b"a" * 2_000, Reason.HEAD_TOO_LARGE),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 21, Reason.HEAD_TOO_LARGE),
    ],
)
def test_what_no_further_bytes_can_mend_is_refused_at_once(run: Run, sent: bytes, reason: Reason) -> None:
    run.receive(sent)
    assert run.status() == reason.status
    assert run.made.log.decided == [reason]


def test_a_refused_client_is_read_for_a_while(run: Run) -> None:
    run.receive(b"\x16\x03\x01\r\n\r\n")
    assert run.sent().startswith(b"HTTP/1.1 400 ")
    run.receive(b"a" * LINGER_BYTES)
    assert not run.closed()
    run.receive(b"a")
    assert run.closed()
    assert run.handed_on == []


@pytest.mark.parametrize("end", ["time", "leaves"])
def test_a_refused_client_has_an_end(run: Run, end: str) -> None:
    run.receive(b"\x16\x03\x01\r\n\r\n")
    if end == "time":
        run.loop.pass_time(5.0)
    else:
        run.leave()
    assert run.closed()


def test_a_malformed_body_is_told_to_its_stream(run: Run) -> None:
    run.receive(chunked(b"").removesuffix(b"0\r\n\r\n") + b"3;a\r\n")
    error = run.handed_on[-1]
    assert isinstance(error, RequestProtocolError)
    assert error.code is ErrorCode.GENERIC_CLIENT_ERROR
    assert not run.closed()


def test_a_body_that_breaks_off_is_told_to_its_stream(run: Run) -> None:
    run.receive(request()[:-1])
    run.leave()
    error = run.handed_on[-1]
    assert isinstance(error, RequestProtocolError)
    assert error.code is ErrorCode.CLIENT_DISCONNECTED


def test_pipelined_requests_wait_for_their_turn(run: Run) -> None:
    run.receive(get("/a") + get("/b"))
    run.receive(get("/c"))
    assert run.heads == ["/a"]
    run.answer()
    assert run.heads == ["/a", "/b"]
    run.answer(stream=3)
    assert run.heads == ["/a", "/b", "/c"]


def test_pipelined_requests_beyond_the_limit_end_the_connection(run: Run) -> None:
    run.receive(get("/a"))
    run.receive(b"a" * 2_000)
    assert not run.closed()
    run.receive(b"a")
    assert run.closed()
    assert run.made.log.decided == [Reason.HEAD_TOO_LARGE]
    assert isinstance(run.handed_on[-1], RequestProtocolError)


def test_an_answer_before_the_bodys_end_ends_the_connection(run: Run) -> None:
    run.receive(request()[:-1])
    run.answer()
    run.receive(b"}" + get())
    assert run.heads == ["/v1/deposits"]
    run.loop.pass_time(5.0)
    assert run.closed()


def test_a_connection_that_ends_takes_no_further_request(run: Run) -> None:
    run.receive(get("/a"))
    run.connection.closing = True
    run.answer()
    assert run.closed()


@pytest.mark.parametrize("key", [("body", 1), ("idle", 0)])
def test_a_deadline_that_comes_too_late_is_nothing(run: Run, key: tuple[str, int]) -> None:
    run.receive(request()[:-1])
    run.deadline(key)
    run.receive(request()[-1:])
    run.deadline(key)
    assert not run.closed()
    assert run.body == world.BODY
