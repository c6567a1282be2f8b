"""What a gate makes of the store's answers; two gates and a real store are in tests/fault/test_shared_lockouts.py."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.core.barred import Bar, Caller, Thing, Unreadable
from gateway.core.lockout import Lockout
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import EmbeddedSettings, FailModes, OnFailure, StateSettings
from gateway.engine import shared_lockouts as module
from gateway.engine.lockouts import Lockouts
from gateway.engine.shared_lockouts import SharedLockouts, lockouts_of
from gateway.engine.worker import Worker
from gateway.state.fallback import Fallback
from gateway.state.lockouts import Event, What, origin_of
from gateway.state.memory import MemoryState
from gateway.state.revocations import Entry, add, read_all
from gateway.state.valkey.node import Address
from gateway.state.valkey.store import ValkeyState
from gateway.state.valkey.tally import Failed, News, Since, Tally, caller_key
from tests import world
from tests.engine.harness import until
from tests.unit.engine.gates import Made, decided, denial
from tests.world import NOW, World

FORGED = World(token=world.token(key=world.private_key("P-256", "attacker")))
PARTNER = Caller(Thing.LOCKED_PARTNER, world.PARTNER)
KEY = caller_key(PARTNER)
AWAY = Unavailable(Reason.STATE_UNAVAILABLE, "no answer within 250 ms", told=True)


class Call:
    """A call whose answer is the test's."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def go(self) -> Awaitable[object]:
        if isinstance(self._answer, Unavailable) and not self._answer.told:
            raise self._answer
        future = asyncio.get_running_loop().create_future()
        if isinstance(self._answer, Exception):
            future.set_exception(self._answer)
        else:
            future.set_result(self._answer)
        return future


