"""HTTP/1.1 from the client: mitmproxy's layer with strict reading of the head, limits and time-outs put before it."""

import time
from typing import TYPE_CHECKING

import h11
from h11._readers import ContentLengthReader
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server

from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import printable, read_head
from gateway.engine import translate
from gateway.engine.chunked import ChunkedBody, announces_trailers
from gateway.engine.deadlines import DeadlinePassed
from gateway.engine.request_head import check_raw, skip_empty_lines, split

if TYPE_CHECKING:
    from gateway.engine.connection import Connection

LINGER_BYTES = 1_048_576
LINGER_SECONDS = 5.0
"""How much of a refused body is read and thrown away, so that the client reads its answer before the connection
closes: closing with bytes unread resets it."""


class ReadRequestHeaders(RequestHeaders):
    """A request head that was read strictly; carries the core's reading of it."""

    def __init__(self, stream_id: int, request: http.Request, head: RequestHead) -> None:
        super().__init__(stream_id, request, not head.has_body)
        self.head = head


class StrictHttp1Server(Http1Server):
    """Reads heads by RFC 9112 to the letter: what programs could read differently ends the connection."""

    def __init__(self, context: Context, connection: "Connection") -> None:
        super().__init__(context)
        self.connection = connection
        self._discarded = 0
        self._empty_lines = 0

    def read_headers(self, event: events.Event) -> CommandGenerator[None]:
        """Wait for a whole head, within the limits of bytes and time."""
        if isinstance(event, DeadlinePassed):
            yield from self._time_out(event)
            return
        if not isinstance(event, events.DataReceived):
            yield from self._end()
            return
        received = bytes(self.buf)
        try:
            if received.startswith(b"\r\n"):
                received, self._empty_lines = skip_empty_lines(received, self._empty_lines)
                self.buf.maybe_extract_at_most(len(self.buf) - len(received))
            if not received:
                return
            self.connection.head_begins()
            end = received.find(b"\r\n\r\n")
            received = received if end < 0 else received[: end + 2]
            check_raw(received, self.connection.limits)
            if end < 0:
                return
            request, head = self._read_head(received)
        except Denied as denied:
            yield from self._refuse(denied, received)
            return
        self.buf.maybe_extract_at_most(end + 4)
        self.connection.head_ends()
        self._empty_lines = 0
        self.request = request
        yield ReceiveHttp(ReadRequestHeaders(self.stream_id, request, head))
        if self.state == self.read_headers:  # not answered and lingering already
            # The core has refused every framing but a length and chunked.
            chunked = head.has_body and head.content_length is None
            reader = ChunkedBody(trailers=announces_trailers(head)) if chunked else None
            self.body_reader = reader or ContentLengthReader(head.content_length or 0)  # type: ignore[assignment]
            self.state = self.read_body
            yield from self.state(events.DataReceived(self.conn, b""))

    @staticmethod
    def _read_head(received: bytes) -> tuple[http.Request, RequestHead]:
        method, target, version, fields = split(received)
        head = read_head(method=method, target=target, version=version.decode("ascii"), fields=fields)
        request = http.Request(
            host="", port=0, method=method, scheme=b"https", authority=b"", path=target, http_version=version,
            headers=http.Headers(fields), content=None, trailers=None, timestamp_start=time.time(), timestamp_end=None,
        )  # fmt: skip
        return request, head

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read the body; a malformed one is refused by the stream it belongs to."""
        if isinstance(event, DeadlinePassed):
            return
        ended = isinstance(event, events.ConnectionClosed)
        while self.state == self.read_body:
            try:
                part = self.body_reader.read_eof() if ended else self.body_reader(self.buf)
            except h11.ProtocolError as error:
                code = ErrorCode.CLIENT_DISCONNECTED if ended else ErrorCode.GENERIC_CLIENT_ERROR
                words = "the connection ended within the body" if ended else str(error)
                yield ReceiveHttp(RequestProtocolError(self.stream_id, words, code))
                if self.state == self.read_body:  # the stream answers when the hook that it waits for is done
                    yield from self._close() if ended else self._linger()
                return
            if part is None:
                return
            if isinstance(part, h11.EndOfMessage):
                trailers = getattr(self.body_reader, "trailers", None)
                if trailers:
                    yield ReceiveHttp(RequestTrailers(self.stream_id, http.Headers(trailers)))
                yield ReceiveHttp(RequestEndOfMessage(self.stream_id))
                yield from self.mark_done(request=True)
            else:
                yield ReceiveHttp(RequestData(self.stream_id, bytes(part.data)))

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        """Hold back pipelined requests until the answer is out; a bounded number of bytes of them."""
        if isinstance(event, DeadlinePassed):
            return
        if len(self.buf) > self.connection.limits.head:
            self.connection.refuse_unreadable(Denied(Reason.HEAD_TOO_LARGE, "too many bytes of pipelined requests"), "")
            yield ReceiveHttp(
                RequestProtocolError(self.stream_id, "too many pipelined requests", ErrorCode.CLIENT_DISCONNECTED)
            )
            yield from self._close()
            return
        yield from super().wait(event)

    def mark_done(self, *, request: bool = False, response: bool = False) -> CommandGenerator[None]:
        """Go on to the next request, or end the connection where the answer came before the body's end."""
        early = response and not self.request_done
        yield from super().mark_done(request=request, response=response)
        if early:
            yield from self._linger()
        elif self.state == self.read_headers and self.connection.closing:
            yield from self._close()

    def _refuse(self, denied: Denied, received: bytes) -> CommandGenerator[None]:
        line, _, _ = received.partition(b"\r\n")
        path, mark, _ = line.partition(b"?")
        answer = self.connection.refuse_unreadable(denied, printable(path) + ("?…" if mark else ""))
        if self.conn.state & ConnectionState.CAN_WRITE:
            response = translate.response_of(answer, "1.1", close=True)
            yield commands.SendData(self.conn, http1.assemble_response(response))
        yield from self._linger()

    def _linger(self) -> CommandGenerator[None]:
        self._discarded = 0
        self.buf.maybe_extract_at_most(max(len(self.buf), 1))
        self.state = self.discard
        self.connection.deadlines.set(("linger", 0), LINGER_SECONDS)
        yield from ()

    def discard(self, event: events.Event) -> CommandGenerator[None]:
        """Throw away what a refused client still sends, for a while."""
        if isinstance(event, events.DataReceived):
            self._discarded += len(self.buf)
            self.buf.maybe_extract_at_most(max(len(self.buf), 1))
            if self._discarded <= LINGER_BYTES:
                return
        yield from self._close()

    def _time_out(self, event: DeadlinePassed) -> CommandGenerator[None]:
        if event.key[0] == "head":
            yield from self._refuse(Denied(Reason.HEAD_TIMEOUT, "the head was not complete in time"), bytes(self.buf))
        else:
            yield from self._close()

    def _end(self) -> CommandGenerator[None]:
        received = bytes(self.buf)
        if received:
            denied = Denied(Reason.MESSAGE_MALFORMED, "the connection ended within the head")
            yield from self._refuse(denied, received)
        yield from self._close()

    def _close(self) -> CommandGenerator[None]:
        self.state = self.done
        yield commands.CloseConnection(self.conn)
