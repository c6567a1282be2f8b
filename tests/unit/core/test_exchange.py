from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import ClassVar

import pytest

from gateway.core.chain import NOTHING, Answer, Ask, Asks, Control, FetchKeys, ReadBody
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange, decide, failure, refuse
from gateway.core.networks import NetworkSet
from gateway.core.policy import Policy
from gateway.core.reasons import Denied, Reason, Unavailable
from tests import world
from tests.world import NOW, Answers, World, raising

FAULTS = [ValueError, KeyError, RecursionError, MemoryError, AssertionError, TimeoutError, StopAsyncIteration]


@dataclass(frozen=True)
class Raises:
    """A control that raises at once."""

    error: Callable[[], BaseException]
    name: ClassVar[str] = "raises"

    def check(self, exchange: Exchange) -> Asks:  # noqa: ARG002 - as every control
        raise self.error()


@dataclass(frozen=True)
class AsksThenRaises:
    """A control that raises after an answer."""

    error: Callable[[], BaseException]
    name: ClassVar[str] = "asks"

    def check(self, exchange: Exchange) -> Generator[Ask, Answer, None]:  # noqa: ARG002 - as every control
        yield FetchKeys("operator")
        raise self.error()


@dataclass(frozen=True)
class ReadsBody:
    """A control that reads the body, twice."""

    name: ClassVar[str] = "reads_body"

    def check(self, exchange: Exchange) -> Generator[Ask, Answer, None]:
        first = yield from exchange.read_body()
        second = yield from exchange.read_body()
        assert first is second


@dataclass(frozen=True)
class Identifies:
    """A control that says who calls."""

    partner: world.Partner
    name: ClassVar[str] = "identifies"

    def check(self, exchange: Exchange) -> Asks:
        exchange.identify(self.partner, Reason.TOKEN_SUBJECT)
        return NOTHING


@dataclass(frozen=True)
class AddsField:
    """A control that adds a field to the answer."""

    name: ClassVar[str] = "adds_field"

    def check(self, exchange: Exchange) -> Asks:
        exchange.response_fields.append(("x-added", "1"))
        return NOTHING


ACME = Identifies(world.partner())


def policy(
    *controls: Control, partners: frozenset[str] | None = frozenset({world.PARTNER}), body_limit: int = 100
) -> Policy:
    return world.policy(world.route(chain=controls, partners=partners, body_limit=body_limit))


def denied(decision: Decision) -> Reason:
    assert not decision.allowed
    return decision.reason


class TestAllow:
    def test_the_valid_request_is_allowed(self) -> None:
        decision = World().decide()
        assert (decision.allowed, decision.reason, decision.control) == (True, Reason.ALLOWED, None)
        assert decision.exchange.passed == [control.name for control in world.chain()]

    def test_an_unidentified_caller_is_allowed_only_where_partners_are_switched_off(self) -> None:
        assert World(policy=policy(partners=None)).decide().allowed
        assert denied(World(policy=policy()).decide()) is Reason.PARTNER_UNKNOWN

    def test_fields_of_the_controls_go_into_the_answer(self) -> None:
        assert World(policy=policy(ACME, AddsField())).decide().response_fields == (("x-added", "1"),)

    @pytest.mark.parametrize("length", [100, 101])
    def test_a_declared_length_beyond_the_limit_is_denied_also_where_nothing_reads_the_body(self, length: int) -> None:
        decision = World(policy=policy(ACME), body=b"a" * length).decide()
        assert decision.allowed == (length == 100)
        assert decision.reason is (Reason.ALLOWED if length == 100 else Reason.BODY_TOO_LARGE)


