"""Keys and amounts on Valkey: what is lost with its memory, and with its answers. The rest is as in any store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.holds import GiveBack, KeyState, SettleKey
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.secret import Secret
from gateway.state.valkey import store as under_test
from tests.unit.state.money_store import ANSWER, key, reserve, spend
from tests.unit.state.test_money_stores import SETTINGS, Shared, opened
from tests.valkey import Server
from tests.world import NOW


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Shared]:
    shared = await opened(server)
    yield shared
    await shared.state.stop()


async def other(server: Server, now: float) -> Shared:
    """Give a second gate on the same store."""
    shared = Shared(server)
    shared.now = Instant(now)
    await shared.start()
    return shared


async def test_two_gates_see_one_memory(store: Shared, server: Server) -> None:
    second = await other(server, store.now)
    assert (await store.remember()).state is KeyState.NEW
    assert (await second.remember()).state is KeyState.IN_FLIGHT
    await store.reserve(reserve(spend(10)))
    assert (await second.reserve()).reached
    await second.state.stop()


async def test_many_at_once_from_two_gates(store: Shared, server: Server) -> None:
    second = await other(server, store.now)
    asked = [(store, second)[number % 2].remember(key(b"%d" % (number % 3))) for number in range(30)]
    found = [one.state for one in await asyncio.gather(*asked)]
    assert found.count(KeyState.NEW) == 3
    counted = await asyncio.gather(*((store, second)[number % 2].reserve(reserve(spend(3))) for number in range(10)))
    assert sum(not one.reached for one in counted) == 3
    await second.state.stop()


async def test_a_key_that_is_not_known_after_a_flush_is_of_unknown_fate(store: Shared, server: Server) -> None:
    await store.done()
    server.ask("FLUSHALL")
    server.set_clock(store.now)
    assert (await store.remember()).state is KeyState.UNKNOWN
    assert (await store.remember(key(b"never seen"))).state is KeyState.UNKNOWN
    assert (await store.remember(key(b"its policy says why", again=True))).state is KeyState.AGAIN
    store.move(SETTINGS.after_loss + 2)
    later = key(b"new", lease=Instant(store.now + 10), until=Instant(store.now + 20))
    assert (await store.remember(later)).state is KeyState.NEW


async def test_a_free_key_is_of_unknown_fate_after_a_loss(store: Shared, server: Server) -> None:
    await store.done(state=KeyState.FREE, forget=False)
    for name in server.ask("KEYS", "*epoch*"):
        server.ask("HSET", name, "lost", int(store.now))
    assert (await store.remember()).state is KeyState.UNKNOWN


async def test_nothing_is_counted_while_what_was_counted_is_not_known(store: Shared, server: Server) -> None:
    await store.reserve(reserve(spend(10)))
    server.ask("FLUSHALL")
    server.set_clock(store.now)
    with pytest.raises(Unavailable, match="what was counted is not known") as caught:
        await store.reserve()
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    store.move(62)  # the limit's window, which is shorter than `after_loss`
    assert not (await store.reserve()).reached


async def test_neither_keys_nor_subjects_nor_answers_are_stored_in_clear(store: Shared, server: Server) -> None:
    await store.done(key(b"op-secret-7f3a"), answer=ANSWER._replace(body=b"balance-secret-7f3a"))
    await store.reserve(reserve(spend(player="card-secret-7f3a")))
    for name in server.ask("KEYS", "*"):
        assert b"secret-7f3a" not in name
        dumped = server.ask("DUMP", name)
        assert b"secret-7f3a" not in dumped


async def test_everything_is_let_go_of_in_time(store: Shared, server: Server) -> None:
    await store.done()
    await store.reserve()
    kept = {name: server.ask("PTTL", name) for name in server.ask("KEYS", "gw:*") if b"epoch" not in name}
    assert len(kept) == 5
    assert all(0 < rest < 3 * 86_400_000 for rest in kept.values())


async def test_an_answer_that_takes_too_long_leaves_no_key_in_flight(store: Shared, server: Server) -> None:
    await store.remember(key(b"warm"))
    server.pause()
    asking = asyncio.ensure_future(store.remember())
    await asyncio.sleep(0)
    for node in store.state.places.nodes:
        assert node.wire is not None
        node.wire.close("no answer within 250 ms")
    with pytest.raises(Unavailable):
        await asking
    server.go_on()
    await asyncio.wait(store.state._back)
    assert (await store.remember()).state is KeyState.NEW


async def test_a_settlement_is_tried_again_until_the_store_answers(store: Shared) -> None:
    taken, counted = await store.remember(), await store.reserve(reserve(spend(10)))
    for node in store.state.places.nodes:
        assert node.wire is not None
        node.wire.close("the connection broke")
    await store.settle(SettleKey(key(), taken.token, KeyState.ANSWERED, ANSWER))
    await store.settle(GiveBack(reserve(spend(10)), counted.token))
    assert (await store.remember()).answer == ANSWER
    assert not (await store.reserve(reserve(spend(10)))).reached


async def test_an_amount_is_given_back_once_however_often_that_is_asked(store: Shared) -> None:
    """As where the first answer was lost on its way, and the gate asks again."""
    first = await store.reserve(reserve(spend(4)))
    await store.reserve(reserve(spend(6)))
    for _ in range(3):
        await store.settle(GiveBack(reserve(spend(4)), first.token))
    assert not (await store.reserve(reserve(spend(4)))).reached
    assert (await store.reserve(reserve(spend(1)))).reached


async def test_what_was_counted_before_a_loss_is_not_taken_from_what_was_counted_since(
    store: Shared, server: Server
) -> None:
    before = await store.reserve(reserve(spend(9, window=31 * 86_400)))
    server.ask("FLUSHALL")
    server.set_clock(store.now)
    with pytest.raises(Unavailable):
        await store.reserve(reserve(spend(1, window=31 * 86_400)))  # what was counted is not known
    store.move(SETTINGS.after_loss + 20)
    server.set_clock(store.now)
    assert not (await store.reserve(reserve(spend(10, window=31 * 86_400)))).reached
    await store.settle(GiveBack(reserve(spend(9, window=31 * 86_400)), before.token))
    assert (await store.reserve(reserve(spend(1, window=31 * 86_400)))).reached


async def test_a_settlement_that_finds_no_store_is_told(
    store: Shared, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "TRIES", (0.001,))
    taken = await store.remember()
    server.kill()
    for node in store.state.places.nodes:
        if node.wire is not None:
            node.wire.close("killed")
    with pytest.raises(Unavailable):
        await store.settle(SettleKey(key(), taken.token, KeyState.UNKNOWN))
    server.start()


async def test_a_policys_bounds_are_taken_over(store: Shared) -> None:
    for number in range(3):
        await store.remember(key(b"%d" % number))
    with pytest.raises(Unavailable):
        await store.remember(key(b"one more"))
    store.state.adopt(replace(SETTINGS, keys=9), None, NOW)
    assert (await store.remember(key(b"one more"))).state is KeyState.NEW


async def test_answers_of_another_secret_are_not_given(store: Shared) -> None:
    await store.done()
    for name in store.server.ask("KEYS", "*:key:*"):
        store.server.ask("HSET", name, "a", b"\x01 not sealed by this secret")
    assert (await store.remember()).state is KeyState.NOT_KEPT


async def test_what_was_kept_under_another_secret_counts_as_lost(store: Shared) -> None:
    await store.done()
    await store.reserve(reserve(spend(10)))
    store.state.adopt(replace(SETTINGS, secret=Secret(b"o" * 32)), None, NOW)
    assert (await store.remember()).state is KeyState.UNKNOWN
    with pytest.raises(Unavailable, match="what was counted is not known"):
        await store.reserve()
    store.move(SETTINGS.after_loss + 2)
    ends = Instant(store.now + 100)
    assert (await store.remember(key(b"new", lease=ends, until=ends))).state is KeyState.NEW
    assert not (await store.reserve()).reached
