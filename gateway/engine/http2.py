"""HTTP/2 from the client: mitmproxy's layer, with records of what breaks the protocol and an orderly end.

mitmproxy takes whatever a client sends and keeps whatever it does not read. Here both sides wait: a client's body is
acknowledged once its stream has taken it, and an upstream's answer is read while the client takes it (`held`).
"""

from typing import TYPE_CHECKING

import h2.events
from h2.connection import ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http2 import Http2Server

from gateway.core.reasons import Denied, Reason
from gateway.engine.deadlines import DeadlinePassed

if TYPE_CHECKING:
    from gateway.engine.connection import Connection


MAX_FRAME = 16_384
"""Bytes of a frame's payload, the least that may be announced (RFC 9113 6.5.2): what one client can have held."""
WINDOW = 262_144
"""Bytes of a request's body that may come before its stream has taken them, as while the core waits for a store."""
_FRAME_HEAD = 9


class Consumed(HttpEvent):
    """A stream has taken what came for it."""


class StrictHttp2Server(Http2Server):
    """HTTP/2 from the client; a connection that breaks the protocol leaves a record."""

    def __init__(self, context: Context, connection: "Connection") -> None:
        super().__init__(context)
        self.connection = connection
        self.h2_conn.local_settings.max_frame_size = self.h2_conn.max_inbound_frame_size = MAX_FRAME
        self.h2_conn.local_settings.initial_window_size = WINDOW
        self.h2_conn.local_settings.acknowledge()
        self.unread: dict[int, int] = {}
        """Bytes of data that came for a stream and were not acknowledged."""

    def held(self, stream_id: int | None) -> int:
        """Give how many bytes of a stream's answer wait for the client."""
        return sum(len(part.data) for part in self.h2_conn.stream_buffers.get(stream_id or 0, ()))

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, DeadlinePassed):
            if not self.connection.open_requests:  # one may have come in the moment that it passed
                yield from self._end()
            return
        if isinstance(event, Consumed):
            self.h2_conn.acknowledge_received_data(self.unread.pop(event.stream_id), event.stream_id)
            if window := self.h2_conn.data_to_send():
                yield commands.SendData(self.conn, window)
            return
        yield from super()._handle_event(event)
        if isinstance(event, events.DataReceived) and self._holds_too_much():
            yield from self.protocol_error(f"frame of more than {MAX_FRAME} bytes")
        elif isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            # mitmproxy forgets only streams whose request ends last: on a long connection the others add up.
            self.streams.pop(event.stream_id, None)

    def handle_h2_event(self, event: h2.events.Event) -> CommandGenerator[bool]:
        """Handle data and the end of a request, and leave everything else to mitmproxy.

        mitmproxy forgets a stream whose reset came with its end, and so would forward what nobody waits for.
        """
        if isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self.streams:
                yield ReceiveHttp(RequestEndOfMessage(event.stream_id))
            return False
        if isinstance(event, h2.events.DataReceived) and event.stream_id in self.streams:
            if event.data:
                yield ReceiveHttp(RequestData(event.stream_id, event.data))
            self.unread[event.stream_id] = self.unread.get(event.stream_id, 0) + event.flow_controlled_length
            return False
        return (yield from super().handle_h2_event(event))

    def _holds_too_much(self) -> bool:
        """Whether a frame is longer than announced; h2 itself looks only once it has the whole frame."""
        closed = self.h2_conn.state_machine.state is ConnectionState.CLOSED
        held = self.h2_conn.incoming_buffer._data  # noqa: SLF001 - nothing else tells
        return not closed and len(held) > MAX_FRAME + _FRAME_HEAD

    def _end(self) -> CommandGenerator[None]:
        self.h2_conn.close_connection()  # GOAWAY: the client knows which of its requests were not taken
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        yield from self.close_connection("idle")

    def protocol_error(self, message: str, error_code: int = 1) -> CommandGenerator[None]:
        """Record the error, then end the connection."""
        self.connection.refuse_unreadable(Denied(Reason.MESSAGE_MALFORMED, message[:200]), "")
        yield from super().protocol_error(message, error_code)
