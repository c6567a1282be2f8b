"""The gate where something fails or answers late: it denies, says so once, and says when it works again."""

import asyncio

import pytest

from gateway.audit.events import ControlFailed, ControlRecovered
from gateway.core.chain import Claim
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine.in_force import InForce
from tests import world
from tests.unit.engine.gates import Made, decided, denial, step
from tests.world import BODY, NOW, World, raising


@pytest.fixture
def made() -> Made:
    return Made()


# What answers late


@pytest.mark.parametrize("late", [Claim.NEW, OSError("gone")], ids=["answer", "error"])
async def test_a_late_answer_makes_no_allow_of_a_recorded_denial(made: Made, late: Claim | OSError) -> None:
    answer: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
    made.state.claiming = lambda _: answer
    handling = made.handling()
    handling.begin(World().head())
    resuming = asyncio.ensure_future(step(handling.resume(BODY)))
    await asyncio.sleep(0)  # it waits for the store now

    handling.deny(Denied(Reason.CLIENT_CLOSED))
    handling.authorise()
    if isinstance(late, Exception):
        answer.set_exception(late)
    else:
        answer.set_result(late)

    decision = await resuming
    assert isinstance(decision, Decision)
    assert decision.reason is Reason.CLIENT_CLOSED
    assert not handling.allowed
    assert made.log.decided == [Reason.CLIENT_CLOSED]


async def test_a_store_may_answer_after_a_round_trip(made: Made) -> None:
    async def claim() -> Claim:
        await asyncio.sleep(0)
        return Claim.NEW

    made.state.claiming = lambda _: claim()
    assert (await decided(made)).authorise().allowed


# Failures


