"""A transport without a socket."""

import asyncio
from typing import Any


class FakeTransport(asyncio.Transport):
    """Keeps what is written to it, and does what a transport does when it is closed."""

    def __init__(self, protocol: asyncio.BaseProtocol | None = None) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.paused = False
        self.closing = False
        self.aborted = False
        self.high: int | None = None

    def write(self, data: Any) -> None:
        assert not self.closing, "written to a transport that is closing"
        self.written += data

    def take(self) -> bytes:
        """Give what was written since the last call."""
        written, self.written = self.written, b""
        return written

    def pause_reading(self) -> None:
        assert not self.paused, "paused twice"
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def lose(self, error: Exception | None = None) -> None:
        """Let the connection end, as the loop does some time after it was closed on either side."""
        self.closing = True
        assert self.protocol is not None
        self.protocol.connection_lost(error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del low
        self.high = high


def connected[P: asyncio.BaseProtocol](protocol: P) -> tuple[P, FakeTransport]:
    """Connect a protocol to a transport of its own."""
    transport = FakeTransport(protocol)
    protocol.connection_made(transport)
    return protocol, transport
