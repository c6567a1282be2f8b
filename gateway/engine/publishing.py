"""The gate's side of the publisher's process (`gateway.audit.tlog.process`): starts it, gives it work, ends it."""

import asyncio
import itertools
import json
import logging
import math
import os
import socket
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from gateway.audit.tlog.process import HURRY, Done, Work, message

logger = logging.getLogger(__name__)

SILENT_SECONDS = 60.0
"""Time without a word after which it is told that nothing is published: it waits for a disk, or hangs."""

SILENT_TIMES = 5
"""So many of these on end, and the process is killed, to be started anew."""

END_SECONDS = 10.0
"""Time that it has to end, once there is nothing to do."""

READ_BYTES = 1_048_576
"""Of a message, at most."""

_ENVIRON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What it may know of the environment, besides Python's own: secrets of the policy may stand in the rest."""

type Record = Callable[[dict[str, object]], Awaitable[bool]]
"""Records that a file was sealed, or will be deleted; gives whether that is on the disk."""

type Late = Callable[[str], None]
"""Is told that the work takes long, and what is known of it."""


class PublisherGoneError(Exception):
    """The process ended before its work was done; the message says how."""


class PublisherProcess:
    """The process: started with the first work, and with the next after it has ended. One work at a time."""

    def __init__(self, directory: Path, key: Path, name: str, record: Record) -> None:
        self._arguments = (str(directory.absolute()), str(key.absolute()), name)
        self._record = record
        self._process: Process | None = None
        self._ends: tuple[StreamReader, StreamWriter] | None = None

    @property
    def process_id(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    async def do(self, work: Work, late: Late, patience: int = SILENT_TIMES) -> Done:
        """Have something done; the process is killed where it is silent so many times on end.

        Raises PublisherGoneError, and OSError where no process can be started.
        """
        reader, writer = await self._start() if self._ends is None else self._ends
        writer.write(work.line())
        loop = asyncio.get_running_loop()
        at, late_at = 0, loop.time() + SILENT_SECONDS
        while True:
            match json.loads(await self._hear(reader, late, patience)):
                case {"done": done}:
                    return Done(**done)
                case {"record": about}:
                    writer.write(message({"recorded": await self._record(about)}))
                case {"at": size}:
                    at = size or at
                    if loop.time() >= late_at:
                        late_at = math.inf
                        late(f"records {at + 1} to {work.last} still wait for a checkpoint, and later ones too")

    async def _hear(self, reader: StreamReader, late: Late, patience: int) -> bytes:
        """Wait for a message. Raises PublisherGoneError."""
        for times in itertools.count(1):
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    line = await reader.readline()
            except TimeoutError:
                late(f"its process has said nothing for {times * SILENT_SECONDS:.0f} s")
                if times >= patience and self._process is not None:
                    self._process.kill()
                continue
            except OSError:
                break
            if line[-1:] == b"\n":
                return line
            break
        raise PublisherGoneError(await self._end())

    def hurry(self) -> None:
        """Have it leave what can wait."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(HURRY)

    async def close(self) -> None:
        """End it, once its work is done."""
        if self._process is not None:
            await self._end()

    async def _start(self) -> tuple[StreamReader, StreamWriter]:
        ours, theirs = socket.socketpair()
        try:
            environ = {name: value for name, value in os.environ.items() if name in _ENVIRON or name[:6] == "PYTHON"}
            command = (sys.executable, "-P", "-m", "gateway.audit.tlog.process", *self._arguments)
            self._process = await asyncio.create_subprocess_exec(*command, stdin=theirs.fileno(), env=environ)
            self._ends = await asyncio.open_connection(sock=ours, limit=READ_BYTES)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        logger.info("checkpoints are published by process %d", self._process.pid)
        return self._ends

    async def _end(self) -> str:
        """Close the channel, and wait for the process to end; gives how it did."""
        process, self._process = self._process, None
        ends, self._ends = self._ends, None
        if ends is not None:
            ends[1].close()
            with suppress(OSError):
                await ends[1].wait_closed()
        if process is None:
            return "it did not start"
        try:
            async with asyncio.timeout(END_SECONDS):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        return f"its process ended by signal {-code}" if code < 0 else f"its process ended with {code}"
