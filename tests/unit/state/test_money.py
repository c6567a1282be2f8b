import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.holds import GiveBack, KeyState, SettleKey
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.secret import Secret
from gateway.core.stores import StateSettings
from gateway.state.memory import MemoryState
from gateway.state.money import Money
from tests.unit.state.money_store import ANSWER, Asking, key, reserve, spend
from tests.world import NOW

SETTINGS = StateSettings(keys=3, answer_bytes=500, counters=3)


def opened(folder: Path, settings: StateSettings = SETTINGS, now: Instant = NOW) -> Asking:
    state = MemoryState(settings)
    state.restore(folder, now, None)
    return Asking(state)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Asking]:
    """A store that is open."""
    asking = opened(tmp_path)
    yield asking
    asking.store.close()


def files(folder: Path) -> list[Path]:
    """Give the journal's files."""
    return sorted(folder.glob("money-*.journal"))


def content(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def again(store: Asking, folder: Path, settings: StateSettings = SETTINGS) -> Asking:
    """Give the store after a kill: nothing is saved, the folder is let go of."""
    store.store.close()
    after = opened(folder, settings, store.now)
    after.now = store.now
    return after


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


async def test_a_key_beyond_its_lease_is_unknown(store: Asking) -> None:
    await store.remember()
    store.move(100)
    assert (await store.remember()).state is KeyState.UNKNOWN


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
        await store.remember(key(b"op-%d" % number))
    with pytest.raises(Unavailable) as caught:
        await store.remember(key(b"one more"))
    assert caught.value.reason is Reason.IDEMPOTENCY_FULL
    assert (await store.remember(key(b"op-1"))).state is KeyState.IN_FLIGHT
    assert (await store.remember(key(partner="blue"))).state is KeyState.NEW
    store.move(1_000)
    later = {"lease": Instant(store.now + 10), "until": Instant(store.now + 10)}
    assert (await store.remember(key(b"one more", **later))).state is KeyState.NEW


async def test_the_oldest_answers_make_room_and_their_keys_stay(store: Asking) -> None:
    long = ANSWER._replace(body=b"x" * 150)
    for number in range(3):
        await store.done(key(b"op-%d" % number), answer=long)
    states = [(await store.remember(key(b"op-%d" % number))).state for number in range(3)]
    assert states == [KeyState.NOT_KEPT, KeyState.ANSWERED, KeyState.ANSWERED]


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


# After a crash


async def test_a_key_in_flight_is_unknown_after_a_crash(store: Asking, tmp_path: Path) -> None:
    await store.remember()
    after = again(store, tmp_path)
    assert (await after.remember()).state is KeyState.UNKNOWN
    after.store.close()


async def test_answers_and_amounts_survive_a_crash(store: Asking, tmp_path: Path) -> None:
    await store.done()
    await store.done(key(b"op-2"), KeyState.FREE, forget=True)
    await store.reserve(reserve(spend(7)))
    taken = await store.reserve(reserve(spend(3)))
    await store.settle(GiveBack(reserve(spend(3)), taken.token))
    after = again(store, tmp_path)
    assert (await after.remember()).answer == ANSWER
    assert (await after.remember(key(b"op-2"))).state is KeyState.NEW
    assert (await after.reserve(reserve(spend(4)))).reached
    assert not (await after.reserve(reserve(spend(3)))).reached
    after.store.close()


async def test_what_is_over_is_not_taken_over(store: Asking, tmp_path: Path) -> None:
    await store.done()
    await store.reserve(reserve(spend(10)))
    store.move(2_000)
    after = again(store, tmp_path)
    assert (await after.remember()).state is KeyState.NEW
    assert not (await after.reserve(reserve(spend(10)))).reached
    after.store.close()


async def test_a_damaged_journal_keeps_the_gate_from_starting(store: Asking, tmp_path: Path) -> None:
    await store.done()
    await store.done(key(b"op-2"))
    store.store.close()
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"settled"', b'"sattled"', 1))
    with pytest.raises(OSError, match="was damaged"):
        opened(tmp_path)


async def test_neither_keys_nor_subjects_are_written_in_clear(store: Asking, tmp_path: Path) -> None:
    await store.done(key(b"op-secret-7f3a"))
    await store.reserve(reserve(spend(player="card-secret-7f3a")))
    assert b"secret-7f3a" not in content(tmp_path)


async def test_answers_are_sealed_where_the_policy_gives_a_secret(tmp_path: Path) -> None:
    sealing = replace(SETTINGS, secret=Secret(b"k" * 32))
    store = opened(tmp_path, sealing)
    await store.done(answer=ANSWER._replace(body=b"balance-7f3a"))
    assert b"balance-7f3a" not in content(tmp_path)
    after = again(store, tmp_path, sealing)
    found = (await after.remember()).answer
    assert found is not None
    assert found.body == b"balance-7f3a"
    other = again(after, tmp_path, replace(SETTINGS, secret=Secret(b"o" * 32)))
    assert (await other.remember()).state is KeyState.NOT_KEPT
    other.store.close()


# A journal that fails


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["remember", "reserve"])
async def test_what_cannot_be_written_is_not_taken(store: Asking, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("gateway.state.journal.os.write", full)
        with pytest.raises(Unavailable) as caught:
            await getattr(store, what)()
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    assert (await store.remember()).state is KeyState.NEW
    assert not (await store.reserve(reserve(spend(10)))).reached


@pytest.mark.parametrize("what", ["remember", "reserve"])
async def test_what_cannot_be_synced_is_given_back(store: Asking, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("gateway.state.journal.os.fdatasync", full)
        with pytest.raises(Unavailable) as caught:
            await getattr(store, what)()
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    assert (await store.remember()).state is KeyState.NEW
    assert not (await store.reserve(reserve(spend(10)))).reached


async def test_a_settlement_that_cannot_be_written_counts_until_a_crash(
    store: Asking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken = await store.remember()
    with monkeypatch.context() as patched:
        patched.setattr("gateway.state.journal.os.write", full)
        await store.settle(SettleKey(key(), taken.token, KeyState.ANSWERED, ANSWER))
    assert (await store.remember()).state is KeyState.ANSWERED
    after = again(store, tmp_path)
    assert (await after.remember()).state is KeyState.UNKNOWN
    after.store.close()


async def test_nothing_is_taken_before_the_journal_is_open_or_after_it_is_closed(tmp_path: Path) -> None:
    money = Money(SETTINGS)
    for _ in range(2):
        with pytest.raises(Unavailable):
            money.remember(key(), NOW)
        with pytest.raises(Unavailable):
            money.reserve(reserve(), NOW)
        money.restore(tmp_path, NOW)
        money.close()
    money.tidy(NOW)


async def test_files_that_are_over_are_deleted(store: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.state.journal.FULL", 1)
    for number in range(3):
        await store.done(key(b"op-%d" % number, until=Instant(store.now + 150)))
        store.move(200)
    state = store.store
    assert isinstance(state, MemoryState)
    before = len(files(tmp_path))
    state.beat(store.now)
    assert before > len(files(tmp_path)) > 0
    after = again(store, tmp_path)
    assert (await after.remember(key(b"op-9"))).state is KeyState.NEW
    after.store.close()


async def test_a_policys_bounds_are_taken_over(store: Asking) -> None:
    state = store.store
    assert isinstance(state, MemoryState)
    state.adopt(replace(SETTINGS, keys=4), None, store.now)
    for number in range(4):
        assert (await store.remember(key(b"op-%d" % number))).state is KeyState.NEW
