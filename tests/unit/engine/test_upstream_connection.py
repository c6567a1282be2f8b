"""Connections to an upstream, read by bytes alone."""

import asyncio
import ssl

import pytest

from gateway.core.reasons import Reason
from gateway.engine.endpoints import Endpoints
from gateway.engine.response_head import ResponseFields
from gateway.engine.upstream_connection import HIGH_WATER, MAX_RESPONSE_HEAD, UpstreamConnection
from gateway.engine.upstream_pool import Pool
from tests import world
from tests.unit.engine.gates import Made
from tests.unit.engine.loops import Loop
from tests.unit.engine.transports import connected

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Sink:
    """Where one response goes."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.fields = ResponseFields()
        self.ends: bool | None = None
        self.body = b""
        self.flushed = 0
        self.failed: tuple[Reason, str] | None = None
        self.ended = 0
        self.writable = 0

    def response_head(self, status: int, fields: ResponseFields, *, ends: bool) -> None:
        assert self.status is None, "a second head"
        self.status, self.fields, self.ends = status, fields, ends

    def response_body(self, data: bytes) -> None:
        self.body += data  # llhttp would swallow what fails here

    def response_flush(self) -> None:
        assert not self.ended
        self.flushed += 1

    def response_ended(self) -> None:
        assert self.failed is None
        self.ended += 1

    def response_failed(self, reason: Reason, detail: str) -> None:
        assert not self.ended
        assert self.failed is None
        self.failed = (reason, detail)

    def upstream_writable(self) -> None:
        self.writable += 1


class Run:
    """A connection of a pool, on a transport of the test's."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.pool = Pool(Endpoints(world.upstream(), None, Made().gate))
        (self.place,) = self.pool.endpoints.places
        self.connection, self.transport = connected(UpstreamConnection(self.pool, self.place))
        self.pool._all.add(self.connection)

    def ask(self, *, to_head: bool = False, ends: bool = True) -> Sink:
        """Send a request; gives where its response goes."""
        sink = Sink()
        self.connection.send(sink, REQUEST, to_head=to_head, ends=ends)
        return sink

    def answer(self, *pieces: bytes) -> None:
        """Let bytes of a response come."""
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)

    def close(self, error: Exception | None = None) -> None:
        """Let the upstream close the connection, or break it off."""
        if error is None:
            self.connection.eof_received()
        self.transport.lose(error)

    @property
    def waits(self) -> bool:
        """Whether the connection waits in the pool for its next request."""
        return self.connection in self.pool._idle[self.place]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return Run(loop)


@pytest.fixture
def sink(run: Run) -> Sink:
    """Where the response to its first request goes."""
    return run.ask()


