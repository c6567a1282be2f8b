"""What holds for keys and amounts in any store: the memory of a process, and Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.core.holds import GiveBack, KeyState, SettleKey
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, StateSettings
from gateway.state.memory import MemoryState
from gateway.state.valkey.store import ValkeyState
from tests.unit.state.money_store import ANSWER, Asking, key, reserve, spend
from tests.valkey import STILL, Server, serving
from tests.world import NOW

SETTINGS = StateSettings(
    keys=3, answer_bytes=500, counters=3, secret=Secret(b"s" * 32), after_loss=600.0,
    store=EmbeddedSettings(timeout=5.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


class Shared(Asking):
    """A gate's view of a server whose clock goes with the test's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.state = ValkeyState("psp", SETTINGS, None, lambda: self.now, at=server.address, clock=STILL)
        super().__init__(self.state)

    def move(self, seconds: float) -> None:
        super().move(seconds)
        self.server.set_clock(self.now)

    async def start(self) -> None:
        await self.state.start(20.0)
        assert self.state.connected, self.state.because


async def opened(server: Server) -> Shared:
    """Give a store that was opened long ago: it has forgotten nothing that counts."""
    server.ask("FLUSHALL")
    server.set_clock(NOW - 10_000)
    shared = Shared(server)
    shared.now = Instant(NOW - 10_000)
    await shared.start()
    shared.move(10_000)
    return shared


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Asking]:
    """A store that is open."""
    if request.param == "memory":
        state = MemoryState(SETTINGS)
        state.restore(tmp_path, NOW, None)
        yield Asking(state)
        state.close()
    else:
        shared = await opened(request.getfixturevalue("running"))
        yield shared
        await shared.state.stop()


# Keys


async def test_one_of_all_that_ask_gets_the_key(store: Asking) -> None:
    found = await asyncio.gather(*(store.remember() for _ in range(5)))
    assert [one.state for one in found].count(KeyState.NEW) == 1
    assert [one.state for one in found].count(KeyState.IN_FLIGHT) == 4


async def test_an_answer_is_given_again(store: Asking) -> None:
    await store.done()
    found = await store.remember()
    assert (found.state, found.answer) == (KeyState.ANSWERED, ANSWER)


@pytest.mark.parametrize("state", [KeyState.NOT_KEPT, KeyState.UNKNOWN])
async def test_what_became_of_a_key_is_told(store: Asking, state: KeyState) -> None:
    await store.done(state=state)
    assert (await store.remember()).state is state


async def test_another_request_is_told_apart(store: Asking) -> None:
    await store.done()
    assert (await store.remember(key(sameness=b"o" * 32))).state is KeyState.OTHER


@pytest.mark.parametrize("other", [{"partner": "blue"}, {"route": "credit"}, {"key": b"op-2"}])
async def test_keys_are_apart_by_partner_and_route(store: Asking, other: dict[str, str]) -> None:
    await store.remember()
    assert (await store.remember(key()._replace(**other))).state is KeyState.NEW  # type: ignore[arg-type]


@pytest.mark.parametrize("forget", [True, False])
async def test_a_key_under_which_nothing_was_done_may_be_used_again(store: Asking, forget: bool) -> None:
    await store.done(state=KeyState.FREE, forget=forget)
    assert (await store.remember(key(sameness=b"o" * 32))).state is KeyState.NEW


async def test_a_repeated_request_takes_a_key_only_where_it_is_known_to_be_free(store: Asking) -> None:
    repeated = key(fresh=False)
    assert (await store.remember(repeated)).state is KeyState.ABSENT
    await store.done(state=KeyState.FREE, forget=False)
    assert (await store.remember(repeated._replace(sameness=b"o" * 32))).state is KeyState.ABSENT
    assert (await store.remember(repeated)).state is KeyState.NEW


@pytest.mark.parametrize("seconds", [100, 999])
async def test_a_key_beyond_its_lease_is_not_free(store: Asking, seconds: float) -> None:
    await store.remember()
    store.move(seconds)
    alone = isinstance(store.store, MemoryState)
    assert (await store.remember()).state is (KeyState.IN_FLIGHT if alone else KeyState.UNKNOWN)


async def test_a_key_whose_request_takes_longer_than_it_is_remembered_is_not_taken_twice_in_one_process(
    store: Asking,
) -> None:
    taken = await store.remember()
    store.move(2_000)
    if isinstance(store.store, MemoryState):
        assert (await store.remember()).state is KeyState.IN_FLIGHT
    await store.settle(SettleKey(key(), taken.token, KeyState.ANSWERED, ANSWER))
    assert (await store.remember()).state in (KeyState.NEW, KeyState.ANSWERED)


async def test_a_late_answer_still_counts(store: Asking) -> None:
    taken = await store.remember()
    store.move(200)
    await store.settle(SettleKey(key(), taken.token, KeyState.ANSWERED, ANSWER))
    assert (await store.remember()).answer == ANSWER


