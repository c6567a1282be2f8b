"""A passage that opens a WebSocket: once the upstream agrees, bytes go both ways as they come, until one side ends it.

What is in the frames is the upstream's to check. The gate opens nothing that the chain did not allow, ends what stays
open longer than the route says or than its access token is valid, and records the end.
"""

import asyncio

from gateway.controls.websocket import accept_of
from gateway.core.forwarding import LOWERED
from gateway.core.message import RequestHead
from gateway.core.policy import WebSocketSettings
from gateway.core.reasons import Reason
from gateway.engine.deadline import Deadline
from gateway.engine.passage import Passage
from gateway.engine.response_head import ResponseFields, response_bytes
from gateway.engine.upstream_connection import BrokenAnswerError, UpstreamConnection

_UPGRADE = "upgrade: websocket\r\nconnection: upgrade\r\n"


class Tunnel(Passage):
    """Sends the handshake, and passes on what either side sends once it is done; another answer is passed on as any."""

    opened = False
    """Whether the WebSocket is open."""
    _sent = 0
    """Bytes of the client's, handshake aside."""
    _idle: Deadline | None = None
    _end: asyncio.TimerHandle | None = None
    _until = ""

    @property
    def settings(self) -> WebSocketSettings:
        """How long it may stay open."""
        decision = self._handling.decision
        route = None if decision is None else decision.exchange.route
        if route is None or route.websocket is None:
            raise RuntimeError("the route opens no WebSockets")
        return route.websocket

    def _framing(self, head: RequestHead, size: int) -> str:
        del head, size
        return _UPGRADE

    def _send(self, connection: UpstreamConnection) -> None:
        connection.upgrades_to = self
        super()._send(connection)

    def response_head(self, status: int, fields: ResponseFields, *, ends: bool) -> None:
        """Write the head anew; one that opens the WebSocket must answer this very handshake."""
        if status != 101:
            super().response_head(status, fields, ends=ends)
            return
        accept = accept_of(self._head.headers.all("sec-websocket-key")[0])
        if [value for name, value in fields if LOWERED[name] == "sec-websocket-accept"] != [accept.encode("ascii")]:
            raise BrokenAnswerError("Sec-WebSocket-Accept does not answer the key")
        if [value.lower() for name, value in fields if LOWERED[name] == "upgrade"] != [b"websocket"]:
            raise BrokenAnswerError("an upgrade to another protocol than websocket")
        self._read = status
        raw, _ = response_bytes(status, fields, self._handling, bodiless=True, close=False)
        self._out.append(raw[:-2] + _UPGRADE.encode("ascii") + b"\r\n")

    # once it is open

    def upgraded(self, data: bytes) -> None:
        """Open it; `data` is what the upstream has sent of it already."""
        self.opened = True
        loop, (ends, self._until) = asyncio.get_running_loop(), self._time_left()
        self._idle = Deadline(loop, lambda _: self.end(f"no byte for {self.settings.idle:g} s"))
        self._end = loop.call_later(ends, lambda: self.end(self._until))
        self._send_back()
        if data:
            self.from_upstream(data)
        self._client.switched()
        self._alive()

    def _time_left(self) -> tuple[float, str]:
        """Give how long it may stay open, and what ends it then."""
        decision, lifetime = self._handling.decision, self.settings.lifetime
        claims = None if decision is None else decision.exchange.claims
        if decision is not None and claims is not None and claims.expires - decision.exchange.now < lifetime:
            return max(claims.expires - decision.exchange.now, 0.0), "its access token has ended"
        return lifetime, f"open for {lifetime:g} s"

    def _alive(self) -> None:
        if self._idle is not None:
            self._idle.set("idle", self.settings.idle)

    def from_upstream(self, data: bytes) -> None:
        """Pass on what the upstream sent."""
        self._alive()
        self._handling.response_bytes += len(data)
        self._client.write(data)

    def from_client(self, data: bytes) -> None:
        """Pass on what the client sent."""
        self._alive()
        self._sent += len(data)
        if self._connection is not None:
            self._connection.write(data)
            if not self._connection.writable:
                self._client.hold()

    def upstream_left(self) -> None:
        """End it: the upstream closed its connection."""
        self._connection = None
        self._stop()
        self._ended(Reason.ALLOWED, self.story("the upstream"))

    def end(self, why: str) -> None:
        """End it on the gate's own account."""
        self.drop()
        self._ended(Reason.WEBSOCKET_ENDED, f"{why}; {self._sent} bytes from the client")

    def story(self, who: str) -> str:
        """Tell how it ended, for the record."""
        return f"websocket closed by {who}; {self._sent} bytes from the client"

    def outlives_client(self) -> bool:
        """End an open one with its client: nobody else waits for what becomes of it."""
        return not self.opened and super().outlives_client()

    def drop(self) -> None:
        """Break off towards the upstream; what was sent on an open WebSocket still goes out."""
        self._stop()
        if self.opened and self._connection is not None:
            self._connection.finish()
            self._connection = None
        super().drop()

    def _stop(self) -> None:
        if self._idle is not None:
            self._idle.clear()
        if self._end is not None:
            self._end.cancel()
            self._end = None
