"""The sending side of a client's connection: writing, holding it back, and ending it."""

import asyncio
from typing import cast

from gateway.engine.upstream_connection import HIGH_WATER

_BUFFER = memoryview(bytearray(65_536))
"""Where the loop puts what any client sent; taken out of it before the loop goes on.

A protocol without a buffer of its own makes uvloop's TLS ask for 256 KiB for each read and give most of it back, which
costs time and tears holes into the memory.
"""


class ClientTransport(asyncio.BufferedProtocol):
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

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the transport: its TLS takes tens of KiB, which would else wait for the garbage collector."""
        del exc
        self._transport = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the loop where to put what came."""
        del sizehint
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came out of the buffer that all connections share."""
        self.data_received(_BUFFER[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        raise NotImplementedError

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
