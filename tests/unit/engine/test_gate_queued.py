"""A decision that waits for its record with those of other requests: what may happen to its request meanwhile."""

import asyncio

import pytest

from gateway.audit.events import ControlFailed, RequestDecided, RequestFinished
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine.gate import Handling
from tests.unit.engine.gates import Made, decided
from tests.world import NOW, World

FULL = Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left")
LEFT = Denied(Reason.CLIENT_CLOSED, "before the decision")
FAULT = Denied(Reason.CONTROL_FAILED, "KeyError at somewhere")


@pytest.fixture
def made() -> Made:
    return Made()


class Queued:
    """A request whose decision is queued, and how often it went on."""

    def __init__(self, handling: Handling) -> None:
        self.handling = handling
        self.went_on = 0
        handling.authorise_soon(self._then)

    def _then(self) -> None:
        assert self.handling.recorded
        self.went_on += 1


async def queued(made: Made, sent: World | None = None) -> Queued:
    """Give a request that was decided, an allow unless another is sent, and whose record is queued."""
    return Queued(await decided(made, sent))


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_an_allow_counts_once_its_turn_is_written(made: Made) -> None:
    one = await queued(made)
    handling = one.handling
    assert handling.decision is not None
    assert handling.decision.allowed
    assert (handling.allowed, handling.recorded, made.gate.unfinished, made.log.events) == (False, False, 0, [])
    with pytest.raises(RuntimeError, match="before its allow is recorded"):
        handling.upstream_fields()

    await turns()

    assert (handling.allowed, handling.recorded, made.gate.unfinished, one.went_on) == (True, True, 1, 1)
    assert handling.upstream_fields()
    assert made.log.decided == [Reason.ALLOWED]


async def test_requests_of_one_turn_are_written_together(made: Made) -> None:
    allowed = [await queued(made, World(nonce=f"n-{number}")) for number in range(3)]
    denied = await queued(made, World(fields={"authorization": None}))
    await turns()
    assert made.log.writes == [4]
    assert [one.went_on for one in (*allowed, denied)] == [1, 1, 1, 1]
    assert made.log.decided == [*[Reason.ALLOWED] * 3, Reason.TOKEN_MISSING]
    assert made.gate.unfinished == 3


async def test_the_record_tells_when_it_was_decided(made: Made) -> None:
    handling = await decided(made)
    made.time.move(0.5)
    handling.authorise_soon(lambda: None)
    made.time.move(7.0)
    await turns()
    (event,) = made.log.of(RequestDecided)
    assert (event.at, event.gate_seconds, event.status) == (NOW + 0.5, 0.5, None)


async def test_an_allow_that_cannot_be_recorded_goes_on_as_a_denial(made: Made) -> None:
    one = await queued(made)
    made.log.error = FULL
    await turns()
    decision = one.handling.decision
    assert decision is not None
    assert (decision.reason, decision.detail) == (Reason.AUDIT_UNAVAILABLE, "no space left")
    assert (one.handling.allowed, one.handling.recorded, one.went_on, made.gate.unfinished) == (False, True, 1, 0)
    assert one.handling.answer().status == 503
    with pytest.raises(RuntimeError, match="before its allow is recorded"):
        one.handling.upstream_fields()
    one.handling.finish(Reason.ALLOWED, "", 200)
    made.log.error = None
    await turns()
    assert made.log.events == []


async def test_a_denial_that_cannot_be_recorded_goes_on_as_what_it_is(made: Made) -> None:
    one = await queued(made, World(fields={"authorization": None}))
    made.log.error = FULL
    await turns()
    assert one.handling.decision is not None
    assert (one.handling.decision.reason, one.went_on) == (Reason.TOKEN_MISSING, 1)


async def test_what_is_queued_stands(made: Made) -> None:
    handling = (await queued(made)).handling
    decision = handling.decision
    with pytest.raises(RuntimeError, match="recorded already"):
        handling.deny(LEFT)
    with pytest.raises(RuntimeError, match="recorded once"):
        handling.authorise()
    with pytest.raises(RuntimeError, match="recorded once"):
        handling.authorise_soon(lambda: None)
    assert handling.decision is decision
    await turns()
    assert made.log.decided == [Reason.ALLOWED]


