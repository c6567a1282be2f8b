from dataclasses import replace
from typing import Any

import pytest

from gateway.controls.idempotency import (
    AGAIN,
    ALWAYS_KEPT,
    LEASE,
    REPLAYED,
    BodyKey,
    FieldKey,
    Idempotency,
    SignedKey,
)
from gateway.core.document import Pointer
from gateway.core.exchange import Exchange
from gateway.core.facts import VerifiedSignature
from gateway.core.holds import HeldKey, KeyState, Remember, Remembered, StoredAnswer
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import BODY, NOW, Answers, World, check

FIELD = FieldKey("idempotency-key")
POINTED = BodyKey(Pointer("/reference"))
ANSWER = StoredAnswer(201, (("content-type", "application/json"),), b"{}")
NEW = Remembered(KeyState.NEW, None, "token")


def control(**changes: Any) -> Idempotency:
    return Idempotency(**{"key": FIELD, "remember": 600.0, "final": frozenset({200}), "not_done": frozenset(),
                          "limit": 100} | changes)  # fmt: skip


def exchange(key: str | None = "op-1", *, extra: list[tuple[str, str]] | None = None, **changes: Any) -> Exchange:
    fields = {} if key is None else {"idempotency-key": key}
    entered = World(fields=fields, extra=extra or (), **changes).exchange()
    entered.partner = world.partner()
    return entered


def run(one: Idempotency, entered: Exchange, found: object = NEW) -> Remember:
    answers = Answers({Remember: lambda _: found}, body=entered.body if entered.body is not None else BODY)
    check(one, entered, answers)
    (ask,) = [ask for ask in answers.asked if isinstance(ask, Remember)]
    return ask


def refused(one: Idempotency, entered: Exchange, found: object = NEW) -> Denied:
    with pytest.raises(Denied) as caught:
        run(one, entered, found)
    return caught.value


def test_a_new_key_is_held_until_the_request_has_ended() -> None:
    entered = exchange()
    ask = run(control(), entered)
    assert ask[:3] == (world.PARTNER, "deposit", b"op-1")
    assert (ask.lease, ask.until) == (NOW + 32 + LEASE, NOW + 600)
    (held,) = entered.holds
    assert isinstance(held, HeldKey)
    assert (held.ask, held.token, held.wants, held.fields) == (ask, "token", 100, ALWAYS_KEPT)
    assert (held.before, held.forget) == (KeyState.FREE, True)
    assert entered.operation == b"op-1"


def test_a_key_outlives_its_flight() -> None:
    ask = run(control(remember=60.0), exchange())
    assert ask.until == ask.lease


@pytest.mark.parametrize("written", ["op-1", '"op-1"'])
def test_a_key_may_stand_in_quotes(written: str) -> None:
    assert run(control(), exchange(written)).key == b"op-1"


def test_escapes_of_a_structured_string_are_read() -> None:
    assert run(control(), exchange(r'"a\"b\\c"')).key == rb'a"b\c'


@pytest.mark.parametrize(
    "written", ["", '""', "a b", '"a', 'a"b', "a,b", "a;b", r"a\b", '"a" ', '"a";p=1', "\xe9", "x" * 257, r'"\x"']
)
def test_a_field_that_is_no_key_is_refused(written: str) -> None:
    entered = exchange(written.strip(" ") if written != '"a" ' else '"a" x')
    assert refused(control(), entered).reason is Reason.IDEMPOTENCY_KEY_INVALID


def test_a_request_without_a_key_is_refused() -> None:
    assert refused(control(), exchange(None)).reason is Reason.IDEMPOTENCY_KEY_MISSING


def test_two_keys_are_refused() -> None:
    assert refused(control(), exchange(extra=[("idempotency-key", "op-2")])).reason is Reason.FIELD_REPEATED


def test_a_key_may_stand_in_the_body() -> None:
    assert run(control(key=POINTED), exchange(None)).key == b"dep-1"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", Reason.BODY_VALUE_MISSING),
        (b'{"reference":["dep-1"]}', Reason.BODY_VALUE_TYPE),
        ('{"reference":"\u00e9"}'.encode(), Reason.IDEMPOTENCY_KEY_INVALID),
        (b'{"reference":"a","reference":"b"}', Reason.BODY_MEMBER_REPEATED),
        (b'{"reference":NaN}', Reason.BODY_NOT_JSON),
    ],
)
def test_a_body_without_a_key_is_refused(body: bytes, reason: Reason) -> None:
    entered = exchange(None, body=body)
    entered.body = body
    assert refused(control(key=POINTED), entered).reason is reason


