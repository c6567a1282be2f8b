"""Failed authentications in a real store."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from gateway.core.barred import Caller, Thing
from gateway.core.lockout import Failures, Lockout
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.lockouts import What
from gateway.state.valkey import tally as module
from gateway.state.valkey.tally import Failed, News, Since, caller_key
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server
from tests.world import NOW

RULES = Lockout(after=3, within=60.0, seconds=1_800.0)
ACME = What(Caller(Thing.LOCKED_PARTNER, "acme {x}"), "gate", "3 failed", "here")
KEY = caller_key(ACME.caller)


def at(number: int) -> What:
    return ACME._replace(caller=Caller(Thing.LOCKED_ADDRESS, f"203.0.113.{number}"))


async def fail(gate: Gate, times: int = 1, what: What = ACME, rules: Lockout = RULES) -> list[Failed]:
    return [await gate.state.tally.fail(what, rules).go() for _ in range(times)]


async def news(gate: Gate, since: Since = Since()) -> News:  # noqa: B008 - a value
    return await gate.state.tally.news(since).go()


async def test_the_last_failure_that_a_caller_may_have_locks_it_out(gate: Gate, server: Server) -> None:
    *first, locked = await fail(gate, 3)
    assert first == [Failed(None), Failed(None)]
    assert (locked.began, locked.left) == (True, 1_800.0)
    server.set_clock(NOW + 800)
    assert await fail(gate, 2) == [Failed(locked.lock, False, 1_000.0)] * 2
    server.set_clock(NOW + 1_800)
    assert await fail(gate, 2) == [Failed(None)] * 2


async def test_of_failures_that_come_at_once_one_locks_out(gate: Gate, server: Server) -> None:
    other = await Gate(server).start()
    failed = await asyncio.gather(*(each.state.tally.fail(ACME, RULES).go() for each in (gate, other) * 10))
    assert [one.lock is None for one in failed].count(True) == 2
    assert [one.began for one in failed].count(True) == 1
    assert len({one.lock for one in failed}) == 2
    await other.state.stop()


@pytest.mark.parametrize("seed", range(3))
async def test_the_store_counts_as_a_process_does(gate: Gate, server: Server, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - to be the same each time
    rules, memory, locked, now = replace(RULES, seconds=90.0), Failures(), dict[Caller, float](), NOW
    for _ in range(300):
        what, kind = at(random.randrange(3)), random.choice(("fail", "fail", "fail", "clear", "wait"))
        if kind == "fail":
            (found,) = await fail(gate, 1, what, rules)
            if now < locked.get(what.caller, 0.0):
                assert (found.lock is not None, found.began) == (True, False)
            elif memory.count(what.caller, rules, now):
                locked[what.caller] = now + rules.seconds
                assert found.began
            else:
                assert found == Failed(None)
        elif kind == "clear":
            memory.forget(what.caller)
            await gate.state.tally.clear(caller_key(what.caller)).go()
        else:
            now = Instant(now + random.randrange(1, 40))
            server.set_clock(now)
    assert locked


async def test_failures_count_within_their_time(gate: Gate, server: Server) -> None:
    await fail(gate, 2)
    server.set_clock(NOW + 60.1)
    assert await fail(gate, 2) == [Failed(None)] * 2
    assert (await fail(gate))[0].began


async def test_who_authenticates_begins_anew(gate: Gate) -> None:
    await fail(gate, 2)
    await gate.state.tally.clear(KEY).go()
    assert await fail(gate, 2) == [Failed(None)] * 2
    assert (await fail(gate, what=at(1))) == [Failed(None)]


async def test_a_policy_that_changes_the_number_keeps_what_was_counted(gate: Gate) -> None:
    await fail(gate, 2, rules=replace(RULES, after=9))
    assert (await fail(gate))[0].began


async def test_news_are_told_once(gate: Gate, server: Server) -> None:
    nothing = await news(gate)
    assert nothing == News([], [], Since("", 0, NOW), more=False)
    await fail(gate, 3)
    await fail(gate, 1, at(1))
    server.set_clock(NOW + 300)
    heard = await news(gate, nothing.since)
    (event,) = heard.events
    assert (event.number, event.lifted, event.left, event.what) == (1, False, 1_500.0, ACME)
    assert list(heard.failed) == [caller_key(at(1).caller)]
    again = await news(gate, heard.since)
    assert (list(again.events), list(again.failed), again.since.number) == ([], [], 1)


async def test_a_lock_out_is_lifted_by_its_name_once(gate: Gate) -> None:
    *_, locked = await fail(gate, 3)
    assert locked.lock is not None
    mended = ACME._replace(by="maria", because="mended")
    for _ in range(3):  # by each worker of the machine
        await gate.state.tally.lift(locked.lock, mended).go()
    began, lifted = (await news(gate)).events
    assert (lifted.lifted, lifted.lock, lifted.what) == (True, began.lock, mended)
    assert await fail(gate, 2) == [Failed(None)] * 2
    *_, second = await fail(gate, 1)
    await gate.state.tally.lift(locked.lock, mended).go()
    assert (await fail(gate))[0].lock == second.lock != locked.lock


async def test_a_lock_out_that_the_store_has_lost_is_lifted_all_the_same(gate: Gate, server: Server) -> None:
    *_, locked = await fail(gate, 3)
    before = (await news(gate)).since
    server.ask("FLUSHALL")
    server.set_clock(NOW)
    assert locked.lock is not None
    await gate.state.tally.lift(locked.lock, ACME).go()
    (event,) = (await news(gate, before)).events  # another epoch: from the beginning
    assert (event.lock, event.lifted) == (locked.lock, True)


async def test_events_that_are_over_go(gate: Gate, server: Server) -> None:
    *_, locked = await fail(gate, 3)
    assert locked.lock is not None
    await gate.state.tally.lift(locked.lock, ACME).go()
    server.set_clock(NOW + 86_401)
    await fail(gate, 3, at(1))
    (event,) = (await news(gate)).events
    assert event.what == at(1)
    assert server.ask("HLEN", "gw:{psp:lockout}:locks") == 1


async def test_memory_is_bounded(gate: Gate, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED", 2)
    monkeypatch.setattr(module, "MOST_LOCKED", 2)
    for number in range(5):
        server.set_clock(NOW + number)
        await fail(gate, 2, at(number))
    assert server.ask("ZRANGE", "gw:{psp:lockout}:failing", 0, -1) == [caller_key(at(each).caller) for each in (3, 4)]
    assert server.ask("HLEN", "gw:{psp:lockout}:failures") == 2
    for number in range(5):
        await fail(gate, 3, at(number))
    assert server.ask("HLEN", "gw:{psp:lockout}:locks") <= 2
    assert server.ask("ZCARD", "gw:{psp:lockout}:lockouts") <= 2


async def test_one_answer_holds_so_much(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NEWS", 2)
    for number in range(3):
        await fail(gate, 3, at(number))
    first = await news(gate)
    second = await news(gate, first.since)
    assert (first.more, second.more) == (True, False)
    assert [event.number for event in (*first.events, *second.events)] == [1, 2, 3]


async def test_keys_go_when_nobody_fails_any_more(gate: Gate, server: Server) -> None:
    await fail(gate, 5)
    for name in server.ask("KEYS", "gw:{psp:lockout}:*"):
        assert 86_000_000 < int(server.ask("PTTL", name)) <= 86_400_000 + 1_800_000


async def test_no_address_can_be_read_in_what_is_counted(gate: Gate, server: Server) -> None:
    await fail(gate, 1, at(7))
    for name in ("HGETALL gw:{psp:lockout}:failures", "ZRANGE gw:{psp:lockout}:failing 0 -1"):
        assert b"203.0" not in b"".join(server.ask(*name.split()))


@pytest.mark.parametrize("written", [b"x", b"1 lock e-1 abc", b"1 lock e-1 abc []", b"x lock e-1 abc {}"])
async def test_events_that_no_gate_wrote_are_no_answer(gate: Gate, server: Server, written: bytes) -> None:
    server.ask("HSET", "gw:{psp:lockout}:lockout", "epoch", "e")
    server.ask("ZADD", "gw:{psp:lockout}:lockouts", 1, written)
    with pytest.raises(Unavailable) as caught:
        await news(gate)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
