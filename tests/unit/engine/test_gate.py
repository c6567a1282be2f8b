import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import orjson
import pytest

from gateway.audit.events import ConnectionRefused, RequestDecided, RequestFinished
from gateway.core.chain import Ask, ReadBody
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.engine.clock import Clock
from gateway.engine.in_force import InForce
from tests import world
from tests.unit.engine.gates import Made, decided
from tests.world import BODY, NOW, World


@pytest.fixture
def made() -> Made:
    return Made()


# The way of an allowed request


async def test_a_request_waits_for_its_body_within_the_routes_limit(made: Made) -> None:
    handling = made.handling()
    assert handling.begin(World().head()) == ReadBody(65_536)
    assert (handling.waits_for_body, handling.body_limit, handling.decision) == (True, 65_536, None)


async def test_an_allow_counts_once_it_is_in_the_log(made: Made) -> None:
    handling = await decided(made)
    assert handling.decision is not None
    assert (handling.decision.allowed, handling.allowed, handling.waits_for_body) == (True, False, False)

    assert handling.authorise() is handling.decision
    assert handling.allowed
    assert made.log.decided == [Reason.ALLOWED]


async def test_nothing_goes_upstream_before_its_allow_is_in_the_log(made: Made) -> None:
    handling = await decided(made)
    with pytest.raises(RuntimeError, match="before its allow is recorded"):
        handling.upstream_fields()
    handling.authorise()
    assert ("x-gateway-request-id", handling.request_id) in handling.upstream_fields()


async def test_nothing_goes_upstream_after_a_denial(made: Made) -> None:
    handling = await decided(made, World(fields={"authorization": None}))
    handling.authorise()
    with pytest.raises(RuntimeError, match="before its allow is recorded"):
        handling.upstream_fields()


async def test_a_route_that_needs_no_body_is_decided_by_the_head() -> None:
    route = world.route(chain=world.chain(signature=None, replay=None), body_limit=99)
    handling = Made(policy=world.policy(route)).handling()
    assert handling.body_limit == 0
    assert isinstance(handling.begin(World().head()), Decision)
    assert handling.body_limit == 99


async def test_a_request_is_decided_by_the_policy_it_came_under(made: Made) -> None:
    handling = made.handling()
    made.gate.in_force = InForce(world.policy(world.route(partners=frozenset({"nobody"}))), {})
    handling.begin(World().head())
    decision = handling.resume(BODY)
    assert isinstance(decision, Decision)
    assert decision.allowed


async def test_request_ids_differ(made: Made) -> None:
    assert made.handling().request_id != made.handling().request_id


async def test_the_request_id_is_carried_by_a_field_of_the_policys_prefix() -> None:
    identity = replace(world.policy().identity, prefix="x-psp-")
    assert Made(policy=world.policy(identity=identity)).handling().identity_field == "x-psp-request-id"


# Outcomes


async def test_an_outcome_tells_what_the_gate_and_what_the_upstream_took(made: Made) -> None:
    handling = await made.allowed()
    made.time.move(0.25)
    handling.sends_upstream()
    made.time.move(2.0)
    handling.response_bytes = 15
    handling.finish(Reason.ALLOWED, "", 200)
    made.turn()

    (outcome,) = made.log.of(RequestFinished)
    assert (outcome.request_id, outcome.at, outcome.status) == (handling.request_id, NOW + 2.25, 200)
    assert (outcome.gate_seconds, outcome.upstream_seconds, outcome.response_bytes) == (0.25, 2.0, 15)


async def test_an_upstream_that_was_never_reached_took_no_time(made: Made) -> None:
    handling = await made.allowed()
    made.time.move(2.0)
    handling.finish(Reason.UPSTREAM_UNREACHABLE, "connection refused", 502)
    made.turn()
    (outcome,) = made.log.of(RequestFinished)
    assert (outcome.upstream_seconds, outcome.gate_seconds, outcome.detail) == (None, 2.0, "connection refused")


async def test_a_request_ends_once(made: Made) -> None:
    handling = await made.allowed()
    handling.finish(Reason.UPSTREAM_TIMEOUT, "", 504)
    handling.finish(Reason.ALLOWED, "", 200)
    made.turn()
    assert made.log.finished == [Reason.UPSTREAM_TIMEOUT]
    assert made.gate.unfinished == 0


async def test_only_allows_have_an_outcome(made: Made) -> None:
    handling = await decided(made)
    handling.finish(Reason.ALLOWED, "", 200)
    made.turn()
    assert made.log.events == []
    handling.deny(Denied(Reason.CLIENT_CLOSED))
    handling.authorise()
    handling.finish(Reason.ALLOWED, "", 200)
    made.turn()
    assert made.log.finished == []


async def test_unfinished_requests_are_counted(made: Made) -> None:
    handlings = [await made.allowed() for _ in range(3)]
    (await decided(made, World(fields={"authorization": None}))).authorise()
    assert made.gate.unfinished == 3
    for handling in handlings:
        handling.finish(Reason.ALLOWED, "", 200)
    assert made.gate.unfinished == 0


async def test_an_outcome_that_cannot_be_recorded_ends_its_request_all_the_same(made: Made) -> None:
    handling = await made.allowed()
    made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE, "disk full")
    handling.finish(Reason.ALLOWED, "", 200)
    made.turn()
    assert made.gate.unfinished == 0
    assert made.log.finished == []


# Out of order


