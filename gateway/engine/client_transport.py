"""The sending side of a client's connection: writing, holding it back, and ending it."""

import asyncio
from typing import cast

from gateway.engine.upstream_connection import HIGH_WATER


class ClientTransport(asyncio.Protocol):
    """A protocol that can be told to send, wait, go on and close, whatever its transport is up to."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = False
        self.slow = False
        """Whether the client has not read what was sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def eof_received(self) -> bool:
        """Take the client's end of sending for its leaving."""
        return False

    def write(self, data: bytes) -> None:
        """Send to the client."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hold(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._held:
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._held and self._transport is not None and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End the connection once everything written is sent."""
        if self._transport is not None:
            self._transport.close()
