"""What a request holds is settled once, however it ends."""

import asyncio
from typing import Any

import pytest

from gateway.audit.events import ControlFailed
from gateway.core.holds import (
    Ended,
    GiveBack,
    HeldAmounts,
    HeldKey,
    KeyState,
    Remembered,
    Reserved,
    SettleKey,
    StoredAnswer,
)
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine.gate import Handling
from gateway.engine.settling import NOT_SENT, Capture, settle
from tests import world
from tests.engine.money import KEY, chain, idempotency, velocity
from tests.unit.engine.gates import Made, decided, step
from tests.unit.state.money_store import key, reserve
from tests.world import World

FIELDS = [(b"Content-Type", b"text/plain"), (b"Connection", b"close"), (b"X-Other", b"1")]


def holding(limit: int = 4) -> HeldKey:
    fields = frozenset({"content-type", "connection"})
    return HeldKey(key(), "token", frozenset({200}), frozenset({429}), limit, fields)


def capture(*parts: bytes, limit: int = 4, status: int = 200, whole: bool = True) -> Ended:
    made = Capture([holding(limit)])
    made.head(status, FIELDS)
    for part in parts:
        made.body(part)
    if whole:
        made.end()
    return made.ended(sent=True)


# What is kept of an answer


def test_an_answer_within_its_limit_is_kept_with_the_fields_that_were_chosen() -> None:
    assert capture(b"a", b"bcd").answer == StoredAnswer(200, (("content-type", "text/plain"),), b"abcd")


def test_an_answer_beyond_its_limit_is_not_kept() -> None:
    assert capture(b"abcd", b"e", b"f") == Ended(True, 200, None, (("content-type", "text/plain"),))


def test_an_answer_that_broke_off_is_not_kept() -> None:
    assert capture(b"ab", whole=False) == Ended(True, 200, None, (("content-type", "text/plain"),))


def test_an_empty_answer_is_kept() -> None:
    assert capture(limit=0).answer == StoredAnswer(200, (("content-type", "text/plain"),), b"")


def test_nothing_is_kept_where_the_status_is_all_that_counts() -> None:
    made = Capture([HeldAmounts(reserve(), "token", frozenset())])
    made.head(201, FIELDS)
    made.body(b"abc")
    made.end()
    assert made.ended(sent=True) == Ended(True, 201, None)


def test_an_upstream_that_said_nothing() -> None:
    assert Capture([holding()]).ended(sent=True) == Ended(True, None, None)


# When it is settled


@pytest.fixture
def made() -> Made:
    one = Made(policy=world.policy(world.route(chain=chain(idempotency(), velocity()))))
    one.state.remembering = lambda _: Remembered(KeyState.NEW, None, "key")
    one.state.reserving = lambda _: Reserved((), "amounts")
    return one


def sent() -> World:
    return World(fields={KEY: "op-1"})


def states(made: Made) -> list[object]:
    return [one.state if isinstance(one, SettleKey) else type(one) for one in made.state.settled]


async def turn() -> None:
    await asyncio.sleep(0)


async def allowed(made: Made) -> Handling:
    handling = await decided(made, sent())
    assert handling.authorise().allowed
    assert handling.capture is not None
    return handling


async def test_an_answer_settles_the_key_and_keeps_the_amounts(made: Made) -> None:
    handling = await allowed(made)
    assert handling.capture is not None
    handling.sends_upstream()
    handling.capture.head(200, FIELDS)
    handling.capture.end()
    handling.finish(Reason.ALLOWED, "", 200)
    handling.finish(Reason.ALLOWED, "", 200)
    assert states(made) == [KeyState.ANSWERED]


async def test_a_refusal_gives_the_amounts_back(made: Made) -> None:
    handling = await allowed(made)
    assert handling.capture is not None
    handling.sends_upstream()
    handling.capture.head(402, FIELDS)
    handling.finish(Reason.ALLOWED, "", 402)
    assert states(made) == [KeyState.NOT_KEPT, GiveBack]


@pytest.mark.parametrize("reason", [Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_BROKEN, Reason.CLIENT_CLOSED])
async def test_a_request_that_was_sent_and_not_answered_is_of_unknown_fate(made: Made, reason: Reason) -> None:
    handling = await allowed(made)
    handling.sends_upstream()
    handling.finish(reason, "", None)
    assert states(made) == [KeyState.UNKNOWN]


