"""One connection to a server: commands go out in the order in which they are sent, and replies come back in the same.

What is sent in one turn of the event loop goes out together. Nothing is sent twice: once a connection is lost, it
cannot be told which of the commands without a reply were carried out, so all of them have failed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from libvalkey import ProtocolError, Reader, ReplyError

from gateway.state.valkey.circuit import CONNECTION, PROTOCOL, TIMEOUT

type Reply = bytes | int | list["Reply"] | ReplyError | None
"""What a server replies; an error of a single command as well."""

type Done = Callable[[Reply | Exception], None]
"""Takes the reply to a command, or why there is none (a LostError). MUST NOT raise."""


class LostError(ConnectionError):
    """The connection is lost, or could not be made; the text says why, and is fit for the log."""

    def __init__(self, because: str, kind: str = CONNECTION) -> None:
        super().__init__(because)
        self.kind = kind
        """One of `circuit.KINDS`."""


class Wire(asyncio.Protocol):
    """A connection. `lost` is called once, with the reason, after every command without reply was told of it."""

    def __init__(self, timeout: float, lost: Callable[[LostError], None]) -> None:
        self.timeout = timeout
        """Seconds in which a command must be replied to."""
        self._lost: Callable[[LostError], None] | None = lost
        self._reader = Reader()
        self._waiting: deque[tuple[float, Done]] = deque()
        """When each command without reply was sent, and who waits for it."""
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def send(self, command: bytes, done: Done) -> None:
        """Send a command (`script.command`) with this turn of the loop. On a lost connection it fails at once."""
        if self._lost is None:
            done(LostError("the connection is lost"))
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(command)
        now = self._loop.time()
        self._waiting.append((now, done))
        if self._timer is None:
            self._timer = self._loop.call_at(now + self.timeout, self._look)

    def ask(self, command: bytes) -> "asyncio.Future[Reply]":
        """Send a command; gives its reply once it is there. Raises LostError then."""
        future: asyncio.Future[Reply] = self._loop.create_future()

        def done(reply: Reply | Exception) -> None:
            if future.done():
                return
            if isinstance(reply, LostError):
                future.set_exception(reply)
            else:
                future.set_result(reply)  # type: ignore[arg-type]

        self.send(command, done)
        return future

    def data_received(self, data: bytes) -> None:
        """Give each reply to whom it belongs."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            reply = reader.gets()
            while reply is not False:
                if not waiting:
                    self.close("a reply that nothing was sent for", PROTOCOL)
                    return
                waiting.popleft()[1](reply)
                reply = reader.gets()
        except ProtocolError:
            self.close("what came is not the protocol of Valkey", PROTOCOL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody."""
        self.close("the connection was closed" if exc is None else f"the connection broke: {described(exc)}")

    def close(self, because: str, kind: str = CONNECTION) -> None:
        """Give the connection up, once."""
        lost, self._lost = self._lost, None
        if lost is None:
            return
        error = LostError(because, kind)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
        waiting = self._waiting
        while waiting:
            waiting.popleft()[1](error)
        lost(error)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and self._lost is not None:
            self._transport.write(b"".join(unsent))

    def _look(self) -> None:
        """Give up where the oldest command has waited for too long."""
        self._timer = None
        if not self._waiting:
            return
        ends = self._waiting[0][0] + self.timeout
        if ends <= self._loop.time():
            self.close(f"no answer within {round(self.timeout * 1_000)} ms", TIMEOUT)
        else:
            self._timer = self._loop.call_at(ends, self._look)


def described(error: BaseException) -> str:
    """Say what is wrong without text of the server's."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, LostError):
        return str(error)
    return type(error).__name__
