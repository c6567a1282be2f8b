"""The service manager that started the gate is told that it serves, and that it still does (systemd, sd_notify(3)).

Without such a manager nothing is sent. The signs of life come from the event loop: one that hangs falls silent, and a
manager with a watchdog (`WatchdogSec`) ends the process and starts it again.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"


class ServiceManager:
    """Tells whoever is named in the environment, if anybody is."""

    def __init__(self, environ: Mapping[str, str], process: int | None = None) -> None:
        """Read the environment; `process` is who the watchdog must be meant for, this process by default."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.every = _interval(environ, os.getpid() if process is None else process)
        """Seconds between signs of life; None where nobody waits for them."""

    def attend(self, _: object = None) -> None:
        """Say that requests are accepted, and from now on that the event loop runs."""
        self._tell(READY)
        if self.every is not None:
            self._beat(asyncio.get_running_loop(), self.every)

    def _beat(self, loop: asyncio.AbstractEventLoop, every: float) -> None:
        self._tell(ALIVE)
        loop.call_later(every, self._beat, loop, every)

    def _tell(self, message: bytes) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # An address that begins with @ is in the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            channel.sendto(message, address)


def _interval(environ: Mapping[str, str], process: int) -> float | None:
    """Give half of the watchdog's time, in seconds, where it is this process's."""
    time = environ.get("WATCHDOG_USEC", "")
    if not time.isdecimal() or int(time) == 0 or environ.get("WATCHDOG_PID", str(process)) != str(process):
        return None
    return int(time) / 2_000_000
