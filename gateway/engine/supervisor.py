"""Several workers: started together, started again where one dies, told to reload and to stop.

1. the policy is read once, so that its mistakes are told once; the workers read it for themselves
2. the ports are looked at: a gate of the same user that shares its port would take half of the connections unnoticed
3. the store that they share is started, where the policy has the gate run one (`embedded`)
4. the workers are started; once all of them accept, the supervisor says so; if one cannot, all are stopped
5. a worker that ends is started again, later each time it fails; one that hangs is ended; the others go on
6. SIGHUP is passed on; SIGTERM and SIGINT as well; the supervisor ends after its last worker, and the store before it

The supervisor holds no listening socket and sees no request. Each worker binds the policy's ports for itself, and the
kernel spreads connections over them (SO_REUSEPORT).

Workers are programs of their own, run by the command line of the supervisor. A fork would share threads, locks and
random state that libraries hold; multiprocessing's spawn adds a process that tracks resources and pickles what it
passes on. This way one that is started again is like the first one, and `ps` shows what it is.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.stores import EmbeddedSettings
from gateway.engine.backoff import Backoff
from gateway.engine.binding import bound
from gateway.engine.embedded import Embedded
from gateway.engine.notify import ServiceManager
from gateway.engine.start import StartError, check_environment, explained, listeners_of
from gateway.engine.worker import READ_BYTES, READY, RELOAD, STOP, Worker
from gateway.policy import load

logger = logging.getLogger(__name__)

END_SECONDS = 40.0
"""Time a worker has to end: its drain (30 s), the outcomes of what it cuts off (2 s), and its last writes. systemd's
TimeoutStopSec must be longer."""

LAST_WORD_SECONDS = 1.0
"""Time for the end of the channel to be seen after that of the worker: it is there, unless a third party holds it."""

LOOK_SECONDS = 10.0
SILENT_LOOKS = 3
"""After so many looks without a sign of life a worker hangs: looks are counted, not the time, so that a machine that
was asleep wakes up with its workers."""

ABORT_SECONDS = 5.0
"""Time for a worker that hangs to write where it does."""

EXIT_CUT = 1
"""A worker did not drain in good order."""

type Command = Callable[[Worker], Sequence[str]]
"""Gives a worker's command line."""


def supervise(
    policy: Path, workers: int, command: Command, state: Path, environ: Mapping[str, str] = os.environ
) -> int:
    """Serve the policy by so many workers until told to stop; gives the exit code.

    `state` is the folder below which each worker has its own, and where their store lives if the policy has one run.
    """

    def run() -> int:
        read = check(policy, environ)
        store = read.state.store
        embedded = Embedded(state, read.name, store) if isinstance(store, EmbeddedSettings) else None
        manager = ServiceManager(environ)
        supervisor = Supervisor(workers, listeners_of(read), command, embedded=embedded, ready=manager.attend)
        return asyncio.run(supervisor.run())

    return explained(run)


def check(policy: Path, environ: Mapping[str, str]) -> Policy:
    """Give a policy that workers may serve. Raises PolicyInvalid or StartError."""
    check_environment(environ)
    read = load(policy, environ, now=Instant(time.time()), shared_state=False).policy
    for listener in read.listeners.values():
        where = f"listener {listener.name}: {listener.address}:{listener.port}"
        if not listener.port:
            raise StartError(f"{where}: each worker would get another port: name one, or run with --workers 1")
        try:
            bound(listener).close()
        except OSError as error:
            raise StartError(f"{where}: {error.strerror}") from error
    return read


@dataclass(slots=True, eq=False)
class _Child:
    """A worker that runs."""

    number: int
    process: Process
    channel: socket.socket
    heard: int = 0
    """How often it was heard; 0 until it accepts."""

    def tell(self, message: bytes) -> None:
        """Say something to it."""
        with suppress(OSError):  # it has ended, or hangs with its channel full: either is seen by its end
            self.channel.send(message)


