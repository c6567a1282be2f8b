"""A server that is kept connected: its connection is a circuit that opens with the first failure, and is tried again.

1. a connection is made: to where `locate` says the server is, which may change from time to time
2. the gate logs in, and looks at the server: it must hold the data itself, and must not drop any of it on its own
3. scripts are loaded; `prepare` does what has to be done before anything is asked
4. asks are sent, until a command is not answered in time or the connection breaks; then all without reply have failed
5. it is tried again at once, and for as long as a command may take asks wait for that; then they fail at once, and the
   server is tried again later each time
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from libvalkey import ReplyError

from gateway.core.stores import Login
from gateway.state.valkey.circuit import CONNECTION, PROTOCOL, TIMEOUT, UNFIT, Circuit, kind_of_code
from gateway.state.valkey.script import Script, command
from gateway.state.valkey.wire import LostError, Reply, Wire, described

FIRST_WAIT = 0.05
"""Seconds until a server is tried again that could not be reached."""

LONGEST_WAIT = 1.0

CONNECT_SECONDS = 2.0
"""Time for a connection, its TLS and the first look at the server."""

MOST_WAITING = 10_000
"""Asks that wait for a connection at most."""


_SECTIONS = (b"server", b"replication", b"memory", b"persistence")
"""Of what INFO tells."""


_REFUSALS = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})


class RefusedError(LostError):
    """A server answers, and will not serve as it is set up."""

    def __init__(self, because: str) -> None:
        super().__init__(because, UNFIT)


class Address(NamedTuple):
    """Where a server is: host and port, or the path of a socket."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else f"unix:{self.host}"


class Access(NamedTuple):
    """How servers are reached."""

    login: Login
    database: int
    tls: ssl.SSLContext | None
    server_name: str | None
    timeout: float


class Ask(Protocol):
    """What is asked of a server."""

    def command(self, run: bytes) -> bytes:
        """Give the command; `run` names the run of the server that it goes to."""
        ...

    def __call__(self, reply: Reply | Exception) -> None:
        """Take the reply, or a LostError. MUST NOT raise."""
        ...


type Prepare = Callable[["Node", Wire, bytes], Awaitable[None]]
"""Called with each new connection and the run of the server that it leads to; raises LostError to have it closed."""


