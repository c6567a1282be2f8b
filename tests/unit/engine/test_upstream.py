from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy.layers.http._events import (
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from gateway.engine.upstream import MAX_HEAD, UpstreamLayer
from tests.unit.engine.flows import Wire

OK = b"HTTP/1.1 200 OK\r\n"


class Run:
    """An upstream connection that is open."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.wire.context.server = Server(address=("psp", 0))
        self.layer = self.wire.layer = UpstreamLayer(self.wire.context)
        self.wire.start()
        self.server = self.wire.open()

    def ask(self, method: str = "GET") -> None:
        """Send a request."""
        request = http.Request.make(method, "http://psp/")
        self.wire.feed(RequestHeaders(1, request, end_stream=True))
        self.wire.feed(RequestEndOfMessage(1))

    def answer(self, *pieces: bytes, closes: bool = False) -> "Run":
        """Let an answer come."""
        for piece in pieces:
            self.wire.receive(piece, self.server)
        if closes:
            self.wire.leave(self.server)
        return self

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.wire.handed_on if isinstance(event, kind)]

    @property
    def body(self) -> bytes | None:
        """The body that was handed on; None where the answer did not end."""
        ended = self.of(ResponseEndOfMessage)
        return b"".join(event.data for event in self.of(ResponseData)) if ended else None

    @property
    def error(self) -> str | None:
        """What was said of an answer that was refused."""
        errors = self.of(ResponseProtocolError)
        return errors[0].message if errors else None


@pytest.fixture
def run() -> Run:
    made = Run()
    made.ask()
    return made


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"content-length: 3\r\n\r\nabc", b"abc"),
        (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (OK + b"transfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nx-a: 1\r\n\r\n", b"abc"),
        (b"HTTP/1.1 204 \r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 599\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"content-length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 100 \r\n\r\n" * 3 + OK + b"content-length: 0\r\n\r\n", b""),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_an_answer_is_read_whole(run: Run, answer: bytes, body: bytes, bytewise: bool) -> None:
    run.answer(*([bytes([byte]) for byte in answer] if bytewise else [answer]))
    assert (run.body, run.error) == (body, None)
    assert run.layer.idle
    assert len(run.of(ResponseHeaders)) == 1


def test_an_answer_without_a_length_ends_with_the_connection(run: Run) -> None:
    run.answer(OK + b"\r\nabc")
    assert run.body is None
    run.answer(closes=True)
    assert run.body == b"abc"


def test_an_answer_to_head_has_no_body() -> None:
    run = Run()
    run.ask("HEAD")
    run.answer(OK + b"content-length: 3\r\n\r\n")
    assert run.body == b""


REFUSED = {
    "no status line": (b"\x16\x03\x01\r\n\r\n", "no status line"),
    "HTTP/2": (b"HTTP/2 200 OK\r\n\r\n", "no status line"),
    "status of two digits": (b"HTTP/1.1 99 OK\r\n\r\n", "no status line"),
    "status 600": (b"HTTP/1.1 600 OK\r\n\r\n", "no status line"),
    "space before it": (b" HTTP/1.1 200 OK\r\n\r\n", "no status line"),
    "switches protocols": (b"HTTP/1.1 101 Up\r\n\r\n", "switches protocols"),
    "no colon": (OK + b"x-a\r\n\r\n", "without name and value"),
    "bare CR": (OK + b"x-a: 1\rx-b: 2\r\n\r\n", "bare CR"),
    "bare LF": (OK + b"x-a: 1\nx-b: 2\r\n\r\n", "bare LF"),
    "bare LFs": (b"HTTP/1.1 200 OK\n\n", "bare LF"),
    "length beyond all bounds": (OK + b"content-length: " + b"1" * 19 + b"\r\n\r\n", "beyond all bounds"),
    "bell": (OK + b"x-a: \x07\r\n\r\n", "control characters"),
    "NUL": (OK + b"x-a: \x00\r\n\r\n", "a NUL"),
    "length twice": (OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\na", "ambiguous framing"),
    "length and chunks": (OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "ambiguous framing"),
    "no length": (OK + b"content-length: x\r\n\r\n", "ambiguous framing"),
    "space before the colon": (OK + b"x-a : 1\r\n\r\n", "ambiguous framing"),
    "a coding before chunked": (OK + b"transfer-encoding: gzip, chunked\r\n\r\n", "transfer coding other than"),
    "a coding": (OK + b"transfer-encoding: gzip\r\n\r\n", "transfer coding other than"),
    "malformed chunk": (OK + b"transfer-encoding: chunked\r\n\r\nsecret\r\n", "malformed chunk"),
}


@pytest.mark.parametrize(("answer", "words"), REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(run: Run, answer: bytes, words: str) -> None:
    run.answer(answer)
    assert run.error is not None
    assert words in run.error
    assert "secret" not in run.error
    assert run.wire.closed(run.server)
    assert run.body is None


@pytest.mark.parametrize("answer", [b"", OK, OK + b"content-length: 3\r\n\r\nab"])
def test_an_answer_that_breaks_off_is_refused(run: Run, answer: bytes) -> None:
    run.answer(answer, closes=True)
    assert run.error is not None
    assert run.body is None


def test_a_head_has_an_end(run: Run) -> None:
    run.answer(OK, b"x-a: " + b"a" * (MAX_HEAD - 100))
    assert run.error is None
    run.answer(b"a" * 100)
    assert run.error == f"head of more than {MAX_HEAD} bytes"


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    run = Run()
    run.answer(OK + b"content-length: 0\r\n\r\n")
    assert run.wire.closed(run.server)
    assert run.wire.handed_on == []


def test_a_second_answer_ends_the_connection(run: Run) -> None:
    run.answer(OK + b"content-length: 0\r\n\r\n" + OK + b"content-length: 0\r\n\r\n")
    assert len(run.of(ResponseHeaders)) == 1
    assert run.wire.closed(run.server)


def test_a_connection_is_not_idle_while_it_is_in_use(run: Run) -> None:
    assert not run.layer.idle
    run.answer(OK + b"content-length: 1\r\n\r\n")
    assert not run.layer.idle
    run.answer(b"a")
    assert run.layer.idle


def test_a_connection_that_could_not_be_opened_is_not_idle() -> None:
    wire = Wire()
    wire.context.server = Server(address=("psp", 0))
    layer = wire.layer = UpstreamLayer(wire.context)
    wire.start()
    wire.open("connection refused")
    assert not layer.idle