class TestDenyIsTheFallThrough:
    @pytest.mark.parametrize("error", FAULTS)
    @pytest.mark.parametrize("control", [Raises, AsksThenRaises])
    def test_a_control_that_fails_denies(self, control: type[Raises | AsksThenRaises], error: type[Exception]) -> None:
        decision = World(policy=policy(ACME, control(lambda: error("s3cret")))).decide()
        assert denied(decision) is Reason.CONTROL_FAILED
        assert decision.control == control.name
        assert "s3cret" not in decision.detail
        assert f"{control.__name__}.check (test_exchange.py:" in decision.detail

    @pytest.mark.parametrize("control", [Raises, AsksThenRaises])
    def test_a_control_that_denies_is_named(self, control: type[Raises | AsksThenRaises]) -> None:
        error = partial(Denied, Reason.TOKEN_SCOPE, "lacks a", (("www-authenticate", "Bearer"),))
        decision = World(policy=policy(ACME, AddsField(), control(error), Raises(ValueError))).decide()
        assert denied(decision) is Reason.TOKEN_SCOPE
        assert (decision.detail, decision.control) == ("lacks a", control.name)
        assert decision.response_fields == (("www-authenticate", "Bearer"), ("x-added", "1"))
        assert decision.exchange.passed == ["identifies", "adds_field"]

    def test_a_control_that_says_allowed_by_denying_does_not_allow(self) -> None:
        error = partial(Denied, Reason.ALLOWED)
        assert denied(World(policy=policy(ACME, Raises(error))).decide()) is Reason.CONTROL_FAILED

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_the_end_of_the_process_decides_nothing(self, error: type[BaseException]) -> None:
        with pytest.raises(error):
            World(policy=policy(ACME, Raises(error))).decide()

    def test_a_control_that_gives_nothing_to_iterate_denies(self) -> None:
        class ForgetsToReturn:
            name = "forgets"

            def check(self, exchange: Exchange) -> None:
                del exchange

        assert denied(World(policy=policy(ACME, ForgetsToReturn())).decide()) is Reason.CONTROL_FAILED

    def test_a_generator_that_stops_by_an_error_of_its_own_denies(self) -> None:
        assert denied(World(policy=policy(ACME, AsksThenRaises(StopIteration))).decide()) is Reason.CONTROL_FAILED

    def test_a_policy_that_fails_denies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        valid = World()
        monkeypatch.setattr(Policy, "route_for", lambda *_: {}["s3cret"])
        decision = valid.decide()
        assert denied(decision) is Reason.CONTROL_FAILED
        assert (decision.control, decision.exchange.route) == (None, None)

    def test_a_request_without_a_route_is_denied(self) -> None:
        assert denied(World(target=b"/v1/admin").decide()) is Reason.ROUTE_UNKNOWN

    def test_a_method_without_a_route_is_denied(self) -> None:
        assert denied(World(method=b"DELETE").decide()) is Reason.METHOD_NOT_ALLOWED

    def test_a_listener_that_the_policy_does_not_know_denies(self) -> None:
        assert denied(World(peer=world.peer(listener="gone")).decide()) is Reason.CONTROL_FAILED

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (Unavailable(Reason.TOKEN_KEYS_UNAVAILABLE, "gone"), Reason.TOKEN_KEYS_UNAVAILABLE),
            (Denied(Reason.BODY_TIMEOUT, "slow"), Reason.BODY_TIMEOUT),
            (OSError("s3cret"), Reason.CONTROL_FAILED),
        ],
    )
    def test_an_ask_that_fails_denies(self, error: Exception, reason: Reason) -> None:
        decision = World(policy=policy(ACME, ReadsBody()), answers=Answers({ReadBody: raising(error)})).decide()
        assert denied(decision) is reason
        assert decision.control == "reads_body"

    @pytest.mark.parametrize("answer", [None, "text", object()])
    def test_an_answer_of_another_type_denies(self, answer: object) -> None:
        answers = Answers({ReadBody: lambda _: answer})
        assert denied(World(policy=policy(ACME, ReadsBody()), answers=answers).decide()) is Reason.CONTROL_FAILED

    def test_a_decision_that_is_abandoned_allows_nothing(self) -> None:
        valid = World(policy=policy(ACME, ReadsBody()))
        asking = decide(valid.policy, valid.peer, valid.head(), valid.now)
        next(asking)
        asking.close()
        with pytest.raises(StopIteration) as end:
            next(asking)
        assert end.value.value is None


