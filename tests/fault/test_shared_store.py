"""Two gates on one Valkey, whatever befalls it: no nonce passes twice, limits hold, and the log tells the story."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.state.valkey import script
from tests import world
from tests.engine.harness import Time, kind_of, request, serving, until
from tests.engine.services import Folder, Served, again
from tests.engine.upstream import FakeUpstream
from tests.valkey import STILL, Server
from tests.valkey import serving as serving_store

pytestmark = pytest.mark.direct  # once: the store is asked in the same way on both

LIMIT = 40
TIMEOUT = "200ms"
RATE = 'rate_limit: ["1000/second per partner"]'


class Pair:
    """Two gates on one store, and what passed them."""

    def __init__(self, store: Server, upstream: FakeUpstream, gates: Sequence[Served]) -> None:
        self.store = store
        self.upstream = upstream
        self.gates = gates
        self.passed: Counter[str] = Counter()
        """How often each nonce passed."""
        self.refused: Counter[str] = Counter()
        """Codes of what was refused."""

    async def send(self, gate: Served, nonce: str, *, ago: float = 0.0) -> None:
        raw = request(world.World(now=Instant(gate.time.now - ago), nonce=nonce, token=self.token(gate)))
        response = await gate.send(raw)
        if response.status == 200:
            self.passed[nonce] += 1
        else:
            self.refused[response.code] += 1

    def token(self, gate: Served) -> str:
        now = int(gate.time.now)
        return world.token(world.claims(iat=now - 60, nbf=now - 60, exp=now + 240))

    async def storm(self, nonces: Sequence[str], *, times: int = 2) -> None:
        """Send each request to both gates, several times, all at once."""
        await asyncio.gather(*(self.send(gate, nonce) for nonce in nonces for gate in self.gates for _ in range(times)))

    def move(self, seconds: float) -> None:
        """Have time pass, for the gates and for the store."""
        for gate in self.gates:
            gate.time.move(seconds)
        self.store.set_clock(self.gates[0].time.now)

    async def connected(self) -> None:
        """Wait until both have their store."""
        await until(lambda: all(gate.service.state.store.connected for gate in self.gates))

    def check(self) -> None:
        """Check what holds whatever happened."""
        assert not [nonce for nonce, times in self.passed.items() if times > 1]
        assert len(self.upstream.request_ids) == len(set(self.upstream.request_ids)) == self.passed.total()

    def story(self, gate: Served) -> list[tuple[str, str]]:
        """Give what failed and recovered by the log of a gate, without addresses."""
        return [
            (kind_of(record).removeprefix("control."), record["unmapped"]["control"].split(" ")[0])
            for record in gate.folder.records()
            if kind_of(record) in {"control.failed", "control.recovered"}
        ]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(script, "CLOCK", STILL)
    with serving_store() as made:
        made.set_clock(world.NOW - 60)
        yield made


async def up(stack: AsyncExitStack, directory: Path, store: Server, **changes: str) -> Pair:
    upstream = await stack.enter_async_context(serving())
    gates = []
    for name in ("one", "two"):
        folder = Folder(directory / name, upstream.port)
        folder.path.mkdir()
        folder.write()
        state = f'state: {{store: valkey, url: "unix://{store.address.host}", timeout: {TIMEOUT}}}\n\nissuers:\n'
        folder.put_policy(**{"issuers:\n": state, **changes})
        # Both have known the store for a minute: what it has not seen never was.
        time = Time(Instant(world.NOW - 60))
        gates.append(await stack.enter_async_context(again(folder, upstream, time=time)))
    pair = Pair(store, upstream, gates)
    pair.move(60)
    return pair


@pytest.fixture
async def pair(tmp_path: Path, store: Server) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        made = await up(stack, tmp_path, store)
        yield made
        made.check()


async def killed(store: Server) -> None:
    store.kill()


async def paused(store: Server) -> None:
    store.pause()


async def flushed(store: Server) -> None:
    store.ask("FLUSHALL")


async def full(store: Server) -> None:
    store.ask("CONFIG", "SET", "maxmemory", 1)


async def slow(store: Server) -> None:
    store.ask("CLIENT", "PAUSE", 60_000, "WRITE")


async def cut(store: Server) -> None:
    store.ask("CLIENT", "KILL", "TYPE", "normal")


async def mend(store: Server) -> None:
    """End whatever it was."""
    if store.process is not None and store.process.poll() is not None:
        store.start()
    store.go_on()
    for command in (("CLIENT", "UNPAUSE"), ("CONFIG", "SET", "maxmemory", 0)):
        store.ask(*command)


@pytest.mark.parametrize("fault", [killed, paused, flushed, full, slow, cut])
async def test_no_request_passes_twice(pair: Pair, fault: Callable[[Server], Awaitable[None]]) -> None:
    before, under, after = ([f"{name}-{number}" for number in range(4)] for name in ("before", "under", "after"))
    await pair.storm(before)
    assert set(pair.passed) == set(before)

    await asyncio.gather(pair.storm(under), fault(pair.store))
    await pair.storm(before, times=1)
    await mend(pair.store)
    pair.store.set_clock(pair.gates[0].time.now)
    await pair.connected()
    await pair.storm(before + under, times=1)
    pair.check()

    pair.move(6)  # nothing that is dated from now on was ever seen
    await pair.storm(after)
    assert set(pair.passed) >= set(after)
    for gate in pair.gates:
        story = pair.story(gate)
        for failed in {name for kind, name in story if kind == "failed"} - {"state.claims"}:
            kinds = [kind for kind, name in story if name == failed]
            assert kinds == ["failed", "recovered"] * (len(kinds) // 2)
        if fault in {killed, paused, slow, cut}:
            assert ("failed", "state.valkey") in story
    if fault in {killed, flushed}:  # whoever asks first opens a house, and tells of it
        later = [record for gate in pair.gates for record in gate.folder.records("control.failed")
                 if record["time"] >= world.NOW * 1_000]  # fmt: skip
        assert any(record["unmapped"]["control"] == "state.claims" for record in later)


async def test_while_the_store_is_away_everything_that_needs_it_is_refused_at_once(pair: Pair) -> None:
    pair.store.pause()
    await pair.storm(["one"])
    await until(lambda: not any(gate.service.state.store.places.nodes[0].usable for gate in pair.gates))
    await pair.storm(["two"], times=10)
    assert pair.refused == {"gate.state_unavailable": 24}
    assert pair.upstream.untouched
    pair.store.go_on()


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_gate_whose_clock_is_wrong_harms_itself_only(pair: Pair, hours: int) -> None:
    right, wrong = pair.gates
    await pair.storm(["before"])
    wrong.time.move(hours * 3_600)

    for nonce in ("before", "new"):
        await asyncio.gather(*(pair.send(gate, nonce) for gate in pair.gates for _ in range(2)))
        for gate in pair.gates:  # and each gate's requests to the other one
            other = wrong if gate is right else right
            await pair.send(gate, nonce, ago=gate.time.now - other.time.now)
    pair.check()
    assert pair.passed["new"] == 1
    for number in range(5):
        await pair.send(right, f"later-{number}")
    assert pair.passed.keys() >= {f"later-{number}" for number in range(5)}


@pytest.mark.parametrize("kind", [f"limit: {LIMIT}/minute, window: fixed", f"limit: 1/hour, burst: {LIMIT}"])
async def test_limits_hold_for_both_together(tmp_path: Path, store: Server, kind: str) -> None:
    few = {RATE: f"rate_limit: [{{{kind}, per: partner}}]"}
    async with AsyncExitStack() as stack:
        pair = await up(stack, tmp_path, store, **few)
        await asyncio.gather(*(pair.storm([f"n-{number}"], times=1) for number in range(LIMIT)))
        assert pair.passed.total() + pair.refused["replay.seen"] == LIMIT
        assert pair.refused["rate.exceeded"] == LIMIT
        pair.check()


async def test_own_buckets_stay_within_twice_the_limit(tmp_path: Path, store: Server) -> None:
    """The bound that docs/state.md states: the limit in the store, and once more in all processes together."""
    local = "on_store_failure: {rate_limit: local, replay: local}, nodes: 2"
    few = {
        RATE: f"rate_limit: [{{limit: {LIMIT}/minute, per: partner, window: fixed}}]",
        f"timeout: {TIMEOUT}": f"timeout: {TIMEOUT}, {local}",
    }
    async with AsyncExitStack() as stack:
        pair = await up(stack, tmp_path, store, **few)
        await asyncio.gather(*(pair.send(pair.gates[0], f"a-{number}") for number in range(LIMIT // 2)))
        assert pair.passed.total() == LIMIT // 2
        store.kill()
        await until(lambda: not any(gate.service.state.store.places.nodes[0].usable for gate in pair.gates))
        # The first claim of an outage finds nothing known; 6 s later dates are beyond what the store may have seen.
        await pair.storm(["first"], times=1)
        for gate in pair.gates:
            gate.time.move(6)
        await asyncio.gather(*(pair.send(gate, f"b-{number}") for number in range(LIMIT) for gate in pair.gates))
        assert LIMIT // 2 < pair.passed.total() <= 2 * LIMIT
        assert max(pair.passed.values()) <= 2  # once in each process, as local means
        assert pair.refused["rate.exceeded"] >= LIMIT
        for gate in pair.gates:
            (failed,) = [record for record in gate.folder.records("control.failed")
                         if record["unmapped"]["control"].startswith("state.valkey")]  # fmt: skip
            assert "meanwhile rate_limit: local, replay: local" in failed["status_detail"]
