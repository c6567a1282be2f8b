"""What stands in for a store that cannot answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.core.chain import Claim, ClaimOnce, RateLimit, RateTaken, Take, TakeRate
from gateway.core.holds import Charge, GiveBack
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import EmbeddedSettings, FailModes, OnFailure, StateSettings
from gateway.signing.window import Window
from gateway.state.fallback import Fallback
from gateway.state.valkey import store as store_module
from gateway.state.valkey.money import Spent
from gateway.state.valkey.store import ValkeyState
from tests.engine.harness import until
from tests.unit.state.money_store import Asking, reserve
from tests.valkey import STILL, Server, serving
from tests.world import NOW

WINDOW = Window(60.0, 5.0)
LIMIT = RateLimit("limit", 10, 60, sliding=False)
ASK = TakeRate((Take(LIMIT, ("psp", "deposit", "limit", "acme")),))

LOCAL = FailModes(OnFailure.LOCAL, OnFailure.LOCAL, nodes=3)
ALLOW = FailModes(OnFailure.ALLOW, OnFailure.ALLOW, because=(("rate_limit", "risk R-7"), ("replay", "risk R-8")))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        made.set_clock(NOW - 1_000)
        yield made


@asynccontextmanager
async def gate(server: Server, modes: FailModes, *, within: float = 5.0) -> AsyncIterator[Fallback]:
    """A gate that has known its store for long."""
    settings = StateSettings(1_000, store=EmbeddedSettings(timeout=within), on_failure=modes)
    now = [NOW - 1_000]
    store = ValkeyState("psp", settings, WINDOW, lambda: Instant(now[0]), at=server.address, clock=STILL)
    made = Fallback(store, settings, WINDOW)
    await store.start(20.0)
    assert store.connected, store.because
    now[0] = NOW
    server.set_clock(NOW)
    try:
        yield made
    finally:
        await store.stop()


async def take(made: Fallback, ask: TakeRate = ASK) -> RateTaken:
    answer = made.take(ask, NOW)
    return answer if isinstance(answer, RateTaken) else await answer


async def claim(made: Fallback, key: bytes = b"key", dated: float = NOW, *, now: float = NOW) -> Claim:
    answer = made.claim(ClaimOnce("acme", key, Instant(dated), Instant(dated + 60)), Instant(now))
    return answer if isinstance(answer, Claim) else await answer


async def lose(made: Fallback, server: Server) -> None:
    """Have the server end, and the gate notice."""
    server.kill()
    (node,) = made.store.places.nodes
    await until(lambda: not node.usable)


async def regain(made: Fallback, server: Server, now: float) -> None:
    server.start()
    server.set_clock(now)
    made.store._now = lambda: Instant(now)
    await until(lambda: made.store.connected)


async def test_while_the_store_answers_it_alone_counts(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        assert [(await take(made)).allowed for _ in range(11)] == [True] * 10 + [False]
        assert [await claim(made), await claim(made)] == [Claim.NEW, Claim.SEEN]


async def test_without_a_mode_everything_is_denied(server: Server) -> None:
    async with gate(server, FailModes()) as made:
        await lose(made, server)
        for ask in (take, claim):
            with pytest.raises(Unavailable) as caught:
                await ask(made)
            assert caught.value.reason is Reason.STATE_UNAVAILABLE
        assert made.meanwhile == ""


async def test_own_buckets_have_a_share_of_each_limit(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        await lose(made, server)
        taken = [await take(made) for _ in range(4)]
        assert [one.allowed for one in taken] == [True, True, True, False]
        assert [one.states[0].limit for one in taken] == [LIMIT] * 4
        assert made.meanwhile == "rate_limit: local, replay: local"
        steady = RateLimit("steady", 30, 60, sliding=False, burst=9)
        for few in (replace(LIMIT, amount=2), replace(steady, amount=2), replace(steady, burst=2)):
            with pytest.raises(Unavailable, match="too small to be divided"):
                await take(made, TakeRate((Take(few, ("psp", "deposit", "few", "acme")),)))
        asked = TakeRate((Take(steady, ("psp", "deposit", "steady", "acme")),))
        assert [(await take(made, asked)).allowed for _ in range(4)] == [True, True, True, False]


async def left(made: Fallback) -> int:
    return (await take(made)).states[0].remaining


async def test_what_a_request_turned_out_to_cost_is_taken_where_rates_are(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        charge = Charge((ASK.takes[0]._replace(cost=2),))
        for settled in (made.settle(charge, NOW), made.settle(charge, NOW)):
            assert settled is not None
            await settled
        assert await left(made) == 5
        await lose(made, server)
        assert await left(made) == 2  # of a third of the limit
        settled = made.settle(charge, NOW)
        assert settled is not None
        await settled
        assert not (await take(made)).allowed


async def test_where_rates_are_allowed_meanwhile_a_charge_is_lost(server: Server) -> None:
    async with gate(server, ALLOW) as made:
        await lose(made, server)
        settled = made.settle(Charge(ASK.takes), NOW)
        assert settled is not None
        await settled


async def test_where_rates_are_denied_meanwhile_a_charge_waits_for_the_store(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", (0.005,) * 2_000)
    async with gate(server, FailModes()) as made:
        await lose(made, server)
        settled = made.settle(Charge((ASK.takes[0]._replace(cost=3),)), NOW)
        assert settled is not None
        waiting = asyncio.ensure_future(settled)
        await asyncio.sleep(0)
        await regain(made, server, NOW)
        await waiting
        assert await left(made) == 6


async def test_a_charge_whose_store_stays_away_fails_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", (0.0,))
    async with gate(server, FailModes()) as made:
        await lose(made, server)
        settled = made.settle(Charge(ASK.takes), NOW)
        assert settled is not None
        with pytest.raises(Unavailable):
            await settled


async def test_own_nonces_know_nothing_of_before_the_outage(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        assert await claim(made, b"before") is Claim.NEW
        await lose(made, server)
        assert await claim(made, b"before") is Claim.UNKNOWABLE
        assert await claim(made, b"ahead", NOW + 5) is Claim.UNKNOWABLE
        assert await claim(made, b"new", NOW + 6, now=NOW + 6) is Claim.NEW
        assert await claim(made, b"new", NOW + 6, now=NOW + 7) is Claim.SEEN


async def test_what_was_claimed_meanwhile_is_not_taken_again(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        await lose(made, server)
        assert await claim(made, b"refused", now=NOW) is Claim.UNKNOWABLE
        assert await claim(made, b"new", NOW + 6, now=NOW + 6) is Claim.NEW
        await regain(made, server, NOW + 10)
        assert await claim(made, b"new", NOW + 6, now=NOW + 10) is Claim.UNKNOWABLE
        assert await claim(made, b"later", NOW + 16, now=NOW + 16) is Claim.NEW
        await lose(made, server)  # a second outage begins with nothing known
        assert await claim(made, b"later", NOW + 16, now=NOW + 16) is Claim.UNKNOWABLE


async def test_a_house_is_opened_anew_though_the_connection_never_broke(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        assert await claim(made, b"before") is Claim.NEW
        server.ask("CONFIG", "SET", "maxmemory", 1)
        assert await claim(made, b"full", NOW + 5.5, now=NOW + 1) is Claim.UNKNOWABLE
        assert await claim(made, b"full", NOW + 7, now=NOW + 7) is Claim.NEW
        server.ask("CONFIG", "SET", "maxmemory", 0)
        server.set_clock(NOW + 8)
        made.store._now = lambda: Instant(NOW + 8)
        assert await claim(made, b"full", NOW + 7, now=NOW + 8) is Claim.UNKNOWABLE


async def test_what_is_full_is_no_outage(server: Server) -> None:
    async with gate(server, LOCAL) as made:
        made.store._bounds = made.store._bounds._replace(capacity=0)
        with pytest.raises(Unavailable) as caught:
            await claim(made)
        assert caught.value.reason is Reason.REPLAY_MEMORY_FULL


async def test_what_cannot_be_checked_is_allowed_where_the_policy_says_why(server: Server) -> None:
    async with gate(server, ALLOW) as made:
        await lose(made, server)
        assert all([(await take(made)).allowed for _ in range(20)])
        assert [await claim(made), await claim(made)] == [Claim.NEW, Claim.NEW]
        assert made.meanwhile == "rate_limit: allow (risk R-7), replay: allow (risk R-8)"
        await regain(made, server, NOW + 1)
        assert await claim(made) is Claim.UNKNOWABLE


async def test_what_is_under_way_when_the_store_is_lost_is_answered_here(server: Server) -> None:
    async with gate(server, LOCAL, within=0.02) as made:
        server.pause()
        answers = await asyncio.gather(*(take(made) for _ in range(5)), claim(made))
        assert [one.allowed for one in answers[:5] if isinstance(one, RateTaken)] == [True] * 3 + [False] * 2
        assert answers[5] is Claim.UNKNOWABLE
        server.go_on()


async def test_a_new_policy_brings_its_own_modes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gate(server, FailModes()) as made:
        made.adopt(StateSettings(1_000, on_failure=LOCAL), WINDOW, NOW)
        made.beat(NOW)
        await lose(made, server)
        assert (await take(made)).allowed
        made.adopt(StateSettings(1_000, on_failure=LOCAL), None, NOW)
        monkeypatch.setattr(store_module, "TRIES", ())
        money = Asking(made)
        for asking in (money.remember(), money.reserve(), money.settle(GiveBack(reserve(), Spent(b"1", 1, ())))):
            with pytest.raises(Unavailable):
                await asking
        made.close()
        await until(lambda: not made.store._tasks)
