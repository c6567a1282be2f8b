"""One connection to an upstream: one request at a time, its response read by llhttp without leniency."""

import asyncio
import select
import ssl
from http import HTTPStatus
from typing import NamedTuple, Protocol, cast

import httptools

from gateway.core.forwarding import LOWERED
from gateway.core.reasons import Reason
from gateway.engine.endpoints import Place
from gateway.engine.response_head import ResponseFields

MAX_RESPONSE_HEAD = 65_536
"""Bytes of a response's head; more is an upstream gone wrong."""

HIGH_WATER = 262_144
"""Bytes that may wait to be sent before the side they come from is made to wait."""


class BrokenAnswerError(Exception):
    """An answer that llhttp would take and the gate does not; raised through llhttp."""


class ResponseSink(Protocol):
    """Where a response goes. `response_failed` ends it, as does `response_ended`; exactly one of them is called."""

    def response_head(self, status: int, fields: ResponseFields, *, ends: bool) -> None:
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


class Upgraded(Protocol):
    """Where bytes go once a connection has changed its protocol; its sink hears no more of it."""

    def upgraded(self, data: bytes) -> None:
        """Note that the protocol has changed; `data` is of the new one."""

    def from_upstream(self, data: bytes) -> None:
        """Take bytes of the new protocol."""

    def upstream_left(self) -> None:
        """Note that the upstream closed the connection: the last call."""


class Keeper(Protocol):
    """Where a connection stays between requests."""

    def give_back(self, connection: "UpstreamConnection") -> None:
        """Take a connection back whose response is complete."""

    def lost(self, connection: "UpstreamConnection") -> None:
        """Forget a connection that is closed."""


class _Known(NamedTuple):
    """A response that came in one read, with the length of its body declared."""

    head: bytes
    size: int
    """Of head and body."""
    status: int
    fields: ResponseFields