WHOLE = [
    (OK + b"content-length: 3\r\n\r\nabc", 200, b"abc"),
    (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 200, b"abc"),
    (CHUNKED + b"3\r\nabc\r\n0\r\nx-a: 1\r\n\r\n", 200, b"abc"),
    (EMPTY, 200, b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n", 304, b""),
    (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"content-length: 3\r\n\r\nabc", 200, b"abc"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + EMPTY, 200, b""),
    (b"HTTP/1.1 150 Hm\r\n\r\n" + EMPTY, 200, b""),
]


@pytest.mark.parametrize(("answer", "status", "body"), WHOLE)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_response_is_read_whole_and_the_connection_waits_for_the_next(
    run: Run, sink: Sink, answer: bytes, status: int, body: bytes, bytewise: bool
) -> None:
    run.answer(*([bytes([byte]) for byte in answer] if bytewise else [answer]))
    assert (sink.status, sink.body, sink.ended, sink.failed) == (status, body, 1, None)
    assert run.waits
    assert all(name.lower() != b"link" for name, _ in sink.fields)
    assert all(name.lower() != b"x-a" for name, _ in sink.fields)


def test_a_connection_is_used_again(run: Run, sink: Sink) -> None:
    run.answer(OK + b"content-length: 3\r\n\r\nabc")
    assert run.pool.take() is run.connection
    second = run.ask()
    run.answer(OK + b"content-length: 3\r\n\r\ndef")
    assert (sink.body, second.body, second.ended) == (b"abc", b"def", 1)


def test_a_response_to_head_has_no_body(run: Run) -> None:
    for _ in range(2):
        sink = run.ask(to_head=True)
        run.answer(OK + b"content-length: 3\r\n\r\n")
        assert (sink.ends, sink.ended, run.waits) == (True, 1, True)
        assert run.pool.take() is run.connection


def test_a_body_of_a_response_to_head_goes_nowhere(run: Run) -> None:
    sink = run.ask(to_head=True)
    run.answer(OK + b"content-length: 3\r\n\r\nabc")
    assert (sink.body, sink.ended) == (b"", 1)
    assert run.transport.aborted


def test_a_response_without_a_length_ends_with_the_connection(run: Run, sink: Sink) -> None:
    run.answer(OK + b"\r\nabc", b"def")
    assert (sink.ends, sink.ended) == (False, 0)
    run.close()
    assert (sink.body, sink.ended, sink.failed) == (b"abcdef", 1, None)
    assert not run.waits


def test_a_response_without_a_length_that_breaks_off_is_not_whole(run: Run, sink: Sink) -> None:
    run.answer(OK + b"\r\nabc")
    run.close(ConnectionResetError())
    assert (sink.ended, sink.failed) == (0, (Reason.UPSTREAM_BROKEN, DURING))


DURING = "it closed the connection before its answer was complete"


@pytest.mark.parametrize("sent", [b"", OK, OK + b"content-length: 3\r\n\r\nab", CHUNKED + b"3\r\nabc\r\n"])
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_a_response_that_breaks_off_is_not_whole(run: Run, sink: Sink, sent: bytes, error: Exception | None) -> None:
    run.answer(*[sent] * bool(sent))
    run.close(error)
    assert (sink.ended, sink.failed) == (0, (Reason.UPSTREAM_BROKEN, DURING))


def test_an_alert_that_ends_the_connection_is_told(run: Run, sink: Sink) -> None:
    error = ssl.SSLError(1, "alert")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    run.close(error)
    assert sink.failed == (Reason.UPSTREAM_BROKEN, f"{DURING} (TLS: TLSV13_ALERT_CERTIFICATE_REQUIRED)")


BROKEN = {
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "switches protocols": b"HTTP/1.1 101 Up\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "interim with a length": b"HTTP/1.1 150 Hm\r\ncontent-length: 3\r\n\r\nabc" + EMPTY,
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "bare CR": OK + b"x-a: 1\rx-b: 2\r\n\r\n",
    "NUL": OK + b"x-a: \x00\r\n\r\n",
    "no colon": OK + b"x-a\r\n\r\n",
    "space before the colon": OK + b"x-a : 1\r\n\r\n",
    "folded": OK + b"x-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
    "length twice": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "no length": OK + b"content-length: x\r\n\r\n",
    "a coding before chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding": OK + b"transfer-encoding: gzip\r\n\r\n",
    "chunks twice": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("bytewise", [False, True])
def test_what_could_be_read_in_two_ways_is_refused(run: Run, sink: Sink, answer: bytes, bytewise: bool) -> None:
    run.answer(*([bytes([byte]) for byte in answer] if bytewise else [answer]))
    assert sink.failed is not None
    assert sink.failed[0] is Reason.UPSTREAM_BROKEN
    assert (sink.status, sink.body, sink.ended) == (None, b"", 0)
    assert (run.waits, run.transport.aborted) == (False, True)


@pytest.mark.parametrize("chunk", [b"x\r\nsecret\r\n", b"3\r\nsecret\r\n", b"3\nabc"])
def test_a_malformed_chunk_breaks_the_response_off(run: Run, sink: Sink, chunk: bytes) -> None:
    run.answer(CHUNKED + chunk)
    assert sink.failed is not None
    assert "secret" not in sink.failed[1]
    assert run.transport.aborted


def test_a_head_has_an_end(run: Run, sink: Sink) -> None:
    run.answer(OK, b"x-a: " + b"a" * (MAX_RESPONSE_HEAD - 100))
    assert sink.failed is None
    run.answer(b"a" * 100)
    assert sink.failed == (Reason.UPSTREAM_BROKEN, f"a response head of more than {MAX_RESPONSE_HEAD} bytes")


def test_the_body_is_no_part_of_its_head(run: Run, sink: Sink) -> None:
    run.answer(OK + b"content-length: 200000\r\n\r\n", *[b"a" * 50_000] * 4)
    assert (len(sink.body), sink.ended) == (200_000, 1)


@pytest.mark.parametrize("more", [EMPTY, b"abc", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_what_follows_a_response_ends_the_connection(run: Run, sink: Sink, more: bytes) -> None:
    run.answer(EMPTY + more)
    assert (sink.status, sink.body, sink.ended, sink.failed) == (200, b"", 1, None)
    assert not run.waits
    assert run.transport.aborted


def test_bytes_that_nobody_asked_for_end_the_connection(run: Run, sink: Sink) -> None:
    run.answer(EMPTY, EMPTY)
    assert run.transport.aborted
    assert sink.ended == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"connection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 " + EMPTY[9:],
        b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n",
    ],
)
def test_a_connection_that_the_upstream_will_close_is_not_used_again(run: Run, sink: Sink, answer: bytes) -> None:
    run.answer(answer)
    assert (sink.ended, run.waits, run.transport.aborted) == (1, False, True)


def test_a_connection_whose_request_is_not_whole_is_not_used_again(run: Run) -> None:
    sink = run.ask(ends=False)
    run.connection.write(b"a part")
    run.answer(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
    assert (sink.status, sink.ended) == (413, 1)
    assert (run.waits, run.transport.aborted) == (False, True)


def test_a_connection_whose_request_came_in_parts_is_used_again(run: Run) -> None:
    sink = run.ask(ends=False)
    run.connection.write(b"a part")
    run.connection.write(b" and another")
    run.connection.request_ended()
    assert run.transport.written == REQUEST + b"a part and another"
    run.answer(EMPTY)
    assert (sink.ended, run.waits) == (1, True)


def test_parts_are_flushed_as_they_come(run: Run, sink: Sink) -> None:
    run.answer(OK + b"content-length: 6\r\n\r\nabc")
    assert sink.flushed == 1
    run.answer(b"def")
    assert (sink.flushed, sink.ended) == (1, 1)


def test_one_request_at_a_time(run: Run, sink: Sink) -> None:
    with pytest.raises(RuntimeError, match="one request at a time"):
        run.ask()
    assert not sink.ended


def test_a_request_that_is_abandoned_ends_the_connection(run: Run, sink: Sink) -> None:
    run.connection.abandon()
    assert run.transport.aborted
    run.close(ConnectionAbortedError())
    assert (sink.ended, sink.failed) == (0, None)


# Slow sides


def test_an_upstream_that_is_slow_makes_the_client_wait(run: Run, sink: Sink) -> None:
    assert run.transport.high == HIGH_WATER
    run.connection.pause_writing()
    assert not run.connection.writable
    run.connection.resume_writing()
    assert (run.connection.writable, sink.writable) == (True, 1)


def test_a_client_that_is_slow_makes_the_upstream_wait(run: Run, sink: Sink) -> None:
    run.connection.pause()
    assert run.transport.paused
    run.connection.resume()
    assert not run.transport.paused
    run.transport.close()
    run.connection.resume()  # on a transport that is closed: nothing
    assert sink.failed is None


def test_a_connection_without_a_transport_is_not_alive(run: Run) -> None:
    connection = UpstreamConnection(run.pool, run.place)
    for call in (connection.discard, connection.pause, connection.resume, lambda: connection.write(b"")):
        call()
    assert not connection.alive
    assert not connection.quiet
