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


async def test_the_oldest_answers_make_room_and_their_keys_stay(store: Asking) -> None:
    long = ANSWER._replace(body=b"x" * 150)
    for number in range(3):
        await store.done(key(b"op-%d" % number), answer=long)
    states = [(await store.remember(key(b"op-%d" % number))).state for number in range(3)]
    assert states == [KeyState.NOT_KEPT, KeyState.ANSWERED, KeyState.ANSWERED]


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