@pytest.mark.parametrize(
    "error",
    [OSError("secret"), ValueError("secret"), KeyError("secret"), RuntimeError("secret"), StopIteration("secret")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("answers_later", [False, True], ids=["at once", "later"])
async def test_a_store_that_raises_denies(made: Made, error: Exception, answers_later: bool) -> None:
    async def later() -> Claim:
        await asyncio.sleep(0)
        raise error

    made.state.claiming = (lambda _: later()) if answers_later else raising(error)
    handling = await decided(made)
    assert denial(handling) is Reason.STATE_UNAVAILABLE
    assert handling.decision is not None
    assert "secret" not in handling.decision.detail


async def test_a_store_that_says_why_it_cannot_answer_is_believed(made: Made) -> None:
    made.state.taking = raising(Unavailable(Reason.STATE_UNAVAILABLE, "too many keys are counted"))
    handling = await decided(made)
    assert handling.decision is not None
    assert (denial(handling), handling.decision.detail) == (Reason.STATE_UNAVAILABLE, "too many keys are counted")


@pytest.mark.parametrize("answer", [None, True, "new", Claim.SEEN, Claim.UNKNOWABLE])
async def test_a_store_that_answers_anything_but_new_denies(made: Made, answer: object) -> None:
    made.state.claiming = lambda _: answer
    denial(await decided(made))


async def test_an_issuer_without_keys_denies(made: Made) -> None:
    made.gate.in_force = InForce(made.policy, {})
    assert denial(await decided(made)) is Reason.TOKEN_KEYS_UNAVAILABLE
    (failed,) = made.log.of(ControlFailed)
    assert (failed.control, failed.detail) == ("token.keys:operator", "no key set of operator")


FULL = Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left")


async def test_an_allow_that_cannot_be_recorded_is_a_denial(made: Made) -> None:
    handling = await decided(made)
    made.log.error = FULL

    decision = handling.authorise()

    assert (decision.allowed, decision.reason) == (False, Reason.AUDIT_UNAVAILABLE)
    assert decision.detail == "no space left"
    assert not handling.allowed
    assert made.gate.unfinished == 0
    assert handling.answer().status == 503


async def test_a_denial_that_cannot_be_recorded_stays_what_it_is(made: Made) -> None:
    handling = await decided(made, World(fields={"authorization": None}))
    made.log.error = FULL
    assert handling.authorise().reason is Reason.TOKEN_MISSING


async def test_an_event_that_nothing_waits_for_is_told_to_the_operator_where_the_log_fails(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    event = ControlFailed(NOW, made.gate.in_force.facts, "state", "")
    assert made.gate.record(event)
    made.log.error = FULL
    assert not made.gate.record(event)
    assert caplog.messages == ["audit: gate.audit_unavailable: no space left"]


async def test_a_fault_of_ours_denies_what_is_not_recorded(made: Made) -> None:
    handling = made.handling()
    handling.begin(World().head())
    handling.crash(Denied(Reason.CONTROL_FAILED, "KeyError at somewhere"))
    made.turn()
    assert (made.log.decided, made.log.finished) == ([Reason.CONTROL_FAILED], [])


async def test_a_fault_of_ours_ends_what_is_allowed(made: Made) -> None:
    handling = await made.allowed()
    handling.crash(Denied(Reason.CONTROL_FAILED, "KeyError at somewhere"))
    made.turn()
    assert (made.log.decided, made.log.finished) == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert made.gate.unfinished == 0


# Health


class Breaks:
    """A control that fails as long as it is told to."""

    name = "breaks"

    def __init__(self) -> None:
        self.error: Exception | None = ZeroDivisionError()

    def check(self, _: Exchange) -> tuple[()]:
        if self.error is not None:
            raise self.error
        return ()


async def test_a_control_that_fails_is_recorded_once_and_so_is_its_recovery() -> None:
    control = Breaks()
    made = Made(policy=world.policy(world.route(chain=(control,), partners=None)))
    for _ in range(3):
        assert denial(await decided(made)) is Reason.CONTROL_FAILED
    made.time.move(5.0)
    control.error = None
    for _ in range(2):
        assert (await decided(made)).authorise().allowed

    (failed,), (recovered,) = made.log.of(ControlFailed), made.log.of(ControlRecovered)
    assert (failed.control, recovered.control) == ("breaks", "breaks")
    assert (recovered.failed_at, recovered.at) == (NOW, NOW + 5.0)


async def test_a_control_that_denies_works(made: Made) -> None:
    made.gate.health.failed("token", "", NOW, made.gate.in_force.facts)
    await decided(made, World(fields={"authorization": None}))
    assert made.gate.health.failing == {}


async def test_a_store_works_again_once_it_answers(made: Made) -> None:
    made.state.claiming = raising(OSError())
    await decided(made)
    assert list(made.gate.health.failing) == ["state"]

    await decided(made, World(fields={"authorization": None}))  # denied before the store is asked
    assert list(made.gate.health.failing) == ["state"]
    made.state.claiming = None
    await decided(made)
    assert made.gate.health.failing == {}


async def test_a_store_that_answers_once_and_then_fails_does_not_work(made: Made) -> None:
    made.state.claiming = raising(OSError())
    for _ in range(2):
        await decided(made)  # the rate is taken each time, the claim fails
    assert list(made.gate.health.failing) == ["state"]
    assert len(made.log.of(ControlFailed)) == 1
    assert made.log.of(ControlRecovered) == []


async def test_a_full_memory_is_no_failure_of_the_store(made: Made) -> None:
    made.state.claiming = raising(Unavailable(Reason.REPLAY_MEMORY_FULL))
    assert denial(await decided(made)) is Reason.REPLAY_MEMORY_FULL
    assert made.gate.health.failing == {}


async def test_a_fault_without_a_head_is_the_engines(made: Made) -> None:
    made.handling().refuse(Denied(Reason.CONTROL_FAILED, "KeyError at somewhere"), "")
    assert list(made.gate.health.failing) == ["engine"]
    await decided(made)
    assert made.gate.health.failing == {}


async def test_a_fault_outside_the_chain_is_the_policys(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(made.policy), "route_for", broken)
    await decided(made)
    assert list(made.gate.health.failing) == ["policy"]