async def test_a_request_that_was_never_sent_leaves_nothing_behind(made: Made) -> None:
    (await allowed(made)).finish(Reason.UPSTREAM_UNREACHABLE, "", 502)
    assert states(made) == [KeyState.FREE, GiveBack]


async def test_a_denial_by_a_later_control_leaves_nothing_behind(made: Made) -> None:
    made.state.reserving = lambda ask: Reserved((ask.spends[0].limit,))
    handling = await decided(made, sent())
    assert handling.authorise().reason is Reason.VELOCITY_EXCEEDED
    await turn()
    assert states(made) == [KeyState.FREE]


async def test_an_allow_that_is_taken_back_leaves_nothing_behind(made: Made) -> None:
    handling = await decided(made, sent())
    handling.deny(Denied(Reason.CLIENT_CLOSED))
    handling.authorise()
    await turn()
    assert states(made) == [KeyState.FREE, GiveBack]


async def test_an_allow_that_cannot_be_recorded_leaves_nothing_behind(made: Made) -> None:
    handling = await decided(made, sent())
    made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE)
    assert handling.authorise().reason is Reason.AUDIT_UNAVAILABLE
    await turn()
    assert states(made) == [KeyState.FREE, GiveBack]


@pytest.mark.parametrize("what", ["remembering", "reserving"])
async def test_a_hold_that_comes_when_nobody_waits_any_more_is_given_back(made: Made, what: str) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    setattr(made.state, what, lambda _: answer)
    handling = made.handling()
    await step(handling.begin(sent().head()))
    resuming = asyncio.ensure_future(step(handling.resume(world.BODY)))
    await turn()
    handling.deny(Denied(Reason.CLIENT_CLOSED))
    handling.authorise()
    late: object = Remembered(KeyState.NEW, None, "late") if what == "remembering" else Reserved((), "late")
    answer.set_result(late)
    await resuming
    await turn()
    assert KeyState.FREE in states(made)
    assert any(one.token == "late" for one in made.state.settled)


async def test_a_route_without_body_rules_captures_nothing() -> None:
    handling = await Made().allowed()
    assert handling.capture is None


# A store that fails


async def test_a_settlement_that_fails_is_recorded(made: Made) -> None:
    made.state.settling = world.raising(OSError("secret-7f3a"))  # type: ignore[assignment]
    (await allowed(made)).finish(Reason.UPSTREAM_UNREACHABLE, "", 502)
    (failed,) = made.log.of(ControlFailed)
    assert failed.control == "state"
    assert "settling: OSError" in failed.detail
    assert "secret-7f3a" not in failed.detail


async def test_a_settlement_may_take_a_round_trip(made: Made) -> None:
    async def late() -> None:
        await asyncio.sleep(0)
        raise Unavailable(Reason.STATE_UNAVAILABLE, "no connection")

    made.state.settling = lambda _: late()
    (await allowed(made)).finish(Reason.UPSTREAM_UNREACHABLE, "", 502)
    assert len(made.gate.settling) == 2
    await asyncio.wait(made.gate.settling)
    await turn()
    assert made.gate.settling == set()
    assert [failed.detail for failed in made.log.of(ControlFailed)] == ["settling: no connection"]


async def test_settling_gives_the_store_what_the_holds_say(made: Made) -> None:
    exchange = sent().exchange()
    amounts = HeldAmounts(reserve(), "token", frozenset({402}))
    exchange.holds = (holding(), amounts)
    settle(made.gate, exchange, NOT_SENT)
    settle(made.gate, exchange, Ended(True, 200))
    assert states(made) == [KeyState.FREE, GiveBack, KeyState.NOT_KEPT]


async def test_an_answer_that_cannot_be_recorded_is_not_given_again(made: Made) -> None:
    stored = StoredAnswer(200, (), b"balance")
    made.state.remembering = lambda _: Remembered(KeyState.ANSWERED, stored)
    given = await decided(made, sent())
    given.authorise()
    assert given.answer().body == b"balance"

    unrecorded = await decided(made, World(nonce="another", fields={KEY: "op-1"}))
    made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE)
    unrecorded.authorise()
    assert unrecorded.answer().status == 503
    assert b"balance" not in unrecorded.answer().body