class Store:
    """What is asked of the store, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.failed: object = Failed(None)
        self.failing: tuple[bytes, ...] = ()
        self.events: list[Event] = []
        self.error: Exception | None = None

    def fail(self, what: What, lockout: Lockout) -> Call:
        assert what.because.endswith("token.signature")
        self.asked.append(("fail", lockout.after))
        return Call(self.failed)

    def clear(self, caller: bytes) -> Call:
        self.asked.append(("clear", caller))
        return Call(self.error)

    def lift(self, lock: str, what: What) -> Call:
        self.asked.append(("lift", (lock, what.by)))
        return Call(self.error)

    def news(self, since: Since) -> Call:
        events = [event for event in self.events if event.number > since.number]
        last = events[-1].number if events else since.number
        return Call(self.error or News(self.failing, events, Since("e", last, NOW), more=bool(events)))


class Up:
    """A gate, its journal and its store; looks are the test's."""

    def __init__(self, folder: Path, *, first: bool = True, modes: FailModes | None = None) -> None:
        state = StateSettings(on_failure=modes or FailModes(nodes=2))
        policy = replace(world.policy(lockout=Lockout(4, 60.0, 1_800.0)), state=state)
        self.folder = folder
        self.made = Made(policy=policy)
        self.gate = self.made.gate
        self.store = Store()
        self.lockouts = SharedLockouts(self.gate, folder, cast("Tally", self.store), first=first)
        self.gate.told = self.lockouts.decided
        self.nonces = 0

    async def fail(self) -> Reason:
        reason = denial(await decided(self.made, replace(FORGED, policy=self.gate.in_force.policy)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return reason

    async def good(self) -> Reason:
        self.nonces += 1
        sent = World(policy=self.gate.in_force.policy, nonce=f"n-{self.nonces}")
        decision = (await decided(self.made, sent)).decision
        assert decision is not None
        return decision.reason

    def heard(self, number: int, *, lifted: bool = False, origin: str = "elsewhere", left: float = 100.0) -> None:
        self.store.events.append(Event(number, "e-1", lifted, left, What(PARTNER, "gate", "x", origin)))

    async def written(self) -> list[tuple[str, bool]]:
        await self.lockouts.close()
        return [(entry.action, entry.elsewhere) for entry in read_all(self.folder)]


@pytest.fixture
async def up(tmp_path: Path) -> Up:
    return Up(tmp_path)


async def test_who_is_locked_out_by_the_store_is_barred_and_written_down(up: Up) -> None:
    up.store.failed = Failed("e-1", True, 1_800.0)
    assert [await up.fail() for _ in range(2)] == [Reason.TOKEN_SIGNATURE, Reason.LOCKED_OUT]
    assert await up.written() == [("revoke", False)]
    (entry,) = read_all(up.folder)
    assert (entry.lock, entry.until) == ("e-1", NOW + 1_800)
    assert entry.because == "4 failed authentications within 60 s, at last token.signature"


async def test_who_is_locked_out_already_is_barred_and_written_down_by_the_others(up: Up) -> None:
    up.store.failed = Failed("e-1", False, 9.0)
    assert [await up.fail() for _ in range(2)] == [Reason.TOKEN_SIGNATURE, Reason.LOCKED_OUT]
    assert await up.written() == []


async def test_who_fails_and_then_authenticates_begins_anew(up: Up) -> None:
    await up.fail()
    await up.good()
    await up.good()
    assert up.store.asked == [("fail", 4), ("clear", KEY)]


async def test_who_failed_at_another_gate_begins_anew_here_too(up: Up) -> None:
    up.store.failing = (KEY,)
    await up.lockouts.look()
    await up.good()
    assert up.store.asked == [("clear", KEY)]


@pytest.mark.parametrize("told", [True, False])
async def test_a_clearing_that_the_store_did_not_hear_harms_nobody(up: Up, told: bool) -> None:
    await up.fail()
    up.store.error = Unavailable(Reason.STATE_UNAVAILABLE, "away", told=told)
    await up.good()
    await asyncio.sleep(0)


async def test_callers_that_failed_are_remembered_in_bounds(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED", 2)
    up.store.failing = tuple(b"%d" % number for number in range(5))
    await up.lockouts.look()
    assert list(up.lockouts._failing) == [b"3", b"4"]


async def test_what_other_gates_locked_out_is_barred_at_once(up: Up) -> None:
    up.heard(1)
    await up.lockouts.look()
    assert await up.good() is Reason.LOCKED_OUT
    assert await up.written() == [("revoke", True)]


async def test_what_is_over_is_not(up: Up) -> None:
    up.heard(1, left=-1.0)
    await up.lockouts.look()
    assert await up.good() is Reason.ALLOWED
    assert await up.written() == []


async def test_what_the_journal_has_is_the_journals(up: Up) -> None:
    began = Entry(1, "revoke", *PARTNER, NOW, Instant(NOW + 9), "gate", "x", lock="e-1")
    up.lockouts.noticed([began, replace(began, number=2, action="lift", of=1, elsewhere=True)], fresh=True)
    up.heard(1)
    up.heard(2, lifted=True)
    await up.lockouts.look()
    assert await up.good() is Reason.ALLOWED
    assert await up.written() == []
    assert up.store.asked == []


async def test_another_worker_writes_what_the_first_one_did_not(tmp_path: Path) -> None:
    up = Up(tmp_path, first=False)
    up.heard(1, origin=origin_of(tmp_path))
    await up.lockouts.look()
    assert read_all(tmp_path) == []
    await up.lockouts.look()
    assert await up.written() == [("revoke", False)]


async def test_and_does_not_where_the_first_one_did(tmp_path: Path) -> None:
    up = Up(tmp_path, first=False)
    up.heard(1, origin=origin_of(tmp_path))
    await up.lockouts.look()
    began = Entry(1, "revoke", *PARTNER, NOW, Instant(NOW + 9), "gate", "x", lock="e-1")
    up.lockouts.noticed([began], fresh=False)
    await up.lockouts.look()
    assert await up.written() == []


async def test_what_is_lifted_here_is_told_until_the_store_has_heard_it(up: Up) -> None:
    add(up.folder, [Entry(0, "lift", *PARTNER, NOW, None, "maria", "mended", of=1, lock="e-1")])
    up.lockouts.noticed(read_all(up.folder), fresh=True)
    up.store.error = AWAY
    await up.lockouts.look()
    up.store.error = None
    await up.lockouts.look()
    await up.lockouts.look()
    assert up.store.asked == [("lift", ("e-1", "maria"))] * 2


async def test_what_was_lifted_long_ago_or_elsewhere_is_not_told(up: Up) -> None:
    lifted = Entry(1, "lift", *PARTNER, NOW, None, "maria", "mended", of=1, lock="e-1")
    up.lockouts.noticed([replace(lifted, at=Instant(NOW - 90_000)), replace(lifted, elsewhere=True)], fresh=False)
    up.lockouts.noticed([replace(lifted, lock=None)], fresh=False)
    await up.lockouts.look()
    assert up.store.asked == []


@pytest.mark.parametrize("told", [True, False])
async def test_without_the_store_credentials_are_not_looked_at(up: Up, told: bool) -> None:
    up.store.failed = Unavailable(Reason.STATE_UNAVAILABLE, "away", told=told)
    assert [await up.fail() for _ in range(2)] == [Reason.TOKEN_SIGNATURE, Reason.STATE_UNAVAILABLE]
    await up.lockouts.look()  # a store that is full can be read all the same
    assert await up.good() is Reason.STATE_UNAVAILABLE
    up.store.failed = Failed(None)
    await up.lockouts.look()
    assert await up.good() is Reason.ALLOWED
    assert up.store.asked == [("fail", 4)] * 3 + [("clear", KEY)]  # what was owed was counted


async def test_what_is_owed_may_be_the_last_failure(up: Up) -> None:
    up.store.failed = AWAY
    await up.fail()
    up.store.failed = Failed("e-1", True, 1_800.0)
    await up.lockouts.look()
    assert await up.good() is Reason.LOCKED_OUT
    assert await up.written() == [("revoke", False)]


async def test_what_is_owed_is_bounded(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OWED", 0)
    up.store.failed = AWAY
    await up.fail()
    await up.lockouts.look()
    assert await up.good() is Reason.ALLOWED


@pytest.mark.parametrize("error", [AWAY, ValueError("secret")])
async def test_nor_where_a_look_fails_whatever_it_is(up: Up, error: Exception) -> None:
    up.store.error = error
    await up.lockouts.look()
    assert await up.good() is Reason.STATE_UNAVAILABLE
    assert up.gate.barred is not None
    assert up.gate.barred.uncounted.startswith("failed authentications cannot be counted: ")
    assert "secret" not in up.gate.barred.uncounted


async def test_each_process_counts_its_share_where_the_policy_says_so(tmp_path: Path) -> None:
    up = Up(tmp_path, modes=FailModes(lockout=OnFailure.LOCAL, nodes=2))
    up.store.failed = AWAY
    assert [await up.fail() for _ in range(3)] == [Reason.TOKEN_SIGNATURE] * 2 + [Reason.LOCKED_OUT]
    (written,) = await up.written()
    assert written == ("revoke", False)
    assert read_all(tmp_path)[0].lock is None


async def test_and_begins_anew_for_who_authenticates(tmp_path: Path) -> None:
    up = Up(tmp_path, modes=FailModes(lockout=OnFailure.LOCAL, nodes=2))
    up.store.error = AWAY
    await up.lockouts.look()
    up.store.failed = AWAY
    for _ in range(3):
        assert await up.fail() is Reason.TOKEN_SIGNATURE
        assert await up.good() is Reason.ALLOWED


async def test_nothing_counts_where_the_policy_says_so(tmp_path: Path) -> None:
    up = Up(tmp_path, modes=FailModes(lockout=OnFailure.ALLOW))
    up.store.failed = up.store.error = AWAY
    await up.lockouts.look()
    assert [await up.fail() for _ in range(9)] == [Reason.TOKEN_SIGNATURE] * 9
    assert await up.written() == []


async def test_a_reload_that_takes_the_section_out_has_credentials_looked_at(up: Up) -> None:
    up.store.error = AWAY
    await up.lockouts.look()
    up.gate.in_force = replace(up.gate.in_force, policy=replace(up.gate.in_force.policy, lockout=None))
    await up.lockouts.look()
    assert up.gate.barred is None  # so that requests look up nothing
    assert await up.good() is Reason.ALLOWED
    await up.fail()
    assert up.store.asked == []


async def test_what_is_not_known_stays_unknown(up: Up) -> None:
    up.gate.barred = Unreadable("damaged")
    up.store.failed = Failed("e-1", True, 1_800.0)
    up.store.error = AWAY
    await up.lockouts.look()
    assert isinstance(up.gate.barred, Unreadable)


async def test_it_goes_on_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    up = Up(tmp_path)
    await up.lockouts.start()
    up.heard(1)
    await until(lambda: up.gate.barred is not None)
    assert up.gate.barred is not None
    assert up.gate.barred.locked == {PARTNER: Bar(0, Instant(NOW + 100))}
    assert await up.written() == [("revoke", True)]


async def test_it_counts_where_the_state_is(tmp_path: Path) -> None:
    gate = Made().gate
    assert isinstance(lockouts_of(gate, MemoryState(StateSettings()), tmp_path, None), Lockouts)
    settings = StateSettings(store=EmbeddedSettings())
    store = ValkeyState("psp", settings, None, lambda: NOW, at=Address("/nowhere"))
    made: list[Any] = [
        lockouts_of(gate, Fallback(store, settings, None), tmp_path, worker)
        for worker in (None, Worker(1, -1, ()), Worker(2, -1, ()))
    ]
    assert [one._first for one in made] == [True, True, False]
    await store.stop()
