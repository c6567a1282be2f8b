"""The state that workers and machines share, on Valkey or Redis (`Store`).

A request asks twice at most: for its rates before its body is read, and for its claim after its signature was verified.
Each is one call of a script, whatever the number of limits; what the requests of one turn of the loop ask goes out
together, on one connection to each server.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway.core.chain import Claim, ClaimOnce, RateTaken, TakeRate
from gateway.core.holds import (
    Charge,
    Enter,
    Entered,
    GiveBack,
    Leave,
    Remember,
    Remembered,
    Reserve,
    Reserved,
    SettleKey,
    Settlement,
)
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import EmbeddedSettings, Layout, Login, StateSettings, ValkeySettings
from gateway.signing.window import Window
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.buckets import Buckets
from gateway.state.valkey.houses import Bounds, Claiming, House, Houses
from gateway.state.valkey.in_flight import InFlight
from gateway.state.valkey.money import Money, scripts
from gateway.state.valkey.node import Access, Address, Node, connect, look
from gateway.state.valkey.operator import Operator
from gateway.state.valkey.places import Cluster, MakeNode, Places, Sentinels, Single, fixed
from gateway.state.valkey.script import Script
from gateway.state.valkey.tally import SCRIPTS, Tally
from gateway.state.valkey.tls import context_of
from gateway.state.valkey.wire import LostError, Reply, Wire

_ELSEWHERE = b"elsewhere"
"""Stands for a run of no server: claims were made somewhere else."""

TRIES = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between two tries to tell the store what became of a key or an amount."""

type Tell = Callable[[str, str | None], None]
"""Takes what fails, and how; and that it works again."""


