"""The layer of a client connection: HTTP/1.1 or HTTP/2 by what the handshake agreed on, with the gate's streams."""

import logging
from typing import TYPE_CHECKING, cast

from mitmproxy.connection import Connection as MitmConnection
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    RegisterHttpConnection,
)

from gateway.core.exchange import failure
from gateway.core.reasons import Denied
from gateway.engine.deadlines import DeadlinePassed
from gateway.engine.http1 import StrictHttp1Server
from gateway.engine.http2 import Consumed, StrictHttp2Server
from gateway.engine.stream import GateStream
from gateway.engine.upstream import UpstreamLayer

if TYPE_CHECKING:
    from gateway.engine.connection import Connection

logger = logging.getLogger(__name__)

MAX_HELD = 65_536
"""Bytes of an answer that may wait for an HTTP/2 client before its upstream is made to wait; 100 streams may each."""


class GateHttpLayer(HttpLayer):
    """The layer of a client connection: its streams are the gate's, its errors end it."""

    def __init__(self, context: Context, connection: "Connection") -> None:
        super().__init__(context, HTTPMode.transparent)
        self.connection = connection
        self._crashed = False

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._crashed:
            return
        try:
            if isinstance(event, events.Start):
                reader = StrictHttp2Server if self.context.client.alpn == b"h2" else StrictHttp1Server
                self.connections[self.context.client] = reader(self.context.fork(), self.connection)
                yield from self.event_to_child(self.connections[self.context.client], event)
            elif isinstance(event, DeadlinePassed):
                yield from self._deadline_passed(event)
            elif isinstance(event, events.ConnectionEvent) and event.connection not in self.connections:
                pass  # an upstream connection that was done with
            else:
                yield from super()._handle_event(event)
                if isinstance(event, events.ConnectionClosed) and event.connection != self.context.client:
                    self.connections.pop(event.connection, None)
            yield from self._acknowledge()
        except Exception as error:
            # mitmproxy would log it and leave the connection hanging; nothing may go on after a fault of ours.
            logger.exception("connection %s", self.connection.peer.connection_id)
            yield from self._crash(failure(error))

    def _acknowledge(self) -> CommandGenerator[None]:
        """Let HTTP/2 clients send more to streams that have taken what came; one that waits for a hook has not."""
        reader = self.connections.get(self.context.client)
        if isinstance(reader, StrictHttp2Server) and reader.unread:
            for stream_id in list(reader.unread):
                stream = self.streams.get(stream_id)
                if stream is None or not stream._paused:  # noqa: SLF001 - nothing else tells
                    yield from self.event_to_child(reader, Consumed(stream_id))

    def held_back(self, server: MitmConnection) -> bool:
        """Whether the client has yet to take what this upstream connection brought."""
        reader, upstream = self.connections.get(self.context.client), self.connections.get(server)
        if not isinstance(reader, StrictHttp2Server) or not isinstance(upstream, UpstreamLayer):
            return False
        return reader.held(upstream.stream_id) > MAX_HELD

    def _deadline_passed(self, event: DeadlinePassed) -> CommandGenerator[None]:
        _, stream_id = event.key
        target = self.streams.get(stream_id) if stream_id else self.connections.get(self.context.client)
        if target is not None:
            yield from self.event_to_child(target, event)

    def _crash(self, denied: Denied) -> CommandGenerator[None]:
        """End the connection, with a record for each request that was under way, or for the connection."""
        self._crashed = True
        handlings = [handling for stream in self.streams.values() if (handling := cast("GateStream", stream).handling)]
        for handling in handlings:
            try:
                handling.crash(denied)
            except Exception:  # what failed may be what records it
                logger.exception("connection %s", self.connection.peer.connection_id)
        if not handlings:
            self.connection.refuse_unreadable(denied, "")
        yield commands.CloseConnection(self.context.client)

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> CommandGenerator[None]:
        """Give a connection to the upstream that nothing is under way on, or open one."""
        for connection, layer in self.connections.items():
            idle = isinstance(layer, UpstreamLayer) and layer.idle and cast("Server", connection).connected
            if reuse and idle and event.connection_spec_matches(cast("Server", connection)):
                stream = self.command_sources.pop(event)
                yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (connection, None)))
                return
        context = self.context.fork()
        context.server = Server(address=event.address)
        opened = self.connections[context.server] = UpstreamLayer(context)
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(opened, events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> CommandGenerator[None]:
        """Tell the streams that wait; one that could not be opened is tried anew for the next request."""
        yield from super().register_connection(command)
        if command.err:
            self.connections.pop(command.connection, None)

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        """Make the stream of a new request."""
        stream = GateStream(self.context.fork(), stream_id, self.connection)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())