class TestIdentify:
    def test_two_controls_may_agree(self) -> None:
        assert World(policy=policy(ACME, ACME)).decide().allowed

    def test_two_controls_that_disagree_deny(self) -> None:
        both = policy(ACME, Identifies(world.other_partner()), partners=frozenset({world.PARTNER, world.OTHER_PARTNER}))
        decision = World(policy=both).decide()
        assert denied(decision) is Reason.TOKEN_SUBJECT
        assert decision.exchange.partner is ACME.partner

    def test_a_partner_that_the_route_does_not_list_is_denied_and_recorded(self) -> None:
        decision = World(policy=policy(Identifies(world.other_partner()))).decide()
        assert denied(decision) is Reason.PARTNER_NOT_ALLOWED
        assert decision.exchange.partner is not None
        assert decision.exchange.partner.name == world.OTHER_PARTNER

    def test_a_route_without_partners_takes_any(self) -> None:
        assert World(policy=policy(Identifies(world.other_partner()), partners=None)).decide().allowed

    def test_an_empty_list_of_partners_takes_none(self) -> None:
        assert denied(World(policy=policy(ACME, partners=frozenset())).decide()) is Reason.PARTNER_NOT_ALLOWED


class TestBody:
    def test_it_is_asked_for_once_with_the_routes_limit(self) -> None:
        answers = Answers()
        decision = World(policy=policy(ACME, ReadsBody(), ReadsBody()), answers=answers).decide()
        assert decision.exchange.body == world.BODY
        assert answers.asked == [ReadBody(100)]

    def test_it_is_not_asked_for_where_none_follows(self) -> None:
        answers = Answers()
        decision = World(policy=policy(ACME, ReadsBody()), body=b"", answers=answers).decide()
        assert decision.exchange.body == b""
        assert answers.asked == []

    def test_it_is_not_asked_for_where_its_length_is_beyond_the_limit(self) -> None:
        answers = Answers()
        decision = World(policy=policy(ACME, ReadsBody(), body_limit=10), answers=answers).decide()
        assert denied(decision) is Reason.BODY_TOO_LARGE
        assert answers.asked == []


class TestClientAddress:
    LISTENERS: ClassVar = {"public": world.listener(trusted_proxies=NetworkSet([ip_network("10.0.0.0/8")]))}
    PROXY: ClassVar = world.peer(world.ip_address("10.0.0.1"))

    def test_it_is_what_the_trusted_proxy_says(self) -> None:
        behind = World(
            policy=world.policy(listeners=self.LISTENERS), peer=self.PROXY, extra=[("x-forwarded-for", "198.51.100.9")]
        )
        assert str(behind.decide().exchange.client_address) == "198.51.100.9"

    def test_what_cannot_be_read_denies(self) -> None:
        behind = World(
            policy=world.policy(listeners=self.LISTENERS), peer=self.PROXY, extra=[("x-forwarded-for", "unknown")]
        )
        assert denied(behind.decide()) is Reason.ADDRESS_UNREADABLE

    def test_a_spoofed_field_changes_nothing(self) -> None:
        decision = World(extra=[("x-forwarded-for", "203.0.113.9")]).decide()
        assert decision.exchange.client_address == world.ADDRESS


def test_bytes_that_are_no_request_are_denied_without_a_head() -> None:
    error = Denied(Reason.MESSAGE_MALFORMED, "not HTTP")
    decision = refuse(world.policy(), world.peer(), NOW, error)
    assert denied(decision) is Reason.MESSAGE_MALFORMED
    assert decision.exchange.client_address == world.ADDRESS
    with pytest.raises(RuntimeError, match="no request head"):
        _ = decision.exchange.request


def test_an_exchange_without_a_route_is_not_allowed() -> None:
    exchange = Exchange(world.policy(), world.peer(), World().head(), NOW)
    with pytest.raises(Denied) as caught:
        exchange.allow()
    assert caught.value.reason is Reason.ROUTE_UNKNOWN


def test_an_exchange_without_a_route_takes_no_body_and_no_partner() -> None:
    exchange = Exchange(world.policy(), world.peer(), World().head(), NOW)
    with pytest.raises(Denied) as caught:
        exchange.check_declared_length()
    assert caught.value.reason is Reason.BODY_TOO_LARGE
    with pytest.raises(Denied) as caught:
        exchange.identify(world.partner(), Reason.TOKEN_SUBJECT)
    assert caught.value.reason is Reason.PARTNER_NOT_ALLOWED


def test_a_fault_that_was_never_raised_has_an_unknown_place() -> None:
    assert failure(ValueError("s3cret")).detail == "ValueError at an unknown place"
