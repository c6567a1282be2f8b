import asyncio
import re
from pathlib import Path

from gateway.core.chain import Claim, ClaimOnce, RateLimit, Take, TakeRate
from gateway.core.holds import GiveBack, KeyState
from gateway.core.message import Instant
from gateway.core.policy import Endpoint
from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, Login, StateSettings, ValkeySettings
from gateway.signing.window import Window
from gateway.state.store import Store
from gateway.state.valkey.houses import Bounds
from gateway.state.valkey.store import ValkeyState, bounds_of, found
from tests.engine.harness import until
from tests.unit.state.money_store import Asking, key, reserve, spend
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import STILL, Server
from tests.world import NOW

LIMIT = RateLimit("limit", 5, 60, sliding=True)


async def test_two_gates_on_one_store_behave_as_one(gate: Gate, server: Server) -> None:
    other = await Gate(server).start()
    ask = TakeRate((Take(LIMIT, ("psp", "deposit", "limit", "acme")),))
    taken = await asyncio.gather(*(one.state.take(ask, NOW) for one in (gate, other) * 5))
    assert sum(each.allowed for each in taken) == 5
    claims = [ClaimOnce("acme", b"%d" % number, NOW, Instant(NOW + 60)) for number in range(20)]
    answers = await asyncio.gather(*(one.state.claim(claim, NOW) for claim in claims for one in (gate, other)))
    assert answers.count(Claim.NEW) == answers.count(Claim.SEEN) == 20
    await other.state.stop()


async def test_it_is_a_store(gate: Gate) -> None:
    store: Store = gate.state
    gate.state.beat(NOW)
    gate.state.save(NOW)
    assert gate.state.because == ""
    store.close()
    await until(lambda: not gate.state._tasks)
    assert not gate.state.connected


async def test_a_server_that_goes_and_comes_back_is_told_of(gate: Gate, server: Server) -> None:
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: len(gate.told) >= 2)
    name = f"state.valkey {server.address}"
    assert gate.told == [(name, "the connection was closed"), (name, None)]


async def test_a_loss_of_memory_is_told_of_until_nothing_is_refused_for_it(gate: Gate, server: Server) -> None:
    server.ask("FLUSHALL")
    server.set_clock(NOW)
    times = iter((NOW, Instant(NOW + 3_600)))  # when it is opened, and when it is told of
    gate.state._now = lambda: next(times)
    assert await gate.state.claim(ClaimOnce("acme", b"x", NOW, Instant(NOW + 60)), NOW) is Claim.UNKNOWABLE
    await until(lambda: ("state.claims", None) in gate.told)
    assert gate.told[0][0] == "state.claims"


async def test_a_store_that_was_made_just_now_has_lost_nothing(server: Server) -> None:
    server.ask("FLUSHALL")
    await found(server.address, "psp")
    settings = StateSettings(1_000, store=EmbeddedSettings(timeout=5.0))
    state = ValkeyState("psp", settings, Window(60.0, 5.0), lambda: NOW, at=server.address, kept=True)
    await state.start(20.0)
    real = Instant(float(server.ask("TIME")[0]))
    assert await state.claim(ClaimOnce("acme", b"x", real, Instant(real + 60)), real) is Claim.NEW
    assert await state.claim(ClaimOnce("acme", b"x", real, Instant(real + 60)), real) is Claim.SEEN
    await state.stop()


async def test_a_wrong_password_is_no_matter_of_time(server: Server) -> None:
    login = Login("nobody", Secret(b"secret-7f3a"))
    settings = ValkeySettings((Endpoint(server.address.host, 0),), login=login, timeout=5.0)
    state = ValkeyState("psp", StateSettings(1_000, store=settings), None, lambda: NOW)
    await state.start(20.0)
    assert (state.connected, state.refused) == (False, True)
    assert state.because == f"{server.address}: it refuses with WRONGPASS"
    await state.stop()


async def test_the_rights_that_the_documentation_names_are_enough(server: Server) -> None:
    page = (Path(__file__).parents[4] / "docs" / "state.md").read_text(encoding="utf-8")
    (rules,) = re.findall(r"^user gateway (on >PASSWORD .*?)```", page, re.MULTILINE | re.DOTALL)
    server.ask("ACL", "SETUSER", "gateway", *rules.split())
    server.ask("ACL", "SETUSER", "gateway", "+get", "~test:now")  # for the clock of the tests
    login = Login("gateway", Secret(b"PASSWORD"))
    settings = ValkeySettings((Endpoint(server.address.host, 0),), login=login, timeout=5.0)
    state = ValkeyState("psp", StateSettings(1_000, store=settings), Window(60.0, 5.0), lambda: NOW, clock=STILL)
    await state.start(20.0)
    assert state.connected, state.because
    try:
        await ask_all(state, server)
    finally:
        await state.stop()
    server.ask("ACL", "DELUSER", "gateway")


async def ask_all(state: ValkeyState, server: Server) -> None:
    """Ask whatever can be asked, for as long as it takes until what is over is let go of."""
    for second in range(0, 200, 2):
        server.set_clock(NOW + second)
        dated = Instant(NOW + second + 5.5)
        claim = ClaimOnce("acme", b"%d" % second, dated, Instant(dated + 60))
        assert await state.claim(claim, NOW) is Claim.NEW
        assert (await state.take(TakeRate((Take(LIMIT, ("psp", "deposit", "limit", "acme")),)), NOW)).states
        if second > 8:  # before that, the store cannot tell that nothing was there
            await money(Asking(state), second)


async def money(store: Asking, second: int) -> None:
    """Take a key and amounts, and settle them, at a time."""
    store.now = Instant(NOW + second)
    ends = Instant(store.now + 20)
    for state in (KeyState.ANSWERED, KeyState.FREE, KeyState.UNKNOWN):
        ask = key(b"%d %b" % (second, state.name.encode()), lease=ends, until=ends)
        await store.done(ask, state, forget=True)
        assert (await store.remember(ask)).state in (state, KeyState.NEW)
    counted = await store.reserve(reserve(spend(window=30, most=1_000), spend(window=5, name="other", most=1_000)))
    assert counted.token is not None
    if second % 4:
        await store.settle(GiveBack(reserve(), counted.token))


def test_claims_are_held_by_the_widest_window() -> None:
    assert bounds_of(StateSettings(7), Window(60.0, 5.0)) == Bounds(7, 60.0, 5.0)
    assert bounds_of(StateSettings(7), None) == Bounds(7, 0.0, 0.0)