async def test_a_key_of_unknown_fate_is_taken_again_where_the_policy_says_so(store: Asking) -> None:
    first = await store.done(state=KeyState.UNKNOWN)
    anew = key(again=True)
    second = await store.remember(anew)
    assert second.state is KeyState.AGAIN
    assert (await store.remember(anew)).state is KeyState.IN_FLIGHT
    await store.settle(SettleKey(key(), first.token, KeyState.FREE))  # the first one's word comes too late
    assert (await store.remember(anew)).state is KeyState.IN_FLIGHT
    await store.settle(SettleKey(anew, second.token, KeyState.ANSWERED, ANSWER))
    assert (await store.remember(anew)).state is KeyState.ANSWERED


async def test_a_key_is_forgotten_once_its_time_is_over(store: Asking) -> None:
    await store.done()
    store.move(1_000)
    assert (await store.remember()).state is KeyState.NEW


async def test_a_partner_has_so_many_keys_and_others_have_theirs(store: Asking) -> None:
    for number in range(3):
        await store.done(key(b"op-%d" % number), KeyState.UNKNOWN)
    with pytest.raises(Unavailable) as caught:
        await store.remember(key(b"one more"))
    assert caught.value.reason is Reason.IDEMPOTENCY_FULL
    assert (await store.remember(key(b"op-1"))).state is KeyState.UNKNOWN
    assert (await store.remember(key(partner="blue"))).state is KeyState.NEW
    store.move(1_000)
    later = {"lease": Instant(store.now + 10), "until": Instant(store.now + 10)}
    assert (await store.remember(key(b"one more", **later))).state is KeyState.NEW


async def test_answers_are_kept_while_there_is_room_and_their_keys_stay(store: Asking) -> None:
    for number in range(3):
        await store.done(key(b"op-%d" % number), answer=ANSWER._replace(body=b"x" * 100))
    states = [(await store.remember(key(b"op-%d" % number))).state for number in range(3)]
    assert sorted(state.name for state in states) == ["ANSWERED", "ANSWERED", "NOT_KEPT"]


async def test_answers_that_are_over_make_room(store: Asking) -> None:
    for _ in range(5):
        for number in range(2):
            later = {"lease": Instant(store.now + 10), "until": Instant(store.now + 20)}
            await store.done(key(b"op-%d" % number, **later), answer=ANSWER._replace(body=b"x" * 100))
            assert (await store.remember(key(b"op-%d" % number))).state is KeyState.ANSWERED
        store.move(30)


async def test_an_answer_larger_than_all_the_room_is_not_kept(store: Asking) -> None:
    await store.done(answer=ANSWER._replace(body=b"x" * 600))
    assert (await store.remember()).state is KeyState.NOT_KEPT


# Amounts


async def test_amounts_add_up_to_the_limit_and_not_beyond(store: Asking) -> None:
    found = [await store.reserve(reserve(spend(4))) for _ in range(3)]
    assert [bool(one.reached) for one in found] == [False, False, True]
    assert (await store.reserve(reserve(spend(2)))).reached == ()
    assert (await store.reserve(reserve(spend(1)))).reached == (spend().limit,)


async def test_all_limits_are_counted_or_none(store: Asking) -> None:
    both = reserve(spend(6), spend(1, name="count", most=9))
    await store.reserve(both)
    assert [limit.name for limit in (await store.reserve(both)).reached] == ["day"]
    left = reserve(spend(8, name="count", most=9))
    assert (await store.reserve(left)).reached == ()


async def test_what_was_not_spent_is_given_back(store: Asking) -> None:
    taken = await store.reserve(reserve(spend(10)))
    await store.settle(GiveBack(reserve(spend(10)), taken.token))
    assert (await store.reserve(reserve(spend(10)))).reached == ()


async def test_a_window_slides(store: Asking) -> None:
    await store.reserve(reserve(spend(10)))
    store.move(60)
    assert (await store.reserve()).reached
    store.move(2)
    assert not (await store.reserve()).reached


async def test_a_clock_that_steps_back_makes_no_room(store: Asking) -> None:
    await store.reserve(reserve(spend(10)))
    store.move(-3_600)
    assert (await store.reserve()).reached


@pytest.mark.parametrize("other", [spend(player="p-2"), spend(name="week")])
async def test_what_is_counted_by_something_else_is_apart(store: Asking, other: object) -> None:
    await store.reserve(reserve(spend(10)))
    assert (await store.reserve(reserve(other))).reached == ()  # type: ignore[arg-type]


async def test_what_is_only_marked_is_counted_all_the_same(store: Asking) -> None:
    await store.reserve(reserve(spend(10)))
    marked = await store.reserve(reserve(spend(5), even_if_reached=True))
    assert marked.reached
    assert marked.token is not None


async def test_a_partner_has_so_many_counters_and_others_have_theirs(store: Asking) -> None:
    for number in range(3):
        await store.reserve(reserve(spend(player=f"p-{number}")))
    with pytest.raises(Unavailable) as caught:
        await store.reserve(reserve(spend(player="p-4")))
    assert caught.value.reason is Reason.VELOCITY_FULL
    assert not (await store.reserve(reserve(spend(player="p-1")))).reached
    assert not (await store.reserve(reserve(spend(player="p-4"), partner="blue"))).reached
    store.move(62)
    assert not (await store.reserve(reserve(spend(player="p-4")))).reached