class Node:
    """A server. `changed` is called with why it cannot be used, and with None once it can."""

    def __init__(
        self, name: str, locate: Callable[[], Awaitable[Address]], access: Access, scripts: Sequence[Script],
        prepare: Prepare, changed: Callable[["Node", str | None], None],
    ) -> None:  # fmt: skip
        self.name = name
        self.access = access
        self.run = b""
        """Names one run of one server that holds the data itself; anew where it was started or promoted again."""
        self.because = "not connected yet"
        self.refused = False
        """Whether it answers, and will not serve as it is set up."""
        self.circuit = Circuit(asyncio.get_running_loop().time)
        self._locate = locate
        self._scripts = scripts
        self._prepare = prepare
        self._changed = changed
        self._wire: Wire | None = None
        self._hopeful = True
        """Whether asks wait for a connection that is just being made."""
        self._waiting: list[Ask] = []
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def wire(self) -> Wire | None:
        """The connection, where there is one that can be used."""
        return self._wire

    @property
    def usable(self) -> bool:
        """Whether an ask may be answered."""
        return self._wire is not None or self._hopeful

    def start(self) -> None:
        """Begin to keep it connected."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def send(self, ask: Ask) -> None:
        """Ask it; fails at once where it is known not to answer."""
        wire = self._wire
        if wire is not None:
            wire.send(ask.command(self.run), ask)
        elif self._hopeful and len(self._waiting) < MOST_WAITING:
            self._waiting.append(ask)
        else:
            ask(LostError(self.because))

    def distrust(self, because: str) -> None:
        """Close the connection: what the server answered shows that another one is to be asked."""
        if self._wire is not None:
            self._wire.close(because, UNFIT)

    async def close(self) -> None:
        """Let go of it for good."""
        self._hopeful = False
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._wire is not None:
            self._wire.close("the gate is stopping")
        self._despair("the gate is stopping")

    async def _keep(self) -> None:
        loop, wait = asyncio.get_running_loop(), FIRST_WAIT
        while True:
            hope = loop.call_later(self.access.timeout, self._despair, None)
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    wire = await self._connect()
            except TimeoutError:
                because = "no connection in time"
                self.circuit.broke(TIMEOUT)
            except (OSError, ValueError) as error:
                because = described(error)
                self.circuit.broke(error.kind if isinstance(error, LostError) else CONNECTION)
                self.refused = isinstance(error, RefusedError)
            else:
                wait = FIRST_WAIT
                self.refused = False
                self._begin(wire)
                hope.cancel()
                await self._lost.wait()
                continue
            hope.cancel()
            self._despair(because)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _begin(self, wire: Wire) -> None:
        """Send what has waited."""
        self._wire, self._hopeful = wire, True
        self.circuit.closed()
        waiting, self._waiting = self._waiting, []
        self._changed(self, None)
        for ask in waiting:
            self.send(ask)

    def _end(self, error: LostError) -> None:
        self._wire, self.because = None, str(error)
        self.circuit.broke(error.kind)
        self._changed(self, self.because)
        self._lost.set()

    def _despair(self, because: str | None) -> None:
        """Fail what waits, and what is asked from now on."""
        self._hopeful = False
        if because is not None:
            self.because = because
            self._changed(self, because)
        waiting, self._waiting = self._waiting, []
        for ask in waiting:
            ask(LostError(self.because))

    async def _connect(self) -> Wire:
        address = await self._locate()
        wire = await connect(address, self.access, self._broken)
        try:
            self.run = await look(wire, self._scripts)
            await self._prepare(self, wire, self.run)
        except BaseException:
            wire.close("given up")
            raise
        return wire

    def _broken(self, wire: Wire, error: LostError) -> None:
        if wire is self._wire:
            self._end(error)


async def look(wire: Wire, scripts: Sequence[Script]) -> bytes:
    """Look at a server, and load the scripts; gives the name of its run. Raises LostError where it cannot serve."""
    asked = [wire.ask(command(b"INFO", section)) for section in _SECTIONS]
    asked += [wire.ask(script.load) for script in scripts]
    answers = [text(reply) for reply in await asyncio.gather(*asked)]
    lines = b"\r\n".join(answers[: len(_SECTIONS)]).split(b"\r\n")
    facts = dict(line.split(b":", 1) for line in lines if b":" in line)
    if facts.get(b"loading", b"0") != b"0":
        raise LostError("it is still loading its data", UNFIT)
    if facts.get(b"role") != b"master":
        raise LostError("it is a replica", UNFIT)
    eviction = facts.get(b"maxmemory_policy", b"noeviction")
    if eviction != b"noeviction":
        raise RefusedError(f"it may drop what it holds: set maxmemory-policy noeviction (now {eviction.decode()})")
    return facts[b"run_id"] + b"-" + facts[b"master_replid"]


async def connect(address: Address, access: Access, lost: Callable[[Wire, LostError], None] | None = None) -> Wire:
    """Make a connection and log in. Raises OSError (LostError included) or ValueError."""
    loop = asyncio.get_running_loop()
    made: list[Wire] = []

    def make() -> Wire:
        made.append(Wire(access.timeout, lambda error: None if lost is None else lost(made[0], error)))
        return made[0]

    if address.port:
        name = (access.server_name or address.host) if access.tls is not None else None
        await loop.create_connection(make, address.host, address.port, ssl=access.tls, server_hostname=name)
    else:
        await loop.create_unix_connection(make, address.host)
    wire = made[0]
    try:
        asked = []
        if access.login.password is not None:
            user = () if access.login.user is None else (access.login.user.encode(),)
            asked.append(wire.ask(command(b"AUTH", *user, access.login.password.reveal())))
        if access.database:
            asked.append(wire.ask(command(b"SELECT", b"%d" % access.database)))
        for reply in await asyncio.gather(*asked):
            text(reply)
    except BaseException:
        wire.close("given up")
        raise
    return wire


def text(reply: Reply) -> bytes:
    """Give a reply that is text. Raises LostError for an error's code, and for anything else."""
    if isinstance(reply, bytes):
        return reply
    if isinstance(reply, ReplyError):
        said = f"it refuses with {code(reply)}"
        raise RefusedError(said) if code(reply) in _REFUSALS else LostError(said, kind_of_code(code(reply)))
    raise LostError("an unexpected answer", PROTOCOL)


def code(error: ReplyError) -> str:
    """Give the code of an error: its text may hold more than a log should."""
    first = str(error).partition(" ")[0]
    return first if first.isascii() and first.isalnum() and first.isupper() else "an error"
