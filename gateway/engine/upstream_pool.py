"""Connections to upstreams, shared by all clients: kept alive, bounded, and one request at a time on each.

A connection that the upstream closed leaves the pool at once, since it is always read from; so one that is taken is
alive as far as this side can know. Nothing is sent twice: once a byte went out, a failure is the request's own.
"""

import asyncio
import ssl
from collections import deque
from typing import Protocol, cast

import httptools

from gateway.core.policy import Upstream
from gateway.core.reasons import Reason
from gateway.engine.connection import UpstreamTls, describe

MAX_CONNECTIONS = 512
"""Connections to one upstream; requests beyond that wait for the connect time-out at most."""

IDLE_SECONDS = 50.0
"""How long a connection is kept without use: below the 60 s after which most servers close."""

MAX_RESPONSE_HEAD = 65_536
"""Bytes of a response's head; more is an upstream gone wrong."""

HIGH_WATER = 262_144
"""Bytes that may wait to be sent before the side they come from is made to wait."""


class UpstreamFailedError(Exception):
    """An upstream could not be reached, or did not answer; `reason` says which."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BrokenAnswerError(Exception):
    """An answer that llhttp would take and the gate does not; raised through llhttp."""


class ResponseSink(Protocol):
    """Where a response goes. `response_failed` ends it, as does `response_ended`; exactly one of them is called."""

    def response_head(self, status: int, fields: list[tuple[bytes, bytes]], *, ends: bool) -> None:
        """Take the head; `ends` where no body follows."""

    def response_body(self, data: bytes) -> None:
        """Take a part of the body."""

    def response_flush(self) -> None:
        """Send what was taken: the last call for what one read brought."""

    def response_ended(self) -> None:
        """Note the end of the body."""

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Note that the response will not be complete."""

    def upstream_writable(self) -> None:
        """Note that the upstream takes more of the request's body."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, read by llhttp without leniency."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._sink: ResponseSink | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._in_body = False
        self._interim = False
        self._until_close = False
        self._to_head = False
        self._complete = False
        self._reusable = True
        self._sent_whole = True
        self._idle_timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None
        self.writable = True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Read a part of a response."""
        sink = self._sink
        if sink is None:
            self.discard()  # bytes that nobody asked for: the framing cannot be trusted any more
            return
        if not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_RESPONSE_HEAD and b"\r\n\r\n" not in data:
                self._fail(Reason.UPSTREAM_BROKEN, f"a response head of more than {MAX_RESPONSE_HEAD} bytes")
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, BrokenAnswerError) as error:
            if not self._complete:
                cause = error.__context__ if isinstance(error.__context__, BrokenAnswerError) else error
                self._fail(Reason.UPSTREAM_BROKEN, f"not an answer: {cause}"[:200])
                return
            self._reusable = False  # bytes after the end of the response
        if self._complete:
            self._release(sink)
        elif self._sink is sink:
            sink.response_flush()

    def eof_received(self) -> bool:
        """Take the end of the connection as the end of a body that is framed by it."""
        sink = self._sink
        if sink is not None and self._until_close:
            self._complete, self._reusable = True, False
            self._release(sink)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool; a response that was not whole by then never will be (RFC 9112 9.8)."""
        del exc
        self._cancel_idle()
        self._pool.lost(self)
        if self._sink is not None:
            self._fail(Reason.UPSTREAM_BROKEN, "it closed the connection before its answer was complete")

    def pause_writing(self) -> None:
        """Note that the upstream takes no more for now."""
        self.writable = False

    def resume_writing(self) -> None:
        """Note that it takes more."""
        self.writable = True
        if self._sink is not None:
            self._sink.upstream_writable()

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        """Refuse a second response to one request."""
        if self._complete:
            self._reusable = False
            raise BrokenAnswerError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field; those of trailers are discarded (RFC 9110 6.5.1)."""
        if not self._in_body:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the head on."""
        status = self._parser.get_status_code()
        if self._parser.get_http_version() not in ("1.1", "1.0") or not 100 <= status <= 599 or status == 101:
            raise BrokenAnswerError("a status line of another protocol, or one that switches to it")
        if status < 200:
            self._interim = True  # nobody waits for it (RFC 9110 15.2)
            return
        self._in_body = True
        chunked = length = False
        for name, value in self._fields:
            lowered = name.lower()
            if lowered == b"transfer-encoding":
                if chunked or value.lower() != b"chunked":
                    raise BrokenAnswerError("a transfer coding other than chunked, which nobody asked for")
                chunked = True
            length = length or lowered == b"content-length"
        bodiless = self._to_head or status in (204, 304)
        self._until_close = not (chunked or length or bodiless)
        self._reusable = self._parser.should_keep_alive() and not self._until_close
        sink = self._sink
        if sink is not None:
            sink.response_head(status, self._fields, ends=bodiless)
        if self._to_head:  # llhttp does not know what was asked, and would wait for the body
            self._complete = True
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        """Hand a part of the body on; an answer to HEAD and an interim one have none, whatever they say."""
        if self._complete or not self._in_body:
            raise BrokenAnswerError("a body where none belongs")
        if self._sink is not None:
            self._sink.response_body(data)

    def on_message_complete(self) -> None:
        """Note the end; the connection is given back once all that was read is dealt with."""
        if self._interim:
            self._interim = False
            self._fields = []
        elif not self._until_close:
            self._complete = True

    # the pool's and the requests' side

    def send(self, sink: ResponseSink, data: bytes, *, to_head: bool, ends: bool) -> None:
        """Send the head of a request, with all of its body where it `ends`; the answer goes to `sink`."""
        if self._sink is not None or self.transport is None:
            raise RuntimeError("one request at a time")
        self._cancel_idle()
        self._sink = sink
        self._fields = []
        self._head_bytes = 0
        self._in_body = self._until_close = self._complete = self._interim = False
        self._to_head = to_head
        self._sent_whole = ends
        self._reusable = True
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        """Send a further part of the request's body."""
        if self.transport is not None:
            self.transport.write(data)

    def request_ended(self) -> None:
        """Note that the request was sent whole: until then what comes next would be taken for its body."""
        self._sent_whole = True

    def pause(self) -> None:
        """Read no more of the response for now: the client is slow."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def abandon(self) -> None:
        """End the connection: its request came to nothing."""
        self._sink = None
        self.discard()

    def discard(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def rest(self) -> None:
        """Wait for the next request, for a while."""
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(IDLE_SECONDS, self.discard)

    @property
    def alive(self) -> bool:
        """Whether this side knows nothing to the contrary."""
        return self.transport is not None and not self.transport.is_closing()

    def _release(self, sink: ResponseSink) -> None:
        self._sink = None
        if self._reusable and self._sent_whole and self.alive:
            self._pool.give_back(self)
        else:
            self.discard()
        sink.response_ended()

    def _fail(self, reason: Reason, detail: str) -> None:
        sink, self._sink = self._sink, None
        self.discard()
        if sink is not None:
            sink.response_failed(reason, detail)

    def _cancel_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


class Pool:
    """Connections to one upstream, as one policy has it."""

    def __init__(self, upstream: Upstream, tls: ssl.SSLContext | None) -> None:
        self.upstream = upstream
        self._tls = tls
        self._idle: deque[UpstreamConnection] = deque()
        self._all: set[UpstreamConnection] = set()
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._opening = 0
        self._closed = False

    def take(self) -> UpstreamConnection | None:
        """Give a connection that waits for use; None where there is none, and one must be opened."""
        while self._idle:
            connection = self._idle.pop()  # the one used last: the others may go idle
            if connection.alive:
                return connection
        return None

    async def open(self) -> UpstreamConnection:
        """Give a new connection, or the next that is given back. Raises UpstreamFailedError."""
        upstream = self.upstream
        try:
            async with asyncio.timeout(upstream.connect_timeout):
                while len(self._all) + self._opening >= MAX_CONNECTIONS:
                    given = await self._given()
                    if given is not None and given.alive:
                        return given
                self._opening += 1
                try:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        lambda: UpstreamConnection(self), upstream.host, upstream.port, ssl=self._tls
                    )
                except BaseException:
                    self._wake(None)
                    raise
                finally:
                    self._opening -= 1
        except (OSError, ssl.SSLError, ValueError) as error:
            raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, describe(error, upstream)) from None
        if not connection.alive:
            self._wake(None)
            raise UpstreamFailedError(Reason.UPSTREAM_UNREACHABLE, "it closed the connection at once")
        self._all.add(connection)
        return connection

    async def _given(self) -> UpstreamConnection | None:
        """Wait for a connection that is given back; None where there is room for a new one instead."""
        waiting: asyncio.Future[UpstreamConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # it came in the very moment: the next one's turn
                given = waiting.result()
                if given is not None and given.alive:
                    self.give_back(given)
                else:
                    self._wake(None)
            raise

    def _wake(self, connection: UpstreamConnection | None) -> bool:
        """Let the next that waits go on; tells whether somebody does."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def give_back(self, connection: UpstreamConnection) -> None:
        """Take a connection back whose response is complete."""
        if self._wake(connection):
            return
        if self._closed:
            connection.discard()
            return
        connection.rest()
        self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection that is closed."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake(None)

    def close(self) -> None:
        """Close what waits for use; what is in use closes when it is given back."""
        self._closed = True
        for connection in list(self._idle):
            connection.discard()


class Pools:
    """The pool of each upstream, until a reload, after which all connections are made anew."""

    def __init__(self, tls: UpstreamTls) -> None:
        self._tls = tls
        self._pools: dict[str, Pool] = {}

    def of(self, upstream: Upstream) -> Pool:
        """Give the upstream's pool."""
        pool = self._pools.get(upstream.name)
        if pool is None or pool.upstream is not upstream:
            if pool is not None:
                pool.close()
            pool = self._pools[upstream.name] = Pool(upstream, self._tls.context(upstream))
        return pool

    def close(self) -> None:
        """Close what waits for use; what is in use closes when it is given back."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