async def test_what_is_not_decided_cannot_be_queued(made: Made) -> None:
    with pytest.raises(RuntimeError, match="decided once"):
        made.handling().authorise_soon(lambda: None)
    await turns()
    assert made.log.writes == []


async def test_what_is_settled_is_in_the_log_at_once_and_goes_on_later(made: Made) -> None:
    one, other = await queued(made), await queued(made, World(nonce="other"))
    one.handling.settle()
    assert (one.handling.allowed, other.handling.allowed, made.log.writes) == (True, True, [2])
    assert (one.went_on, other.went_on) == (0, 0)
    one.handling.settle()
    await turns()
    assert (one.went_on, other.went_on, made.log.writes) == (1, 1, [2])


async def test_nothing_queued_is_nothing_to_settle(made: Made) -> None:
    handling = await decided(made)
    handling.settle()
    assert (handling.recorded, made.log.writes) == (False, [])


async def test_a_request_that_ends_while_queued_has_its_decision_and_one_outcome(made: Made) -> None:
    one = await queued(made)
    one.handling.finish(Reason.CLIENT_CLOSED, "gone", None)
    one.handling.finish(Reason.ALLOWED, "", 200)
    await turns()
    assert [type(event) for event in made.log.events] == [RequestDecided, RequestFinished]
    assert (made.log.decided, made.log.finished) == ([Reason.ALLOWED], [Reason.CLIENT_CLOSED])
    assert made.gate.unfinished == 0


async def test_a_request_that_ends_while_queued_and_is_not_recorded_has_no_outcome(made: Made) -> None:
    one = await queued(made)
    made.log.error = FULL
    one.handling.finish(Reason.CLIENT_CLOSED, "gone", None)
    made.log.error = None
    await turns()
    assert (made.log.events, made.gate.unfinished, one.handling.allowed) == ([], 0, False)


async def test_a_fault_of_ours_while_queued_is_the_outcome(made: Made) -> None:
    one = await queued(made)
    one.handling.crash(FAULT)
    await turns()
    assert (made.log.decided, made.log.finished) == ([Reason.ALLOWED], [Reason.CONTROL_FAILED])
    assert made.gate.unfinished == 0


async def test_a_fault_of_ours_while_a_denial_is_queued_changes_nothing(made: Made) -> None:
    one = await queued(made, World(fields={"authorization": None}))
    one.handling.crash(FAULT)
    await turns()
    assert (made.log.decided, made.log.finished) == ([Reason.TOKEN_MISSING], [])


async def test_an_event_at_once_stands_behind_decisions_that_are_queued(made: Made) -> None:
    one = await queued(made)
    assert made.gate.record(ControlFailed(NOW, made.gate.in_force.facts, "state", ""))
    assert [type(event) for event in made.log.events] == [RequestDecided, ControlFailed]
    assert (one.handling.allowed, one.went_on) == (True, 0)
    await turns()
    assert one.went_on == 1


async def test_a_decision_at_once_has_those_that_are_queued_recorded_before_it(made: Made) -> None:
    one = await queued(made)
    handling = await decided(made, World(fields={"authorization": None}))
    handling.authorise()
    assert made.log.decided == [Reason.ALLOWED, Reason.TOKEN_MISSING]
    assert one.handling.allowed
    handling.go_on()  # nothing was to go on
    await turns()
    assert one.went_on == 1


async def test_outcomes_are_written_with_the_decisions_of_their_turn(made: Made) -> None:
    first = await made.allowed()
    made.log.writes.clear()
    first.finish(Reason.ALLOWED, "", 200)
    await queued(made)
    await turns()
    assert made.log.writes == [2]
    assert [type(event) for event in made.log.events[1:]] == [RequestFinished, RequestDecided]
