import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager

import pytest

from gateway.core.chain import Claim, ClaimOnce, RateLimit, Take, TakeRate
from gateway.core.message import Instant
from gateway.core.policy import Endpoint
from gateway.core.reasons import Unavailable
from gateway.core.stores import Layout, Login, StateSettings, ValkeySettings
from gateway.state.valkey import places
from gateway.state.valkey.node import Access, Address, LostError
from gateway.state.valkey.places import Cluster, Sentinels, slot
from gateway.state.valkey.store import ValkeyState
from tests.engine.harness import until
from tests.unit.state.valkey.conftest import WINDOW, Gate
from tests.valkey import STILL, Server, free_port, serving
from tests.world import NOW

ACCESS = Access(Login(), 0, None, None, timeout=5.0)
MINUTE = RateLimit("minute", 3, 60, sliding=False)


def of(settings: ValkeySettings, clock: str | None = STILL) -> ValkeyState:
    return ValkeyState("psp", StateSettings(1_000, store=settings), WINDOW, lambda: NOW, clock=clock)


@asynccontextmanager
async def started(settings: ValkeySettings, clock: str | None = STILL) -> AsyncIterator[ValkeyState]:
    state = of(settings, clock)
    try:
        await state.start(20.0)
        yield state
    finally:
        await state.stop()


async def claim(state: ValkeyState, space: str, key: bytes = b"key") -> Claim:
    dated = Instant(NOW + 6)
    return await state.claim(ClaimOnce(space, key, dated, Instant(dated + 60)), NOW)


# Sentinel


@asynccontextmanager
async def sentinel(answer: Callable[[], bytes]) -> AsyncIterator[Address]:
    """Give a server that answers whatever it is asked as a Sentinel would."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"GET-MASTER-ADDR-BY-NAME" in await reader.read(1024):
            writer.write(answer())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield Address(*server.sockets[0].getsockname())
    server.close()
    await server.wait_closed()


def named(address: Address) -> bytes:
    port = str(address.port)
    return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(address.host), address.host.encode(), len(port), port.encode())


async def test_the_first_sentinel_that_knows_says_where_the_primary_is() -> None:
    here = Address("127.0.0.1", 6379)
    async with sentinel(lambda: b"*-1\r\n") as ignorant, sentinel(lambda: named(here)) as knowing:
        sentinels = Sentinels([Address("127.0.0.1", free_port()), ignorant, knowing], "main", ACCESS)
        assert await sentinels() == here
        assert sentinels._addresses[0] == knowing


@pytest.mark.parametrize("answer", [b"*-1\r\n", b"*2\r\n$1\r\nh\r\n$1\r\nx\r\n", b"+OK\r\n", b"-IDONTKNOW\r\n"])
async def test_sentinels_that_know_nothing(answer: bytes) -> None:
    async with sentinel(lambda: answer) as one:
        with pytest.raises(LostError, match="does not know the service"):
            await Sentinels([one], "main", ACCESS)()


async def test_without_sentinels_there_is_no_primary() -> None:
    with pytest.raises(LostError, match="Sentinel 127"):
        await Sentinels([Address("127.0.0.1", free_port())], "main", ACCESS)()


async def test_a_replica_that_is_promoted_is_followed_and_its_memory_not_trusted() -> None:
    quick = ("--repl-diskless-sync-delay", "0")
    with (
        serving(*quick, port=free_port()) as one,
        serving("--replicaof", "127.0.0.1", str(one.port), *quick, port=free_port()) as two,
    ):
        one.set_clock(NOW)
        await until(lambda: two.ask("GET", "test:now"))
        primary = [one.address]
        async with sentinel(lambda: named(primary[0])) as watching:
            settings = ValkeySettings((Endpoint(*watching),), Layout.SENTINEL, "main", timeout=5.0)
            async with started(settings) as state:
                told: list[tuple[str, str | None]] = []
                state.tell = lambda what, because: told.append((what, because))
                assert await claim(state, "acme") is Claim.NEW
                one.ask("WAIT", 1, 5_000)
                primary[0] = two.address
                two.ask("REPLICAOF", "NO", "ONE")
                one.ask("REPLICAOF", "127.0.0.1", two.port)
                with pytest.raises(Unavailable):  # it says READONLY
                    await claim(state, "acme", b"other")
                (node,) = state.places.nodes
                await until(lambda: node.wire)
                assert await claim(state, "acme") is Claim.SEEN
                two.set_clock(NOW + 0.5)
                assert await claim(state, "blue", b"other") is Claim.NEW
                dated = Instant(NOW + 5)
                assert await state.claim(ClaimOnce("acme", b"x", dated, Instant(NOW + 65)), NOW) is Claim.UNKNOWABLE
                assert {what for what, _ in told} == {"state.valkey primary of main", "state.claims"}


# Cluster


class Servers:
    """Servers of one Cluster, each with its part of the slots."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.all = servers
        for server in servers[1:]:
            server.ask("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        share = places.SLOTS // len(servers)
        for at, server in enumerate(servers):
            last = places.SLOTS - 1 if server is servers[-1] else (at + 1) * share - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", at * share, last)

    def settled(self) -> bool:
        return all(b"cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in self.all)


@pytest.fixture(scope="module")
def two() -> Iterator[Servers]:
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(*options, port=free_port())) for _ in range(2)]
        yield Servers(servers)