def test_a_key_may_be_the_signatures() -> None:
    entered = exchange(None)
    entered.signature = VerifiedSignature("key-1", NOW, "nonce-1", b"identity", NOW)
    assert run(control(key=SignedKey()), entered).key == b"identity"
    (held,) = entered.holds
    assert isinstance(held, HeldKey)
    assert not held.forget  # its nonce is claimed: that nothing was done has to be known, not guessed


def test_without_a_signature_there_is_no_such_key() -> None:
    assert refused(control(key=SignedKey()), exchange(None)).reason is Reason.SIGNATURE_MISSING


def test_without_a_partner_there_is_no_key() -> None:
    entered = exchange()
    entered.partner = None
    assert refused(control(), entered).reason is Reason.PARTNER_UNKNOWN


def test_the_same_request_is_the_same() -> None:
    assert run(control(), exchange()).sameness == run(control(), exchange()).sameness


@pytest.mark.parametrize("change", [{"body": b"{}"}, {"target": b"/v1/deposits?x=1"}, {"method": b"PUT"}])
def test_another_method_target_or_body_is_another_request(change: dict[str, Any]) -> None:
    other = exchange()
    other.head = other.request._replace(
        **{
            name: value.decode()
            for name, value in change.items()
            if name != "body"
        }
    )  # fmt: skip
    other.body = change.get("body", BODY)
    assert run(control(), exchange()).sameness != run(control(), other).sameness


def test_only_what_the_policy_names_need_be_the_same() -> None:
    some = control(same=(Pointer("/player"), Pointer("/amount")))
    one, other, third = exchange(), exchange(), exchange()
    other.body = b'{"amount":2500,"player":"p-1","sent_at":"later"}'
    third.body = b'{"amount":2501,"player":"p-1"}'
    assert run(some, one).sameness == run(some, other).sameness
    assert run(some, one).sameness != run(some, third).sameness


def test_an_answered_request_is_answered_again() -> None:
    denied = refused(control(), exchange(), Remembered(KeyState.ANSWERED, ANSWER))
    assert denied.reason is Reason.IDEMPOTENCY_ANSWERED
    assert (denied.answer, denied.fields) == (ANSWER, (REPLAYED,))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (KeyState.OTHER, Reason.IDEMPOTENCY_KEY_REUSED),
        (KeyState.IN_FLIGHT, Reason.IDEMPOTENCY_IN_FLIGHT),
        (KeyState.UNKNOWN, Reason.IDEMPOTENCY_UNKNOWN),
        (KeyState.NOT_KEPT, Reason.IDEMPOTENCY_NOT_KEPT),
        (KeyState.ABSENT, Reason.REPLAY_SEEN),
    ],
)
def test_what_is_not_answered_is_refused(state: KeyState, reason: Reason) -> None:
    entered = exchange()
    assert refused(control(), entered, Remembered(state)).reason is reason
    assert entered.holds == ()


def test_another_body_under_a_signed_key_is_a_replay() -> None:
    entered = exchange(None)
    entered.signature = VerifiedSignature("key-1", NOW, "nonce-1", b"identity", NOW)
    assert refused(control(key=SignedKey()), entered, Remembered(KeyState.OTHER)).reason is Reason.REPLAY_SEEN


@pytest.mark.parametrize("found", [Remembered(KeyState.FREE), Remembered(KeyState.ANSWERED)])
def test_a_store_that_answers_nonsense_is_at_fault(found: Remembered) -> None:
    with pytest.raises(RuntimeError, match="must not answer"):
        run(control(), exchange(), found)


def test_a_request_that_came_before_takes_no_key() -> None:
    entered = exchange()
    entered.repeated = True
    assert not run(control(), entered).fresh


def test_a_request_of_unknown_outcome_is_forwarded_again_where_the_policy_says_so() -> None:
    entered = exchange()
    assert run(control(again=True), entered, Remembered(KeyState.AGAIN, None, "token")).again
    (held,) = entered.holds
    assert isinstance(held, HeldKey)
    assert held.before is KeyState.UNKNOWN
    assert entered.marks == (AGAIN,)


def test_the_whole_chain_answers_again() -> None:
    chain = (*world.chain(), control())
    policy = world.policy(world.route(chain=chain))
    found = Remembered(KeyState.ANSWERED, ANSWER)
    made = World(policy=policy, fields={"idempotency-key": "op-1"}, answers=Answers({Remember: lambda _: found}))
    decision = made.decide()
    assert (decision.allowed, decision.answer, decision.control) == (False, ANSWER, "idempotency")
    assert REPLAYED in decision.response_fields


def test_keys_of_the_field_are_equal_if_their_names_are() -> None:
    assert replace(control(), remember=1.0).key == FieldKey("idempotency-key")
