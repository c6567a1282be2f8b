"""Whatever comes, in whichever order, at two gates on one store, through crashes: nothing twice, nothing too much.

Each example is a story of requests that are sent to either gate and end in some way at some time, or are under way
when the store's process is killed. What is forwarded counts as done unless upstream was never reached, refused it, or
said that it had not begun.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.controls.idempotency import FieldKey, Idempotency
from gateway.controls.signature import widest_window
from gateway.controls.velocity import VelocityLimit
from gateway.core.document import Pointer
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, StateSettings
from gateway.engine.gate import Handling
from gateway.policy.money import FINAL, NOT_DONE
from gateway.signing.window import Window
from gateway.state.memory import MemoryState
from gateway.state.valkey.store import ValkeyState
from tests import world
from tests.engine.money import KEY, velocity
from tests.unit.engine.gates import Made, step
from tests.valkey import STILL, Server, serving
from tests.world import NOW, World

WINDOW = 3_600
WIDEST = Window(60.0, 5.0)
LIMIT = 10
KEYS = ("op-1", "op-2", "op-3")

UNDONE = ("never sent", 402, 429)
"""Ends after which nothing was done: of a request that was refused, the key is used up, and the amount is not."""

ENDS = ("never sent", "broken", 200, 402, 429, 500)

sends = st.tuples(
    st.just("send"), st.integers(0, 1), st.sampled_from(KEYS), st.integers(0, 6), st.sampled_from(["p-1", "p-2"])
)
ends = st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(ENDS))
moves = st.tuples(st.just("move"), st.integers(1, WINDOW))
kills = st.just(("kill",))
stories = st.lists(st.one_of(sends, sends, sends, ends, ends, moves, kills), max_size=30)


@dataclass
class Debit:
    """What reached upstream."""

    key: str
    player: str
    amount: int
    at: float
    handling: Handling
    end: object = None


@dataclass
class Story:
    """Two gates on one store."""

    folder: Path
    again: bool
    server: Server | None = None
    """Where the store is; None: in one process, with a journal in the folder."""
    made: list[Made] = field(default_factory=list)
    debits: list[Debit] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        limit = VelocityLimit("hour", WINDOW, (Pointer("/player"),), {"EUR": LIMIT})
        rules = (
            Idempotency(FieldKey(KEY), 1e6, FINAL, NOT_DONE, 100, again=self.again),
            velocity(limit),
        )
        policy = world.policy(world.route(chain=(*world.chain(replay=None, rate_limit=None, token=None), *rules)))
        self.made = [Made(policy=policy), Made(policy=policy)]
        self.states: list[MemoryState | ValkeyState] = []

    async def open(self) -> None:
        if self.server is None:
            state = MemoryState(StateSettings())
            state.restore(self.folder, self.made[0].time.clock().now(), widest_window(self.made[0].policy))
            self.states = [state, state]
        else:
            self.states = [await shared(self.server) for _ in self.made]
        for one, store in zip(self.made, self.states, strict=True):
            one.gate.state = store

    async def close(self) -> None:
        for state in self.states:
            if isinstance(state, ValkeyState):
                await state.stop()
            else:
                state.close()

    async def tell(self, what: tuple[object, ...]) -> None:
        match what:
            case ("send", int(gate), str(key), int(amount), str(player)):
                await self.send(self.made[gate], key, amount, player)
            case ("end", int(number), end):
                waiting = [debit for debit in self.debits if debit.end is None]
                if waiting:
                    self.end(waiting[number % len(waiting)], end)
                    await self.settled()
            case ("move", int(seconds)):
                for one in self.made:
                    one.time.move(seconds)
                if self.server is not None:
                    self.server.set_clock(self.made[0].time.now)
            case _:
                await self.kill()

    async def send(self, made: Made, key: str, amount: int, player: str) -> None:
        self.sent += 1
        body = json.dumps({"player": player, "amount": amount, "currency": "EUR"}).encode()
        sent = World(body=body, nonce=f"n-{self.sent}", now=made.time.clock().now(), fields={KEY: key})
        handling = made.handling()
        await step(handling.begin(sent.head()))
        await step(handling.resume(body))
        handling.authorise()
        if handling.allowed:
            self.debits.append(Debit(key, player, amount, made.time.now, handling))
        await asyncio.sleep(0)  # what a denial held is given back in a turn of its own
        await self.settled()

    async def settled(self) -> None:
        waiting = {task for one in self.made for task in one.gate.settling}
        if waiting:
            await asyncio.wait(waiting)

    def end(self, debit: Debit, end: object) -> None:
        debit.end = end
        handling = debit.handling
        if end == "never sent":
            handling.finish(Reason.UPSTREAM_UNREACHABLE, "", 502)
            return
        handling.sends_upstream()
        assert handling.capture is not None
        if isinstance(end, int):
            handling.capture.head(end, [])
            handling.capture.end()
        handling.finish(Reason.ALLOWED if isinstance(end, int) else Reason.UPSTREAM_BROKEN, "", None)

    async def kill(self) -> None:
        """Kill both gates, and the store where it is in a process of theirs: what is under way there never ends."""
        await self.close()
        for debit in self.debits:
            debit.end = debit.end or "killed"
        await self.open()

    def check(self) -> None:
        for key in KEYS:
            mine = [debit for debit in self.debits if debit.key == key]
            assert sum(debit.end not in UNDONE for debit in mine) <= 1 or self.again
            assert sum(debit.end in (200, 402) for debit in mine) <= 1
            assert sum(debit.end is None for debit in mine) <= 1, "two under way at once"
        now = self.made[0].time.now
        for player in ("p-1", "p-2"):
            spent = [
                d.amount for d in self.debits if d.player == player and d.end not in UNDONE and d.at > now - WINDOW
            ]
            assert sum(spent) <= LIMIT


@pytest.mark.parametrize("again", [False, True])
@given(story=stories)
@settings(max_examples=50, deadline=None)
def test_nothing_is_done_twice_or_beyond_a_limit(again: bool, story: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
            patched.setattr("gateway.state.journal.os.fdatasync", lambda _: None)
            await play(Story(Path(folder), again), story)

    asyncio.run(run())


@given(story=stories)
@settings(max_examples=30, deadline=None)
def test_nor_where_two_gates_share_a_store(running: Server, story: list[tuple[object, ...]]) -> None:
    async def run() -> None:
        running.ask("FLUSHALL")
        running.set_clock(NOW - 10_000)
        opening = await shared(running, now=NOW - 10_000)
        running.set_clock(NOW)
        await opening.stop()
        await play(Story(Path(), again=False, server=running), story)

    asyncio.run(run())


async def play(told: Story, story: list[tuple[object, ...]]) -> Story:
    await told.open()
    try:
        for what in story:
            await told.tell(what)
            told.check()
    finally:
        await told.close()
    return told


async def shared(server: Server, now: float = NOW) -> ValkeyState:
    """Open a gate's view of a store; one that keeps what it confirmed."""
    settings = StateSettings(store=EmbeddedSettings(timeout=5.0), after_loss=600.0, secret=Secret(b"s" * 32))
    state = ValkeyState("psp", settings, WIDEST, lambda: Instant(now), at=server.address, kept=True, clock=STILL)
    await state.start(20.0)
    assert state.connected, state.because
    return state


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


def test_a_story_that_has_it_all() -> None:
    story: list[tuple[object, ...]] = [
        ("send", 0, "op-1", 6, "p-1"), ("send", 1, "op-1", 6, "p-1"), ("send", 1, "op-2", 6, "p-1"), ("end", 0, 200),
        ("send", 1, "op-1", 6, "p-1"), ("send", 0, "op-2", 4, "p-1"), ("kill",), ("send", 0, "op-2", 4, "p-1"),
        ("send", 0, "op-3", 1, "p-1"), ("move", WINDOW), ("move", WINDOW), ("send", 1, "op-3", 1, "p-1"),
    ]  # fmt: skip

    async def run() -> list[list[Reason]]:
        with tempfile.TemporaryDirectory() as folder:
            told = await play(Story(Path(folder), again=False), story)
            return [one.log.decided for one in told.made]

    assert asyncio.run(run()) == [
        [Reason.ALLOWED, Reason.ALLOWED, Reason.IDEMPOTENCY_UNKNOWN, Reason.VELOCITY_EXCEEDED],
        [Reason.IDEMPOTENCY_IN_FLIGHT, Reason.VELOCITY_EXCEEDED, Reason.IDEMPOTENCY_ANSWERED, Reason.ALLOWED],
    ]