# Keys for another clock would lie on one of the servers only, so these go by the servers' own.


@pytest.fixture
async def cluster(two: Servers) -> AsyncIterator[ValkeySettings]:
    await until(two.settled)
    seeds = tuple(Endpoint("127.0.0.1", server.port) for server in two.all)
    yield ValkeySettings(seeds, Layout.CLUSTER, timeout=5.0)
    for server in two.all:
        server.ask("FLUSHALL")


def test_slots_are_those_of_the_server(server: Server, two: Servers) -> None:
    del server
    for tag in (b"psp:deposit", b"psp:0", b"x", b""):
        assert slot(tag) == two.all[0].ask("CLUSTER", "KEYSLOT", tag)


async def test_a_cluster_is_asked_where_each_slot_is_held(cluster: ValkeySettings, two: Servers) -> None:
    async with started(cluster, None) as state:
        for route in range(20):
            ask = TakeRate((Take(MINUTE, ("psp", f"route-{route}", "a")), Take(MINUTE, ("psp", f"route-{route}", "b"))))
            assert [(await state.take(ask, NOW)).allowed for _ in range(4)] == [True, True, True, False]
        assert [len(server.ask("KEYS", "gw:*:rate:*")) > 0 for server in two.all] == [True, True]
        assert sum(len(server.ask("KEYS", "gw:*:epoch")) for server in two.all) == 16


async def test_a_slot_that_has_moved_is_followed(cluster: ValkeySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(cluster, None) as state:
        held = state.places
        assert isinstance(held, Cluster)
        monkeypatch.setattr(held, "_looked", float("inf"))  # so that only what servers say of one slot is known
        held._slots.reverse()
        ask = TakeRate((Take(MINUTE, ("psp", "deposit", "a")),))
        assert (await state.take(ask, NOW)).allowed
        assert (await state.take(ask, NOW)).states[0].remaining == 1


async def test_a_single_server_that_is_part_of_a_cluster_says_what_to_write(cluster: ValkeySettings) -> None:
    for server in cluster.servers:
        async with started(ValkeySettings((server,), timeout=5.0), None) as state:
            (node,) = state.places.nodes
            for route in range(8):
                try:
                    await state.take(TakeRate((Take(MINUTE, ("psp", f"r{route}", "a")),)), NOW)
                except Unavailable:
                    assert "layout: cluster" in node.because
                    break
            else:
                raise AssertionError("all slots on one server")


async def test_without_a_cluster_nothing_is_held() -> None:
    nowhere = ValkeySettings((Endpoint("127.0.0.1", free_port()),), Layout.CLUSTER, timeout=5.0)
    state = of(nowhere)
    await state.start(0.01)
    assert not state.connected
    with pytest.raises(Unavailable, match=":"):
        await claim(state, "acme")
    await state.stop()


async def test_a_server_that_is_no_cluster_holds_no_slots(server: Server, gate: Gate) -> None:
    held = Cluster(lambda *_: gate.state.places.node(0), [server.address], ACCESS)
    await held.start()
    assert "it refuses with ERR" in held.because
    for nonsense in ([[1]], b"x", None):
        with pytest.raises(LostError):
            held._take(server.address, nonsense)  # type: ignore[arg-type]