async def test_what_is_not_decided_cannot_be_recorded(made: Made) -> None:
    handling = made.handling()
    with pytest.raises(RuntimeError, match="decided once"):
        handling.authorise()
    handling.begin(World().head())
    with pytest.raises(RuntimeError, match="decided once"):
        handling.authorise()


async def test_a_decision_is_recorded_once(made: Made) -> None:
    handling = await made.allowed()
    with pytest.raises(RuntimeError, match="recorded once"):
        handling.authorise()
    assert made.log.decided == [Reason.ALLOWED]


async def test_a_body_goes_to_a_decision_that_is_under_way(made: Made) -> None:
    with pytest.raises(RuntimeError, match="no decision waits for a body"):
        made.handling().resume(BODY)
    with pytest.raises(RuntimeError, match="no decision waits for a body"):
        (await decided(made)).resume(BODY)


async def test_what_is_recorded_cannot_be_denied(made: Made) -> None:
    handling = await made.allowed()
    with pytest.raises(RuntimeError, match="recorded already"):
        handling.deny(Denied(Reason.CLIENT_CLOSED))
    assert handling.allowed


class AsksTwice:
    """A control that goes round `Exchange.read_body`, which asks once."""

    name = "asks_twice"

    def check(self, _: Exchange) -> world.Generator[Ask, object, None]:
        yield ReadBody(10)
        yield ReadBody(10)


async def test_a_body_that_was_given_decides_nothing_where_it_is_asked_for_again() -> None:
    handling = Made(policy=world.policy(world.route(chain=(AsksTwice(),)))).handling()
    handling.begin(World().head())
    handling.resume(BODY)
    assert (handling.decision, handling.waits_for_body) == (None, True)
    with pytest.raises(RuntimeError, match="decided once"):
        handling.authorise_soon(lambda: None)


# Denials from outside the chain


async def test_what_goes_wrong_with_the_body_denies_at_the_control_that_wanted_it(made: Made) -> None:
    handling = made.handling()
    handling.begin(World().head())
    decision = handling.deny(Denied(Reason.BODY_TIMEOUT, "not in time"))
    assert (decision.reason, decision.control) == (Reason.BODY_TIMEOUT, "signature")
    assert not handling.waits_for_body


async def test_an_allow_that_is_not_recorded_is_taken_back(made: Made) -> None:
    handling = await decided(made)
    handling.deny(Denied(Reason.CLIENT_CLOSED, "before the decision"))
    assert not handling.authorise().allowed
    assert not handling.allowed
    assert made.log.decided == [Reason.CLIENT_CLOSED]
    assert made.gate.unfinished == 0


async def test_a_request_can_be_denied_before_its_head_is_looked_at(made: Made) -> None:
    handling = made.handling()
    decision = handling.deny(Denied(Reason.CONTROL_FAILED, "no decision was made"))
    assert (decision.reason, decision.exchange.head) == (Reason.CONTROL_FAILED, None)


async def test_bytes_that_are_no_head_are_recorded_by_their_start(made: Made) -> None:
    handling = made.handling()
    handling.refuse(Denied(Reason.MESSAGE_MALFORMED, "no request line"), "'\\x01'")
    (event,) = made.log.of(RequestDecided)
    assert (event.decision.reason, event.unread, event.status) == (Reason.MESSAGE_MALFORMED, "'\\x01'", 400)
    assert handling.recorded


async def test_a_gate_that_stops_takes_no_more_requests(made: Made) -> None:
    made.gate.draining = True
    decision = made.handling().begin(World().head())
    assert isinstance(decision, Decision)
    assert decision.reason is Reason.DRAINING


# Answers


async def test_the_answer_is_the_denial_with_its_fields(made: Made) -> None:
    handling = await decided(made, World(method=b"GET", body=b""))
    handling.authorise()
    answer = handling.answer()
    assert answer.status == 405
    assert ("allow", "POST") in answer.fields
    assert ("x-gateway-request-id", handling.request_id) in answer.fields


async def test_the_answer_may_be_to_what_failed_after_the_allow(made: Made) -> None:
    answer = (await made.allowed()).answer(Reason.UPSTREAM_TIMEOUT)
    assert (answer.status, orjson.loads(answer.body)["code"]) == (504, "upstream.timeout")


async def test_without_a_decision_the_answer_is_a_failure_of_the_gate(made: Made) -> None:
    assert made.handling().answer().status == 503


# The gate


async def test_a_refused_connection_is_recorded_with_its_peer(made: Made) -> None:
    made.gate.refuse_connection(
        Reason.TLS_HANDSHAKE, "unexpected eof", connection_id="connection-1", listener="public",
        address=ip_address("203.0.113.9"), port=4711,
    )  # fmt: skip
    (event,) = made.log.of(ConnectionRefused)
    assert (event.at, event.reason, event.detail) == (NOW, Reason.TLS_HANDSHAKE, "unexpected eof")
    assert (event.connection_id, event.listener, str(event.address), event.port, event.tls) == (
        "connection-1", "public", "203.0.113.9", 4711, None,
    )  # fmt: skip
    assert event.policy.digest == made.policy.digest


@pytest.mark.parametrize(("read", "real"), [(Clock().now, time.time), (Clock().monotonic, time.monotonic)])
def test_the_clock_is_the_systems_unless_another_is_given(read: Callable[[], float], real: Callable[[], float]) -> None:
    before = real()
    assert before <= read() <= real()
