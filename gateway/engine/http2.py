"""HTTP/2 from the client: mitmproxy's layer, with records of what breaks the protocol and an orderly end."""

from typing import TYPE_CHECKING

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage, ResponseProtocolError
from mitmproxy.proxy.layers.http._http2 import Http2Server

from gateway.core.reasons import Denied, Reason
from gateway.engine.deadlines import DeadlinePassed

if TYPE_CHECKING:
    from gateway.engine.connection import Connection


class StrictHttp2Server(Http2Server):
    """HTTP/2 from the client; a connection that breaks the protocol leaves a record."""

    def __init__(self, context: Context, connection: "Connection") -> None:
        super().__init__(context)
        self.connection = connection

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, DeadlinePassed):
            if not self.connection.open_requests:  # one may have come in the moment that it passed
                yield from self._end()
            return
        yield from super()._handle_event(event)
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError) and self.is_closed(event.stream_id):
            # mitmproxy forgets only streams whose request ends last: on a long connection the others add up.
            self.streams.pop(event.stream_id, None)

    def _end(self) -> CommandGenerator[None]:
        self.h2_conn.close_connection()  # GOAWAY: the client knows which of its requests were not taken
        yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        yield from self.close_connection("idle")

    def protocol_error(self, message: str, error_code: int = 1) -> CommandGenerator[None]:
        """Record the error, then end the connection."""
        self.connection.refuse_unreadable(Denied(Reason.MESSAGE_MALFORMED, message[:200]), "")
        yield from super().protocol_error(message, error_code)
