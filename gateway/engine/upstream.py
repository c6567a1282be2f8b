"""HTTP/1.1 towards an upstream: one answer read for one request, or none.

An upstream is trusted with money, not with the client's parser: what two programs could read as two different
answers is a broken answer.
"""

import re
from typing import cast

import h11
from mitmproxy import http
from mitmproxy.net.http import http1, validate
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers.http import RegisterHttpConnection
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client, make_body_reader

from gateway.engine.request_head import BARE

MAX_HEAD = 65_536
"""Bytes of an answer's status line and header section, interim answers included."""

MAX_LENGTH_DIGITS = 18

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\Z")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")


class UpstreamLayer(Layer):
    """One connection to an upstream: opened when it is made, then its HTTP."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._http: StrictHttp1Client | None = None

    @property
    def idle(self) -> bool:
        """Whether it is open and its last answer was read whole."""
        return self._http is not None and self.stream_id is None

    @property
    def stream_id(self) -> int | None:
        """The stream that it works for; None where it is idle."""
        return None if self._http is None else self._http.stream_id

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._http is not None:
            yield from self._http.handle_event(event)
        elif isinstance(event, events.Start):
            error = yield commands.OpenConnection(self.context.server)
            if not error:
                self._http = StrictHttp1Client(self.context)
                yield from self._http.handle_event(event)
            yield RegisterHttpConnection(self.context.server, error)


class StrictHttp1Client(Http1Client):
    """Reads answers by RFC 9112: interim ones and trailers are dropped, ambiguous ones are refused."""

    def read_headers(self, event: events.Event) -> CommandGenerator[None]:
        """Wait for a whole head of a final answer."""
        if self.request is None or not isinstance(event, events.DataReceived):
            yield from super().read_headers(cast("events.ConnectionEvent", event))  # not asked for, or closed
            return
        try:
            response = self._read_head()
            size = None if response is None else http1.expected_http_body_size(self.request, response)
        except ValueError as error:
            yield from self._break_off(str(error))
            return
        if response is None:
            return
        self.response = response
        yield ReceiveHttp(ResponseHeaders(self._stream, response, size == 0))
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.read_body(event)

    def _read_head(self) -> http.Response | None:
        """Read the head of the final answer; None where more bytes are needed. Raises ValueError."""
        while (lines := self._take_head()) is not None:
            response = _read_response(lines)
            if response.status_code == 101:
                raise ValueError("it switches protocols, which nobody asked for")
            if response.status_code >= 200:
                return response
        if len(self.buf) > MAX_HEAD:
            raise ValueError(f"head of more than {MAX_HEAD} bytes")
        return None

    def _take_head(self) -> list[bytes] | None:
        """Take the lines of a head, once all of them are there. Raises ValueError."""
        received = bytes(self.buf)
        end = received.find(b"\r\n\r\n")
        head = received if end < 0 else received[:end]
        if BARE.search(head):
            raise ValueError("a bare CR, a bare LF or a NUL in its head (RFC 9112 2.2)")
        if end < 0:
            return None
        self.buf.maybe_extract_at_most(end + 4)
        return head.split(b"\r\n")

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read the body; trailers end it and go nowhere (RFC 9110 6.5.1)."""
        ended = isinstance(event, events.ConnectionClosed)
        while self.state == self.read_body:
            try:
                part = self.body_reader.read_eof() if ended else self.body_reader(self.buf)
            except h11.ProtocolError:  # h11's own words quote the body, which goes to no log
                words = "it closed the connection within its answer" if ended else "malformed chunk (RFC 9112 7.1)"
                yield from self._break_off(words)
                return
            if part is None:
                return
            if isinstance(part, h11.EndOfMessage):
                yield ReceiveHttp(ResponseEndOfMessage(self._stream))
                yield from self.mark_done(response=True)
            elif part.data:
                yield ReceiveHttp(ResponseData(self._stream, bytes(part.data)))

    @property
    def _stream(self) -> int:
        if self.stream_id is None:
            raise RuntimeError("no request was sent")
        return self.stream_id

    def _break_off(self, words: str) -> CommandGenerator[None]:
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        yield ReceiveHttp(ResponseProtocolError(self._stream, words, ErrorCode.GENERIC_SERVER_ERROR))


def _read_response(lines: list[bytes]) -> http.Response:
    """Read the head of an answer. Raises ValueError, in words that quote no value."""
    if not lines or not _STATUS_LINE.match(lines[0]):
        raise ValueError("no status line (RFC 9112 4)")
    try:
        response = http1.read_response_head(lines)
    except ValueError:
        raise ValueError("a field line without name and value (RFC 9112 5)") from None
    for _, value in response.headers.fields:
        if not _VALUE.match(value):
            raise ValueError("a field value with control characters, or folded (RFC 9110 5.5)")
    try:
        validate.validate_headers(response)
    except ValueError:
        raise ValueError("ambiguous framing or a field name that is no token (RFC 9112 6)") from None
    if len(response.headers.get("content-length", "")) > MAX_LENGTH_DIGITS:
        raise ValueError("a length beyond all bounds")
    if response.headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise ValueError("a transfer coding other than chunked, which nobody asked for (RFC 9110 10.1.4)")
    return response
