"""HTTP/1.1 without mitmproxy: llhttp on both sides, straight into the core.

One object a connection; one request at a time, pipelined ones wait their turn:

1. a whole head is cut out of what came, within the limits, and read by llhttp and by the core
2. the core decides; where it asks for the body, the body is collected within its limit
3. the decision is recorded; a denial is answered
4. an allowed request is written anew to a connection of the upstream's pool, its body with it or after it
5. the response is written anew as it comes; its end is recorded
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import cast

import httptools

from gateway.core.chain import ReadBody
from gateway.core.decision import Decision
from gateway.core.exchange import failure
from gateway.core.message import Peer, RequestHead
from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.engine.gate import Gate, Handling
from gateway.engine.problem import Answer
from gateway.engine.request_head import check_raw, first_line_of, parse
from gateway.engine.response_head import HEAD_OF_CONTINUE, answer_bytes, response_bytes
from gateway.engine.upstream_pool import HIGH_WATER, Pools, UpstreamConnection, UpstreamFailedError

logger = logging.getLogger(__name__)

LINGER_BYTES = 1_048_576
LINGER_SECONDS = 5.0
"""How much of a refused body is thrown away, so that the client reads its answer before the connection closes."""

STREAM_FROM = 65_536
"""Declared length from which a body that no control needs is passed on as it comes, instead of in one piece."""


class State(Enum):
    """What the connection waits for."""

    HEAD = "a request's head"
    BODY = "its body, to be collected"
    STREAM = "its body, passed on as it comes"
    BUSY = "a decision or a response"
    LINGER = "the end of what a refused client still sends"
    CLOSED = "nothing"


class DataPath(asyncio.Protocol):
    """A client's connection after its handshake."""

    def __init__(self, gate: Gate, peer: Peer, pools: Callable[[], Pools]) -> None:
        self._gate = gate
        self._peer = peer
        self._pools = pools
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done once the connection is closed."""
        self._transport: asyncio.Transport | None = None
        self._state = State.HEAD
        self._received = b""
        """Bytes that belong to no request yet."""
        self._discarded = 0
        self._draining = False
        self._deadline = Deadline(self._loop, self._time_is_up)
        # of the request in hand
        self._handling: Handling | None = None
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._body_left: int | None = 0
        """Bytes of body still to come; None where it is chunked."""
        self._chunks: httptools.HttpRequestParser | None = None
        self._body_ended = True
        self._upstream: UpstreamConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._out: list[bytes] = []
        self._status: int | None = None
        self._chunked_answer = False
        self._close_after = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._deadline.set("idle", self._limits.idle_timeout)

    def data_received(self, data: bytes) -> None:
        """Take what came, by what is waited for."""
        try:
            if self._state is State.HEAD:
                self._received = self._received + data if self._received else data
                self._read_heads()
            elif self._state in (State.BODY, State.STREAM):
                self._take_body(data)
            elif self._state is State.BUSY:
                self._hold(data)
            elif self._state is State.LINGER:
                self._discarded += len(data)
                if self._discarded > LINGER_BYTES:
                    self._close()
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self._crash(error)

    def eof_received(self) -> bool:
        """Take the client's end of sending for its leaving."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Record what the client did not wait for."""
        del exc
        self._deadline.clear()
        try:
            handling = self._handling
            if handling is not None:
                self._drop_upstream()
                if not handling.recorded:
                    handling.deny(Denied(Reason.CLIENT_CLOSED, "before the decision"))
                    handling.authorise()
                handling.finish(Reason.CLIENT_CLOSED, "before its answer was complete", self._status)
            elif self._state is State.HEAD and self._received:
                denied = Denied(Reason.MESSAGE_MALFORMED, "the connection ended within the head")
                Handling(self._gate, self._peer).refuse(denied, first_line_of(self._received))
        except Exception:
            logger.exception("connection %s", self._peer.connection_id)
        finally:
            self._state = State.CLOSED
            self._handling = None
            if not self.ended.done():
                self.ended.set_result(None)

    def pause_writing(self) -> None:
        """Have the upstream wait: the client is slow."""
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """Have it go on."""
        if self._upstream is not None:
            self._upstream.resume()

    # the service's side

    def drain(self) -> None:
        """End the connection as soon as no request is open."""
        self._draining = True
        if self._handling is None:
            self._close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # the head

    @property
    def _limits(self) -> Limits:
        return self._gate.in_force.policy.listeners[self._peer.listener].limits

    def _read_heads(self) -> None:
        while self._state is State.HEAD and self._received:
            while self._received.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before the request line
                self._received = self._received[2:]
            received = self._received
            if not received:
                return
            end = received.find(b"\r\n\r\n")
            try:
                if end < 0:
                    check_raw(received, self._limits)
                    self._deadline.set_unless("head", self._limits.head_timeout)
                    return
                raw = received[: end + 4]
                head = parse(raw, self._limits)
            except Denied as denied:
                self._refuse_unreadable(denied, received)
                return
            self._received = received[end + 4 :]
            self._begin(head)

    def _begin(self, head: RequestHead) -> None:
        self._state = State.BUSY
        self._head = head
        self._body = []
        self._body_size = 0
        self._status = None
        self._close_after = False
        self._chunks = None
        self._body_ended = not head.has_body
        self._body_left = head.content_length or 0
        if head.has_body and head.content_length is None:
            self._body_left = None
            self._chunks = httptools.HttpRequestParser(_Chunks(self))
            self._chunks.feed_data(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        self._handling = Handling(self._gate, self._peer)
        self._ask(self._handling.begin(head), self._begun)

    def _ask(
        self, asking: Coroutine[object, object, Decision | ReadBody], then: Callable[[Decision | ReadBody], None]
    ) -> None:
        """Run the core; at once, where nothing of it waits for another process."""
        task = asyncio.Task(asking, loop=self._loop, eager_start=True)
        if task.done():
            then(task.result())
        else:
            task.add_done_callback(lambda done: self._answered(done, then))

    def _answered(self, task: "asyncio.Task[Decision | ReadBody]", then: Callable[[Decision | ReadBody], None]) -> None:
        if self._state is State.CLOSED:
            task.exception()
            return
        try:
            then(task.result())
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self._crash(error)

    def _begun(self, result: Decision | ReadBody) -> None:
        head, handling = self._head, self._handling
        assert head is not None
        assert handling is not None
        if isinstance(result, Decision) and not result.allowed:
            self._authorise()
            return
        if self._body_ended:
            self._decide(result)
            return
        if "expect" in head.headers and not self._received:
            self._write(HEAD_OF_CONTINUE)
        streams = isinstance(result, Decision) and (self._body_left is None or self._body_left >= STREAM_FROM)
        self._state = State.STREAM if streams else State.BODY
        self._deadline.set("body", self._limits.body_timeout)
        if streams:
            self._authorise()
        received, self._received = self._received, b""
        if received:
            self._take_body(received)

    # the body

    def _take_body(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                self._chunks.feed_data(data)
            except (httptools.HttpParserError, _AfterEnd) as error:
                if not self._body_ended:
                    reason = Denied(Reason.MESSAGE_MALFORMED, _words(error))
                    self._refuse_body(reason)
                    return
                self._close_after = True  # what follows a chunked body cannot be told from it: answer, then close
        else:
            left = self._body_left or 0
            part = data[:left]
            self._received = data[left:]
            self._body_left = left - len(part)
            self._part(part)
            self._body_ended = self._body_left == 0
        handling = self._handling
        if handling is None or self._state not in (State.BODY, State.STREAM):
            return
        if self._body_size > handling.body_limit:
            self._refuse_body(Denied(Reason.BODY_TOO_LARGE, f"more than the route's {handling.body_limit} bytes"))
        elif self._body_ended:
            self._deadline.set("response", self._response_timeout())
            if self._state is State.BODY:
                self._state = State.BUSY
                self._decide(handling.decision)
            else:
                self._end_stream()

    def _part(self, data: bytes) -> None:
        """Take a part of the body, its transfer coding removed."""
        self._body_size += len(data)
        self._body.append(data)
        if self._state is State.STREAM and self._upstream is not None:
            self._send_parts()

    def chunk(self, data: bytes) -> None:
        """Take a chunk's data."""
        if self._handling is not None and self._body_size <= self._handling.body_limit:
            self._part(data)

    def chunks_end(self) -> None:
        """Note the last chunk."""
        self._body_ended = True

    def _refuse_body(self, denied: Denied) -> None:
        handling = self._handling
        assert handling is not None
        if handling.recorded:
            self._drop_upstream()
            self._fail(denied.reason, denied.detail)
            return
        handling.deny(denied)
        self._authorise()

    # the decision

    def _decide(self, so_far: Decision | ReadBody | None) -> None:
        handling = self._handling
        assert handling is not None
        if isinstance(so_far, Decision):
            if so_far.allowed and self._body_size > handling.body_limit:
                handling.deny(Denied(Reason.BODY_TOO_LARGE, f"more than the route's {handling.body_limit} bytes"))
            self._authorise()
        else:
            self._ask(handling.resume(b"".join(self._body)), lambda _: self._authorise())

    def _authorise(self) -> None:
        handling = self._handling
        assert handling is not None
        if not handling.recorded:
            handling.authorise()
        if handling.allowed:
            self._forward(handling)
        else:
            self._answer(handling.answer())

    # upstream

    def _forward(self, handling: Handling) -> None:
        decision = handling.decision
        assert decision is not None
        assert decision.exchange.route is not None
        pool = self._pools().of(decision.exchange.route.upstream)
        connection = pool.take()
        if connection is not None:
            self._send(connection)
        else:
            self._opening = self._loop.create_task(self._open(pool.open(), handling))

    async def _open(self, opening: Coroutine[object, object, UpstreamConnection], handling: Handling) -> None:
        try:
            connection = await opening
        except UpstreamFailedError as error:
            if self._handling is handling:
                self._fail(error.reason, error.detail)
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self._crash(error)
            return
        if self._handling is not handling or self._state is State.CLOSED:
            connection.discard()
            return
        try:
            self._send(connection)
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self._crash(error)

    def _send(self, connection: UpstreamConnection) -> None:
        handling, head = self._handling, self._head
        assert handling is not None
        assert head is not None
        self._opening = None
        self._upstream = connection
        if self._body_ended:
            body = b"".join(self._body)
            framing = f"content-length: {len(body)}\r\n" if head.has_body or head.method in _WITH_BODY else ""
        else:
            body = b""
            framing = (
                "transfer-encoding: chunked\r\n"
                if self._chunks is not None
                else f"content-length: {head.content_length}\r\n"
            )
        lines = [f"{head.method} {head.target} HTTP/1.1\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in handling.upstream_fields()]
        text = "".join([*lines, framing, "\r\n"]).encode("latin-1")
        handling.sends_upstream()
        if self._body_ended:
            self._body = []
            self._deadline.set("response", self._response_timeout())
            connection.send(self, text + body, to_head=head.method == "HEAD")
        else:
            connection.send(self, text, to_head=False)
            self._send_parts()

    def _send_parts(self) -> None:
        connection = self._upstream
        assert connection is not None
        assert self._transport is not None
        for part in self._body:
            connection.write(b"%x\r\n%b\r\n" % (len(part), part) if self._chunks is not None else part)
        self._body = []
        if not connection.writable:
            self._transport.pause_reading()

    def _end_stream(self) -> None:
        if self._upstream is not None:
            if self._chunks is not None:
                self._upstream.write(b"0\r\n\r\n")
            self._state = State.BUSY

    def upstream_writable(self) -> None:
        """Read on from the client: the upstream takes more of its body."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # the response (ResponseSink)

    def response_head(self, status: int, fields: list[tuple[bytes, bytes]], *, ends: bool) -> None:
        """Write the head anew."""
        handling, head = self._handling, self._head
        assert handling is not None
        assert head is not None
        assert handling.decision is not None
        self._status = status
        self._close_after = self._close_after or self._draining or not self._body_ended or _wants_close(head)
        raw, self._chunked_answer = response_bytes(status, fields, handling, bodiless=ends, close=self._close_after)
        self._out.append(raw)
        self._deadline.set("response", self._response_timeout())

    def response_body(self, data: bytes) -> None:
        """Pass a part on."""
        handling = self._handling
        assert handling is not None
        handling.response_bytes += len(data)
        if self._chunked_answer:
            self._out.append(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._out.append(data)

    def response_flush(self) -> None:
        """Send what was taken of the response so far."""
        if self._out:
            self._deadline.set("response", self._response_timeout())
            self._write(b"".join(self._out))
            self._out = []

    def response_ended(self) -> None:
        """Record the outcome, send the rest, and go on to the next request."""
        handling = self._handling
        assert handling is not None
        self._upstream = None
        if self._chunked_answer:
            self._out.append(b"0\r\n\r\n")
        handling.finish(Reason.ALLOWED, "", self._status)
        self._write(b"".join(self._out))
        self._out = []
        self._next()

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Answer for the upstream, or break off."""
        self._upstream = None
        self._fail(reason, detail)

    # ends

    def _next(self) -> None:
        self._handling = None
        self._head = None
        if not self._body_ended:
            self._linger()
        elif self._close_after or self._draining:
            self._close()
        else:
            self._state = State.HEAD
            self._deadline.set("idle", self._limits.idle_timeout)
            if self._received:
                # Not from within the callback that ended this request: deep pipelines would nest as deeply.
                self._loop.call_soon(self._go_on)
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _go_on(self) -> None:
        if self._state is State.HEAD:
            try:
                self._read_heads()
            except Exception as error:  # noqa: BLE001 - as above
                self._crash(error)

    def _fail(self, reason: Reason, detail: str) -> None:
        """End a request that was allowed and came to nothing."""
        handling = self._handling
        if handling is None:
            return
        if self._status is not None:
            handling.finish(reason, detail, self._status)
            self.abort()
        else:
            handling.finish(reason, detail, reason.status)
            self._answer(handling.answer(reason))

    def _answer(self, answer: Answer) -> None:
        head = self._head
        complete = self._body_ended or self._whole_body_is_here()
        close = self._close_after or self._draining or not complete or (head is not None and _wants_close(head))
        self._close_after = close
        self._write(answer_bytes(answer, close=close, bodiless=head is not None and head.method == "HEAD"))
        self._next()

    def _whole_body_is_here(self) -> bool:
        """Whether the body that was not waited for came with the head: then the connection can go on behind it."""
        left = self._body_left
        if self._chunks is not None or left is None or self._state is not State.BUSY or len(self._received) < left:
            return False
        self._received = self._received[left:]
        self._body_ended = True
        return True

    def _refuse_unreadable(self, denied: Denied, received: bytes) -> None:
        handling = Handling(self._gate, self._peer)
        handling.refuse(denied, first_line_of(received))
        self._write(answer_bytes(handling.answer(), close=True, bodiless=False))
        self._received = b""
        self._linger()

    def _hold(self, data: bytes) -> None:
        """Keep pipelined bytes for their turn; a client that sends more is made to wait."""
        self._received += data
        if len(self._received) > self._limits.head and self._transport is not None:
            self._transport.pause_reading()

    def _time_is_up(self, what: str) -> None:
        try:
            if what == "head" and self._state is State.HEAD:
                self._refuse_unreadable(
                    Denied(Reason.HEAD_TIMEOUT, "the head was not complete in time"), self._received
                )
            elif what == "body" and self._state in (State.BODY, State.STREAM):
                self._refuse_body(Denied(Reason.BODY_TIMEOUT, "the body was not complete in time"))
            elif what == "response" and self._handling is not None:
                self._drop_upstream()
                late = "no answer in time" if self._status is None else "its answer stopped"
                self._fail(Reason.UPSTREAM_TIMEOUT, late)
            elif what in ("idle", "linger"):
                self._close()
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            self._crash(error)

    def _response_timeout(self) -> float:
        handling = self._handling
        if handling is None or handling.decision is None or handling.decision.exchange.route is None:
            return self._limits.body_timeout
        return handling.decision.exchange.route.upstream.response_timeout

    def _drop_upstream(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._upstream is not None:
            self._upstream.abandon()
            self._upstream = None

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _linger(self) -> None:
        self._state = State.LINGER
        self._discarded = 0
        self._deadline.set("linger", LINGER_SECONDS)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _crash(self, error: Exception) -> None:
        """End the connection after a fault of the gate's own; what was under way is recorded."""
        logger.error("connection %s", self._peer.connection_id, exc_info=error)
        with contextlib.suppress(Exception):
            self._drop_upstream()
            if self._handling is not None:
                self._handling.crash(failure(error))
                self._handling = None
        self.abort()


_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def _wants_close(head: RequestHead) -> bool:
    return any("close" in value.lower() for value in head.headers.all("connection"))


def _words(error: Exception) -> str:
    return "trailers after the body" if isinstance(error, _AfterEnd) else "malformed chunk (RFC 9112 7.1)"


class _AfterEnd(Exception):  # noqa: N818 - a signal through llhttp
    """Something came that must not come after the last chunk."""


class _Chunks:
    """Callbacks of the parser that takes a chunked body apart."""

    def __init__(self, path: DataPath) -> None:
        self._path = path
        self._in_body = False

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_header(self, _name: bytes, _value: bytes) -> None:
        if self._in_body:
            raise _AfterEnd

    def on_body(self, data: bytes) -> None:
        self._path.chunk(data)

    def on_message_complete(self) -> None:
        self._path.chunks_end()


class Deadline:
    """The one thing a connection waits for. Moving it later costs nothing: the timer looks again when it fires."""

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[str], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._what = ""
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, what: str, seconds: float) -> None:
        """Wait for `what`, instead of what was waited for."""
        self._what = what
        self._at = at = self._loop.time() + seconds
        if self._timer is None or at < self._timer_at:
            self._arm(at)

    def set_unless(self, what: str, seconds: float) -> None:
        """Wait for `what`, unless it is waited for already."""
        if self._what != what:
            self.set(what, seconds)

    def clear(self) -> None:
        """Wait for nothing."""
        self._what = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._what and self._at > self._loop.time():
            self._arm(self._at)
        elif self._what:
            what, self._what = self._what, ""
            self._passed(what)