class ValkeyState:
    """Counters and claims of a policy. Made in the loop that it is used in; `start` it, and `close` it at the end.

    `kept` says that the server keeps all it confirmed, whatever happens to its process.
    """

    def __init__(
        self, policy: str, settings: StateSettings, widest: Window | None, now: Callable[[], Instant],
        *, at: Address | None = None, kept: bool = False, clock: str | None = None,
    ) -> None:  # fmt: skip
        """Connect to what `settings` name, or to the server `at` an address. Raises OSError (TLS files)."""
        self.looks = False
        """Whether it only looks: nothing is claimed, so houses stay as they are."""
        self._now = now
        self._found = b"kept" if kept else b"as it is"
        self._bounds = bounds_of(settings, widest)
        self._houses = Houses(policy)
        self._open_script = Script.read("open", clock)
        self._claim_script = Script.read("claim", clock)
        take = Script.read("take", clock)
        money = scripts(clock)
        flight = (Script.read("enter", clock), Script.read("leave", clock))
        tally = tuple(Script.read(name, clock) for name in SCRIPTS)
        self._scripts = (take, self._claim_script, self._open_script, *money, *flight, *tally)
        self._opened: dict[int, bytes] = {}
        """For which run of which server each house was found open."""
        self._unopened: dict[int, list[Asked[Any]]] = {}
        """Claims and the like that wait for their house."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._back: set[asyncio.Task[None]] = set()
        """Keys that are given back as soon as the store answers."""
        self._works_at: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._closing = False
        self._strayed = False
        self._told_loss = (b"", 0)
        """The run of the server with which memory was lost last, and up to when requests are refused for it."""
        self.losses = 0
        """How often it was found that the store had lost some of its memory."""
        self.tell: Tell = _nobody
        self.places = self._make_places(settings.store, at)
        self._buckets = Buckets(self.places, take)
        self._in_flight = InFlight(self.places, *flight)
        self.operator = Operator(self.places, clock)
        self.tally = Tally(self.places, policy, *tally)
        """Failed authentications, and who is locked out by them."""
        self._money = Money(self.places, self._houses, settings, self._wait_for, money)

    # Store

    def take(self, ask: TakeRate, now: Instant) -> asyncio.Future[RateTaken]:
        """Take from every bucket, or from none. Raises Unavailable(STATE_UNAVAILABLE), here or when it is awaited."""
        del now  # the store's clock counts
        return self._buckets.take(ask).go()

    def claim(self, ask: ClaimOnce, now: Instant) -> asyncio.Future[Claim]:
        """Claim a key. Raises Unavailable likewise, REPLAY_MEMORY_FULL as well."""
        claiming = Claiming(self.places, self._claim_script, self._houses, ask, now, self._bounds, self._wait_for)
        if self._strayed and self._opened.get(claiming.house.number) == _ELSEWHERE:
            self._wait_for(claiming.house, claiming)
            return claiming.future
        return claiming.go()

    def stray(self) -> None:
        """Take note that something was claimed elsewhere: each house is opened anew before its next claim."""
        self._strayed = True
        self._opened = dict.fromkeys((house.number for house in self._houses.all), _ELSEWHERE)

    async def remember(self, ask: Remember, now: Instant) -> Remembered:
        """Take an idempotency key. Raises Unavailable likewise, IDEMPOTENCY_FULL as well.

        Where it is not known whether it was taken, it is given back as soon as the store answers again.
        """
        asked = self._money.remember(ask, now)
        try:
            return await asked.go()
        except Unavailable as unavailable:
            if unavailable.reason is Reason.STATE_UNAVAILABLE:
                self._take_back(asked.undone(ask))
            raise

    def reserve(self, ask: Reserve, now: Instant) -> asyncio.Future[Reserved]:
        """Reserve amounts. Raises Unavailable likewise, VELOCITY_FULL as well."""
        del now  # the store's clock counts
        return self._money.reserve(ask).go()

    async def enter(self, ask: Enter, now: Instant) -> Entered:
        """Take a place among requests in flight. Raises Unavailable likewise; it is given back then as a key is."""
        del now  # the store's clock counts
        asked = self._in_flight.enter(ask)
        try:
            return await asked.go()
        except Unavailable:
            self._take_back(asked.undone)
            raise

    async def settle(self, settlement: Settlement, now: Instant) -> None:
        """Note what became of a hold; a store that does not answer is tried again for a while. Raises Unavailable."""
        del now
        if isinstance(settlement, Charge):
            await self._try_charge(settlement)
        else:
            await self._try(settlement)

    def charge(self, charge: Charge) -> asyncio.Future[RateTaken]:
        """Take what a request turned out to cost. Raises Unavailable likewise."""
        return self._buckets.charge(charge.takes).go()

    async def _try_charge(self, charge: Charge) -> None:
        """Take it once: it is sent again only where it is known that it was not sent."""
        for wait in (*TRIES, None):
            try:
                charging = self.charge(charge)
            except Unavailable:
                if wait is None:
                    raise
                await asyncio.sleep(wait)
            else:
                await charging
                return

    def _take_back(self, settlement: SettleKey | GiveBack | Leave) -> None:
        task = asyncio.ensure_future(self._try(settlement))
        self._back.add(task)
        task.add_done_callback(self._back.discard)

    async def _try(self, settlement: SettleKey | GiveBack | Leave) -> None:
        for wait in (*TRIES, None):
            try:
                if isinstance(settlement, Leave):
                    await self._in_flight.leave(settlement).go()
                else:
                    await self._money.settle(settlement).go()
            except Unavailable:
                if wait is None:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    def close(self) -> None:
        """Let go of the connections; `stop` does so and waits for it."""
        self._run(self.stop())

    # The service's side

    async def start(self, seconds: float) -> None:
        """Connect, and wait for so long at most until every server answers that is known."""
        await self.places.start()
        try:
            async with asyncio.timeout(seconds):
                while not (self.connected or self.refused):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    @property
    def connected(self) -> bool:
        """Whether every server answers that is known."""
        nodes = self.places.nodes
        return bool(nodes) and all(node.wire is not None for node in nodes)

    @property
    def refused(self) -> bool:
        """Whether a server answers, and will not serve: a matter of settings, not of time."""
        return any(node.refused for node in self.places.nodes)

    @property
    def because(self) -> str:
        """Why not every server answers."""
        lost = [f"{node}: {node.because}" for node in self.places.nodes if node.wire is None]
        return "; ".join(lost) or getattr(self.places, "because", "")

    def adopt(self, settings: StateSettings, widest: Window | None, now: Instant) -> None:
        """Prepare for a new policy. A wider window opens each house anew, with the next claim in it."""
        del now
        self._bounds = bounds_of(settings, widest)
        self._money.adopt(settings)

    def beat(self, now: Instant) -> None:
        """Do nothing: what a crash loses here is in the store."""

    def save(self, now: Instant) -> None:
        """Do nothing likewise."""

    async def stop(self) -> None:
        """Let go of the connections."""
        self._closing = True
        for task in self._back:
            task.cancel()
        if self._works_at is not None:
            self._works_at.cancel()
        await self.places.close()
        await asyncio.sleep(0)  # transports are closed with the next turn of the loop

    # Servers

    def _make_places(self, settings: ValkeySettings | EmbeddedSettings | None, at: Address | None) -> Places:
        if not isinstance(settings, ValkeySettings):
            if settings is None or at is None:
                raise RuntimeError("no server to connect to")
            access = Access(Login(), 0, None, None, settings.timeout)
            return Single(self._maker(access), str(at), fixed(at))
        tls = context_of(settings) if settings.tls else None
        access = Access(settings.login, settings.database, tls, settings.server_name, settings.timeout)
        addresses = [Address(server.host, server.port) for server in settings.servers]
        if settings.layout is Layout.CLUSTER:
            return Cluster(self._maker(access), addresses, access)
        if settings.layout is Layout.SENTINEL:
            sentinels = Sentinels(addresses, settings.service, access._replace(login=settings.sentinel_login))
            return Single(self._maker(access), f"primary of {settings.service}", sentinels)
        (address,) = addresses
        return Single(self._maker(access), str(address), fixed(address))

    def _maker(self, access: Access) -> MakeNode:
        return lambda name, locate: Node(name, locate, access, self._scripts, self._prepare, self._changed)

    def _changed(self, node: Node, because: str | None) -> None:
        self._news.set()
        if not self._closing:
            self.tell(f"state.valkey {node}", because)

    # Houses

    async def _prepare(self, node: Node, wire: Wire, run: bytes) -> None:
        """Open the houses of a server, before anything is claimed there."""
        mine = [house for house in self._houses.all if not self.looks and self._holds(node, house)]
        replies = await asyncio.gather(*[wire.ask(self._opening(house, run)) for house in mine])
        for house, reply in zip(mine, replies, strict=True):
            if isinstance(reply, list):  # otherwise a part of a Cluster whose slots have moved: it is opened when asked
                self._is_open(house, run, reply)

    def _holds(self, node: Node, house: House) -> bool:
        try:
            return self.places.node(house.slot) is node
        except LostError:
            return False

    def _opening(self, house: House, run: bytes) -> bytes:
        known = self._opened.get(house.number, run)
        moved = known != run and (self._found != b"kept" or known == _ELSEWHERE)
        found = b"moved" if moved else self._found
        bounds = self._bounds
        own = b"%.3f" % self._now()
        arguments = (run, found, b"%r" % bounds.max_age, b"%r" % bounds.max_ahead, own)
        return self._open_script.call((house.epoch,), *arguments)

    def _is_open(self, house: House, run: bytes, reply: list[Reply]) -> None:
        lost, until = reply
        self._opened[house.number] = run
        if lost == 1 and isinstance(until, int):
            self._tell_loss(run, until)

    def _wait_for(self, house: House, claiming: Asked[Any]) -> None:
        """Open a house, and have the claim made then."""
        waiting = self._unopened.setdefault(house.number, [])
        waiting.append(claiming)
        if len(waiting) == 1:
            self._run(self._open(house))

    async def _open(self, house: House) -> None:
        error: LostError | None = None
        try:
            node = self.places.node(house.slot)
            if node.wire is None:
                raise LostError(node.because)  # noqa: TRY301
            reply = await node.wire.ask(self._opening(house, node.run))
            if not isinstance(reply, list):
                raise LostError("a house of claims could not be opened")  # noqa: TRY301
            self._is_open(house, node.run, reply)
        except LostError as lost:
            error = lost
        for claiming in self._unopened.pop(house.number):
            if error is None:
                claiming.again()
            else:
                claiming(error)

    def _tell_loss(self, run: bytes, until: int) -> None:
        """Tell that memory was lost, and once that no longer keeps a request out."""
        known_run, known_until = self._told_loss
        if run == known_run and until <= known_until:
            return  # of another house, by the same loss
        self._told_loss = run, until
        self.losses += 1
        self.tell("state.claims", None)  # an earlier loss ends with this one
        self.tell("state.claims", f"the store has lost some of its memory: requests dated up to {until} are refused")
        if self._works_at is not None:
            self._works_at.cancel()
        wait = max(until - self._now(), 0.0)
        loop = asyncio.get_running_loop()
        self._works_at = loop.call_later(wait, partial(self.tell, "state.claims", None))

    def _run(self, what: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def bounds_of(settings: StateSettings, widest: Window | None) -> Bounds:
    """Give what claims are held by under a policy."""
    if widest is None:
        return Bounds(settings.replay_entries, 0.0, 0.0)
    return Bounds(settings.replay_entries, widest.max_age, widest.max_ahead)


async def found(address: Address, policy: str) -> None:
    """Open every house of a policy in a store made just now, where nothing was ever claimed. Raises OSError."""
    script = Script.read("open")
    wire = await connect(address, Access(Login(), 0, None, None, EmbeddedSettings().timeout))
    try:
        run = await look(wire, (script,))
        calls = [script.call((house.epoch,), run, b"fresh", b"0", b"0", b"0") for house in Houses(policy).all]
        await asyncio.gather(*map(wire.ask, calls))
    finally:
        wire.close("done")


def _nobody(what: str, because: str | None) -> None:
    """Tell nobody."""