class Supervisor:
    """Keeps the workers running until it is told to stop."""

    def __init__(
        self, workers: int, listeners: tuple[str, ...], command: Command, *, end_seconds: float = END_SECONDS,
        look_seconds: float = LOOK_SECONDS, embedded: Embedded | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._numbers = range(1, workers + 1)
        self._listeners = listeners
        self._command = command
        self._end_seconds = end_seconds
        self._look_seconds = look_seconds
        self._ready = ready
        self._embedded = embedded
        self._children: dict[int, _Child] = {}
        self._accepted: set[int] = set()
        """Numbers of the workers that accepted at least once."""
        self._stop = asyncio.Event()
        self._because = b""
        self._failed: StartError | None = None
        self._code = 0

    async def run(self) -> int:
        """Run until told to stop; gives the exit code. Raises StartError where a worker cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        if self._embedded is not None:
            await self._embedded.start()
        keepers = [loop.create_task(self._keep(number)) for number in self._numbers]
        try:
            await asyncio.gather(*keepers)
        finally:
            self.stop("the supervisor failed")  # whatever is wrong here, the workers drain
            await asyncio.gather(*keepers, return_exceptions=True)
            if self._embedded is not None:  # last: workers that drain still ask it
                await self._embedded.stop()
        if self._failed is not None:
            raise self._failed
        logger.info("all workers ended")
        return self._code

    def stop(self, because: str) -> None:
        """Have every worker drain and end."""
        if self._stop.is_set():
            return
        self._because = STOP + because.encode() + b"\n"
        self._stop.set()
        for child in self._children.values():
            child.tell(self._because)

    def reload(self) -> None:
        """Have every worker read the policy anew."""
        for child in self._children.values():
            child.tell(RELOAD)

    async def _keep(self, number: int) -> None:
        """Start a worker, and again whenever it ended, until the supervisor stops."""
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                end = await self._run(number)
            except OSError as error:
                end = f"cannot be started: {error.strerror}"
            if self._stop.is_set():
                return
            if number not in self._accepted:
                self._failed = StartError(f"worker {number} {end}: see its message above; all are stopped")
                self.stop("another worker cannot start")
                return
            wait = backoff.after(loop.time() - began)
            logger.error("worker %d %s; it is started again in %.1f s", number, end, wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)
                return

    async def _run(self, number: int) -> str:
        """Run a worker to its end; gives how it ended. Raises OSError where it cannot be run."""
        child = await self._start(number)
        ended = asyncio.ensure_future(child.process.wait())
        stopped = asyncio.ensure_future(self._stop.wait())
        accepts = asyncio.ensure_future(self._hear(child))
        silent = asyncio.ensure_future(self._until_silent(child))
        try:
            await asyncio.wait((ended, stopped, silent), return_when=asyncio.FIRST_COMPLETED)
            if silent.done() and not ended.done() and not stopped.done():
                seconds = SILENT_LOOKS * self._look_seconds
                logger.error("worker %d hangs: no sign of life for %.0f s; it is ended", number, seconds)
                child.process.send_signal(signal.SIGABRT)  # Python then writes what each thread is at
                await asyncio.wait((ended,), timeout=ABORT_SECONDS)
            elif not ended.done():
                await asyncio.wait((ended,), timeout=self._end_seconds)
            if not ended.done():
                logger.error("worker %d did not end in time: killed", number)
                child.process.kill()
            code = await ended
            await asyncio.wait((accepts,), timeout=LAST_WORD_SECONDS)
        finally:
            del self._children[number]
            for task in (stopped, accepts, silent):
                task.cancel()
            await asyncio.wait((stopped, accepts, silent))
            child.channel.close()
        if self._stop.is_set() and code and number in self._accepted:
            logger.error("worker %d %s while it drained", number, described(code))
            self._code = EXIT_CUT
        return described(code)

    async def _start(self, number: int) -> _Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        held = () if self._embedded is None else self._embedded.held  # its store outlives the supervisor with it
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command(Worker(number, theirs.fileno(), self._listeners)),
                    # Away from the terminal: what it sends to all is the supervisor's to pass on.
                    stdin=DEVNULL, start_new_session=True, pass_fds=(theirs.fileno(), *held),
                )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        child = self._children[number] = _Child(number, process, ours)
        if self._stop.is_set():
            child.tell(self._because)
        return child

    async def _hear(self, child: _Child) -> None:
        """Note when a worker accepts, and every sign of life."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            if not (await loop.sock_recv(child.channel, READ_BYTES)).startswith(READY):
                return
            self._accepts(child)
            while await loop.sock_recv(child.channel, READ_BYTES):
                child.heard += 1

    def _accepts(self, child: _Child) -> None:
        child.heard = 1
        began = len(self._accepted) == len(self._numbers)
        self._accepted.add(child.number)
        logger.info("worker %d accepts (process %d)", child.number, child.process.pid)
        if not began and len(self._accepted) == len(self._numbers):
            logger.info("%d workers accept: %s", len(self._numbers), ", ".join(self._listeners))
            self._ready()

    async def _until_silent(self, child: _Child) -> None:
        """Wait until a worker that accepts is not heard any more."""
        missed = 0
        while missed < SILENT_LOOKS:
            before = child.heard
            await asyncio.sleep(self._look_seconds)
            missed = missed + 1 if before and child.heard == before else 0


def described(code: int) -> str:
    """Say how a process ended, by its exit code (negative: the signal's number)."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
