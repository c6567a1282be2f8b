"""A worker's side of its supervisor: what it is told of itself, and the channel between them.

The channel is a socket pair whose ends these two processes alone hold. The worker says READY once its listeners
accept, and ALIVE as long as its event loop runs; the supervisor says RELOAD, and STOP with the reason. A signal would
do less: one that comes before the worker has its handlers would kill it. The end of the channel is the end of the
supervisor, however it came. The worker drains then as on SIGTERM, so that none goes on under a policy that nobody can
change any more.
"""

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, Self

READY = b"ready\n"
ALIVE = b"alive\n"
BEAT_SECONDS = 2.0
"""Time between two signs of life."""

RELOAD = b"reload\n"
STOP = b"stop "
"""Followed by the reason and a line's end."""

READ_BYTES = 4_096
"""Read of the channel at once: some hundred messages."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve one policy."""

    number: int
    """From 1; the one that takes its place after a crash has the same."""
    channel: int
    """Descriptor of its end of the channel."""
    listeners: tuple[str, ...]
    """What the supervisor found in the policy (`start.listeners_of`): all workers must listen at the same."""

    def __str__(self) -> str:
        """Write it for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        match json.loads(text):
            case {"number": int(number), "channel": int(channel), "listeners": [*listeners]}:
                return cls(number, channel, tuple(map(str, listeners)))
        raise ValueError("not what a supervisor tells a worker")

    def folder(self, parent: Path) -> Path:
        """Give its own folder below one that is for all workers."""
        return parent / f"worker-{self.number}"


class Served(Protocol):
    """What the supervisor commands: the service."""

    def stop(self, because: str) -> None:
        """Begin to stop."""
        ...

    def request_reload(self, because: str) -> None:
        """Have the policy read again."""
        ...


class Channel:
    """The worker's end of the channel."""

    def __init__(self, descriptor: int) -> None:
        """Take the end over. Raises OSError where the descriptor is no socket."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._begun = b""
        """Of a line whose end has not come yet."""

    def attend(self, service: Served) -> None:
        """Say that the listeners accept, and have the service do what the supervisor says from now on."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._read, service)
        with suppress(OSError):  # nobody is there: reading will tell
            self._socket.send(READY)
        loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._socket.fileno() >= 0:
            with suppress(OSError):  # a supervisor that does not read has other troubles than this worker
                self._socket.send(ALIVE)
            loop.call_later(BEAT_SECONDS, self._beat, loop)

    def close(self) -> None:
        """Let go of it, once."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _read(self, service: Served) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            service.stop("the supervisor ended")
            return
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            if line + b"\n" == RELOAD:
                service.request_reload("signal")
            elif line.startswith(STOP):
                service.stop(line.removeprefix(STOP).decode())