class UpstreamConnection(asyncio.Protocol):
    """One connection to an endpoint, the `place`, for the pool that keeps it."""

    def __init__(self, pool: Keeper, place: Place) -> None:
        self._pool = pool
        self.place = place
        self.idle_since = 0.0
        """When it was given back last, on the loop's clock."""
        self._parser = httptools.HttpResponseParser(self)
        self._sink: ResponseSink | None = None
        self._fields = ResponseFields()
        self._known: _Known | None = None
        """The last response, where its head may come again byte for byte: then it is not read anew."""
        self._head_bytes = 0
        self._in_body = False
        self._interim = False
        self._seen_interim = False
        self._declared = False
        """Whether Content-Length frames the body."""
        self._until_close = False
        self.upgrades_to: Upgraded | None = None
        """Where another protocol goes, where the request asks for one; the upstream may change to none otherwise."""
        self._tunnel: Upgraded | None = None
        self._to_head = False
        self._complete = False
        self._reusable = True
        self._sent_whole = True
        self._look: select.poll | None = None
        self.transport: asyncio.Transport | None = None
        self.writable = True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        socket = transport.get_extra_info("socket")
        if socket is not None:
            self._look = select.poll()
            self._look.register(socket.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read a part of a response."""
        sink = self._sink
        if sink is None:
            self.discard()  # bytes that nobody asked for: the framing cannot be trusted any more
            return
        if self._tunnel is not None:
            self._tunnel.from_upstream(data)
            return
        known, first = self._known, not self._head_bytes
        if first and known is not None and self._is_as(known, data):
            self._read_as(known, data, sink)
        elif self._feed(data):
            if self._complete:
                self._known = self._remembered(data) if first else None
                self._release(sink)
            elif self._sink is sink:
                sink.response_flush()

    def _feed(self, data: bytes) -> bool:
        """Have llhttp read; False where the connection serves this request no more."""
        if not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_RESPONSE_HEAD and b"\r\n\r\n" not in data:
                self._fail(Reason.UPSTREAM_BROKEN, f"a response head of more than {MAX_RESPONSE_HEAD} bytes")
                return False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
            return False
        except (httptools.HttpParserError, BrokenAnswerError) as error:
            if not self._complete:
                cause = error.__context__ if isinstance(error.__context__, BrokenAnswerError) else error
                self._fail(Reason.UPSTREAM_BROKEN, f"not an answer: {cause}"[:200])
                return False
            self._reusable = False  # bytes after the end of the response
        return True

    def _is_as(self, known: _Known, data: bytes) -> bool:
        """Whether a response is whole, and its head the last one's: llhttp would read it as it read that."""
        return len(data) == known.size and not self._to_head and data.startswith(known.head)

    def _read_as(self, known: _Known, data: bytes, sink: ResponseSink) -> None:
        self._head_bytes, self._in_body = len(data), True
        try:
            sink.response_head(known.status, known.fields, ends=False)
            if len(data) > len(known.head):
                sink.response_body(data[len(known.head) :])
        except Exception as error:  # noqa: BLE001 - whatever the sink raises, as llhttp takes it from its callbacks
            self._fail(Reason.UPSTREAM_BROKEN, f"not an answer: {error}"[:200])
            return
        self._complete = True
        self._release(sink)

    def _remembered(self, data: bytes) -> _Known | None:
        """Give what is kept of a response that is all of `data`; None where its head alone does not tell its end."""
        end = data.find(b"\r\n\r\n") + 4
        plain = self._declared and self._reusable and not (self._to_head or self._seen_interim)
        if not plain or not data.startswith(b"HTTP/1.1 "):
            return None
        return _Known(data[:end], len(data), self._parser.get_status_code(), self._fields)

    def eof_received(self) -> bool:
        """Take the end of the connection as the end of a body that is framed by it."""
        sink = self._sink
        if sink is not None and self._tunnel is not None:
            self._leave(self._tunnel)
        elif sink is not None and self._until_close:
            self._complete, self._reusable = True, False
            self._release(sink)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the pool; a response that was not whole by then never will be (RFC 9112 9.8)."""
        self._look = None
        self.transport = None  # its TLS takes tens of KiB, which would else wait for the garbage collector
        self._pool.lost(self)
        if self._sink is not None and self._tunnel is not None:
            self._leave(self._tunnel)
        elif self._sink is not None:
            why = f" (TLS: {exc.reason or exc})" if isinstance(exc, ssl.SSLError) else ""
            self._fail(Reason.UPSTREAM_BROKEN, f"it closed the connection before its answer was complete{why}")

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
        if self._parser.get_http_version() not in ("1.1", "1.0") or not 100 <= status <= 599:
            raise BrokenAnswerError("a status line of another protocol")
        if status == 101:
            self._read_upgrade()
            return
        fields = self._fields
        names = [LOWERED[name] for name, _ in fields]
        chunked = "transfer-encoding" in names
        if chunked:
            self._check_coding(status, fields)
        if status < 200:
            self._interim = self._seen_interim = True  # nobody waits for it (RFC 9110 15.2)
            return
        self._in_body = True
        bodiless = self._to_head or status in (204, 304)
        self._declared = "content-length" in names and not (chunked or bodiless)
        self._until_close = not (chunked or bodiless or self._declared)
        self._reusable = self._parser.should_keep_alive() and not self._until_close
        if status == HTTPStatus.NO_CONTENT:  # who declares a body there may well send one
            self._reusable &= all(LOWERED[name] != "content-length" or value == b"0" for name, value in fields)
        sink = self._sink
        if sink is not None:
            sink.response_head(status, fields, ends=bodiless)
        if self._to_head:  # llhttp does not know what was asked, and would wait for the body
            self._complete = True
            self._parser = httptools.HttpResponseParser(self)

    def _check_coding(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Raise BrokenAnswerError for a transfer coding that no two programs need read alike (RFC 9112 6.1)."""
        if [value.lower() for name, value in fields if LOWERED[name] == "transfer-encoding"] != [b"chunked"]:
            raise BrokenAnswerError("a transfer coding other than chunked, which nobody asked for")
        if status < 200 or status == HTTPStatus.NO_CONTENT:
            raise BrokenAnswerError("a transfer coding where no body belongs")
        if self._parser.get_http_version() == "1.0":
            raise BrokenAnswerError("a transfer coding in HTTP/1.0")

    def _read_upgrade(self) -> None:
        """Hand on the head that changes the protocol, where that was asked for."""
        sink = self._sink
        if sink is None or self.upgrades_to is None or not self._parser.should_upgrade():
            raise BrokenAnswerError("it changes to another protocol, which nobody asked for")
        self._reusable, self._in_body = False, True
        sink.response_head(101, self._fields, ends=True)

    def _switch(self, data: bytes) -> None:
        """Go on in the new protocol."""
        if self.upgrades_to is None:
            self._fail(Reason.UPSTREAM_BROKEN, "it changes to another protocol, which nobody asked for")
            return
        self._tunnel = self.upgrades_to
        self._tunnel.upgraded(data)

    def _leave(self, tunnel: Upgraded) -> None:
        self._sink = None
        self.discard()
        tunnel.upstream_left()

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
            self._fields = ResponseFields()
        elif not self._until_close:
            self._complete = True

    # the pool's and the requests' side

    def send(self, sink: ResponseSink, data: bytes, *, to_head: bool, ends: bool) -> None:
        """Send the head of a request, with all of its body where it `ends`; the answer goes to `sink`."""
        if self._sink is not None or self.transport is None:
            raise RuntimeError("one request at a time")
        self._sink = sink
        self._fields = ResponseFields()
        self._head_bytes = 0
        self._in_body = self._until_close = self._complete = self._interim = self._seen_interim = False
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

    def finish(self) -> None:
        """End the connection once everything written is sent."""
        self._sink = None
        if self.transport is not None:
            self.transport.close()

    def abandon(self) -> None:
        """End the connection: its request came to nothing."""
        self._sink = None
        self.discard()

    def discard(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def alive(self) -> bool:
        """Whether this side knows nothing to the contrary."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def quiet(self) -> bool:
        """Whether it can take a request: it is alive, and nothing came while nobody waited, its end included.

        The socket is asked, since the loop may not have come to it yet. Whatever there is to be read, no request goes
        out: one on a connection that the upstream closed would be lost, and could not be sent again.
        """
        return self.alive and not (self._look is not None and self._look.poll(0))

    def _release(self, sink: ResponseSink) -> None:
        self._sink = self.upgrades_to = None
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
