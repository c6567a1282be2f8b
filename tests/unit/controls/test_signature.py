from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.controls.mutual_tls import MutualTls
from gateway.controls.signature import SignatureControl, widest_window
from gateway.core.chain import ReadBody
from gateway.core.exchange import Exchange
from gateway.core.message import Instant, RequestHead
from gateway.core.policy import Match, Partner, Policy
from gateway.core.reasons import Denied, Reason
from gateway.signing import parts as p
from gateway.signing.scheme import Scheme
from gateway.signing.window import Window
from tests import messages, vendors, world
from tests.vendors import Request
from tests.world import BODY, NOW, SIGNING_KEY_ID, Answers, World, check

WINDOW = Window(60.0, 5.0)


def control(**changes: object) -> SignatureControl:
    return SignatureControl(world.scheme(**changes), WINDOW)


def exchange(request: World | None = None, partner: Partner | None = None) -> Exchange:
    entered = (request or World()).exchange()
    entered.partner = partner
    return entered


def refused(entered: Exchange, answers: Answers | None = None, signature: SignatureControl | None = None) -> Denied:
    with pytest.raises(Denied) as caught:
        check(signature or control(), entered, answers)
    assert entered.signature is None
    return caught.value


def test_a_signed_request_passes_and_leaves_what_was_verified() -> None:
    entered = exchange(partner=world.partner())
    check(control(), entered)
    assert entered.signature is not None
    assert (entered.signature.key_id, entered.signature.nonce) == (SIGNING_KEY_ID, "nonce-1")
    assert entered.body == BODY


def test_the_body_is_read_once_and_only_up_to_the_routes_limit() -> None:
    answers = Answers()
    check(control(), exchange(partner=world.partner()), answers)
    assert answers.asked == [ReadBody(65_536)]


def test_a_body_that_an_earlier_control_read_is_not_asked_for_again() -> None:
    entered, answers = exchange(partner=world.partner()), Answers()
    entered.body = BODY
    check(control(), entered, answers)
    assert answers.asked == []


def test_a_scheme_that_does_not_sign_the_body_does_not_ask_for_it() -> None:
    scheme = world.scheme(parts=(p.Method(), p.Path(), p.Timestamp(), p.Nonce()))
    head = World().head()
    signed = scheme.sign(head, b"", key=world.own_key(), now=NOW, nonce="nonce-1")
    entered, answers = exchange(World(fields=dict(signed.fields)), world.partner()), Answers()
    check(SignatureControl(scheme, WINDOW), entered, answers)
    assert answers.asked == []
    assert entered.body is None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (World(fields={"x-signature": None}), Reason.SIGNATURE_MISSING),
        (World(fields={"x-signature": "00"}), Reason.SIGNATURE_MALFORMED),
        (World(extra=[("x-nonce", "nonce-2")]), Reason.FIELD_REPEATED),
        (World(fields={"x-key-id": "unknown"}), Reason.SIGNATURE_KEY_UNKNOWN),
        (World(fields={"x-timestamp": str(int(NOW) - 61)}), Reason.SIGNATURE_STALE),
        (World(fields={"x-timestamp": str(int(NOW) + 6)}), Reason.SIGNATURE_FUTURE),
    ],
)
@pytest.mark.parametrize("partner", [None, world.partner()])
def test_what_can_be_refused_without_the_body_is(request_: World, reason: Reason, partner: Partner | None) -> None:
    answers = Answers()
    assert refused(exchange(request_, partner), answers).reason is reason
    assert answers.asked == []


def test_a_key_out_of_force_is_refused_without_the_body() -> None:
    key = world.signing_key(not_after=Instant(NOW - 1))
    answers = Answers()
    denied = refused(exchange(partner=world.partner(signing_keys={SIGNING_KEY_ID: key})), answers)
    assert (denied.reason, answers.asked) == (Reason.SIGNATURE_KEY_INACTIVE, [])


def test_a_changed_body_is_refused() -> None:
    entered = exchange(partner=world.partner())
    assert refused(entered, Answers(body=b"changed")).reason is Reason.SIGNATURE_MISMATCH


def test_a_failure_to_read_the_body_is_passed_on() -> None:
    denied = Denied(Reason.BODY_TIMEOUT, "slow")
    answers = Answers({ReadBody: world.raising(denied)})
    assert refused(exchange(partner=world.partner()), answers) is denied


def test_another_partners_key_is_unknown_to_an_identified_partner() -> None:
    denied = refused(exchange(partner=world.other_partner()))
    assert (denied.reason, denied.detail) == (
        Reason.SIGNATURE_KEY_UNKNOWN,
        f"key {SIGNING_KEY_ID!r} is none of the partner's",
    )


# Nobody identified the caller before


def test_the_key_identifies_a_partner_of_the_route() -> None:
    entered = exchange()
    check(control(), entered)
    assert entered.partner is not None
    assert entered.partner.name == world.PARTNER


def test_a_key_identifies_nobody_before_the_signature_matched() -> None:
    entered = exchange()
    assert refused(entered, Answers(body=b"changed")).reason is Reason.SIGNATURE_MISMATCH
    assert entered.partner is None


def test_a_key_of_a_partner_that_the_route_does_not_list_is_unknown() -> None:
    denied = refused(exchange(World(fields={"x-key-id": "blue-1"})))
    assert (denied.reason, denied.detail) == (
        Reason.SIGNATURE_KEY_UNKNOWN,
        "key 'blue-1' belongs to no partner of the route",
    )
    assert denied.fields == (("www-authenticate", 'Signature realm="gateway"'),)


def test_a_route_without_partners_takes_any_partners_key() -> None:
    policy = world.policy(world.route(partners=None))
    entered = exchange(World(policy=policy))
    check(control(), entered)
    assert entered.partner is policy.partners[world.PARTNER]


def test_a_key_id_of_two_partners_identifies_neither() -> None:
    keys = {SIGNING_KEY_ID: world.signing_key()}
    partners = {
        world.PARTNER: world.partner(),
        world.OTHER_PARTNER: world.other_partner(signing_keys=keys),
    }
    policy = world.policy(world.route(partners=frozenset(partners)), partners=partners)
    denied = refused(exchange(World(policy=policy)))
    assert denied.reason is Reason.SIGNATURE_KEY_UNKNOWN
    assert denied.detail == f"key {SIGNING_KEY_ID!r} belongs to acme-casino, blue-bingo: key ids must be unique here"


def test_a_scheme_without_key_id_cannot_tell_who_calls() -> None:
    answers = Answers()
    denied = refused(exchange(), answers, control(key_id=None))
    assert (denied.reason, answers.asked) == (Reason.PARTNER_UNKNOWN, [])


# HTTP Message Signatures


MESSAGES = SignatureControl(messages.scheme("@method", "@path"), WINDOW)


def signed_message(label: str = "sig1", **parameters: object) -> World:
    """Give the world's request, signed by RFC 9421 instead."""
    unsigned = dict.fromkeys(("x-key-id", "x-timestamp", "x-nonce", "x-signature"))
    scheme = messages.scheme("@method", "@path", label=label)
    terms = messages.terms(**{"key_id": "acme-ed25519", **parameters})
    fields = scheme.sign_on(World(fields=unsigned).head(), BODY, signer=messages.signer(), terms=terms)
    return World(fields={**unsigned, **dict(fields)})


def bank(**changes: object) -> Partner:
    key = messages.signing_key(id="acme-ed25519")
    return world.partner(**{"signing_keys": {key.id: key}, **changes})


def bank_policy(**partners: Partner) -> Policy:
    found = {world.PARTNER: bank(), world.OTHER_PARTNER: world.other_partner(), **partners}
    return world.policy(partners=found)


@pytest.mark.parametrize("partner", [None, bank()])
def test_a_message_signature(partner: Partner | None) -> None:
    made = signed_message()
    made.policy = bank_policy()
    entered, answers = exchange(made, partner), Answers()
    check(MESSAGES, entered, answers)
    assert entered.signature is not None
    assert entered.signature.identity == b"acme-ed25519\nnonce-1"
    assert entered.partner is not None
    assert answers.asked == [ReadBody(65_536)]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"alg": "hmac-sha256"}, Reason.SIGNATURE_ALGORITHM),
        ({"key_id": "other"}, Reason.SIGNATURE_KEY_UNKNOWN),
        ({"created": Instant(NOW - 61)}, Reason.SIGNATURE_STALE),
    ],
)
def test_a_message_signature_that_is_refused_without_the_body(parameters: dict[str, object], reason: Reason) -> None:
    answers = Answers()
    assert refused(exchange(signed_message(**parameters), bank()), answers, MESSAGES).reason is reason
    assert answers.asked == []


def test_a_message_signature_that_covers_too_little() -> None:
    strict = SignatureControl(messages.scheme("@authority"), WINDOW)
    answers = Answers()
    assert refused(exchange(signed_message(), bank()), answers, strict).reason is Reason.SIGNATURE_COVERAGE
    assert answers.asked == []


def test_a_body_of_another_digest() -> None:
    answers = Answers(body=b"changed")
    assert refused(exchange(signed_message(), bank()), answers, MESSAGES).reason is Reason.SIGNATURE_DIGEST


@pytest.mark.parametrize("identified", [True, False])
def test_of_several_signatures_the_one_by_a_key_that_may_be_meant(identified: bool) -> None:
    made, others = signed_message(), signed_message("proxy", key_id="proxy-key")
    names = ("signature-input", "signature")
    made.fields = {**made.fields, **{name: f"{others.fields[name]}, {made.fields[name]}" for name in names}}
    made.policy = bank_policy()
    entered = exchange(made, bank() if identified else None)
    check(MESSAGES, entered)
    assert entered.signature is not None
    assert entered.signature.key_id == "acme-ed25519"


# The widest window of a policy


def test_the_widest_window_has_the_most_of_every_route() -> None:
    chains = [world.chain(signature=SignatureControl(world.scheme(), window)) for window in (WINDOW, Window(5.0, 90.0))]
    routes = [
        world.route(name=f"route-{index}", match=Match(frozenset({"POST"}), f"/{index}"), chain=chain)
        for index, chain in enumerate(chains)
    ]
    assert widest_window(world.policy(*routes)) == Window(60.0, 90.0)


def test_a_policy_without_signatures_has_no_window() -> None:
    assert widest_window(world.policy(world.route(chain=world.chain(signature=None)))) is None


@pytest.mark.parametrize(
    "changes",
    [{"not_before": Instant(world.NOW + 1)}, {"not_after": world.NOW}],
    ids=["before its time", "after its time"],
)
def test_a_key_out_of_its_time_signs_nothing(changes: dict[str, Instant]) -> None:
    keys = {world.SIGNING_KEY_ID: world.signing_key(**changes)}
    partners = {world.PARTNER: world.partner(signing_keys=keys), world.OTHER_PARTNER: world.other_partner()}

    decision = world.World(policy=world.policy(partners=partners)).decide()

    assert (decision.reason, decision.control) == (Reason.SIGNATURE_KEY_INACTIVE, "signature")


def test_the_log_says_what_a_wrong_signature_matches_once_a_second() -> None:
    signature = world.signed(b"POST", b"/v1/deposits", BODY)
    policy = world.policy()
    details = []
    for at in (0.0, 0.4, 1.0):
        fields: dict[str, str | None] = {**signature}
        made = World(policy=policy, body=BODY + b"\n", fields=fields, now=Instant(NOW + at))
        details.append(made.decide().detail)
    assert all(each.startswith("differs from what") for each in details)
    assert ["it matches without the trailing newline" in each for each in details] == [True, False, True]


# Schemes of vendors


@dataclass
class VendorsWorld(World):
    """A request of a vendor."""

    received: Request = field(default_factory=lambda: vendors.signed("softswiss"))

    def head(self) -> RequestHead:
        return self.received.head


def vendors_world(name: str, body: bytes | None = None, scheme: Scheme[Any] | None = None) -> VendorsWorld:
    """Give a preset's sample, signed, before a gate whose route takes it by certificate and signature."""
    made = vendors.signed(name)
    signature = SignatureControl(scheme or vendors.scheme(name), vendors.WINDOW)
    match = Match(frozenset({made.head.method}), made.head.path)
    route = world.route(match=match, chain=(MutualTls(), signature))
    partner = world.partner(signing_keys=vendors.keys(vendors.preset(name).key["algorithm"]))
    return VendorsWorld(
        policy=world.policy(route, partners={world.PARTNER: partner}),
        body=made.body if body is None else body,
        received=made,
    )


@pytest.mark.parametrize("name", vendors.NAMES)
def test_a_vendors_request_passes_the_gate(name: str) -> None:
    assert vendors_world(name).decide().reason is Reason.ALLOWED


def test_a_scheme_that_carries_its_signature_in_the_body_reads_it_first() -> None:
    changed = vendors_world("gitslotpark", body=b'{"agentID":"Partner01"}')
    assert changed.decide().reason is Reason.SIGNATURE_MISSING
    assert changed.answers.asked == [ReadBody(65_536)]
    assert vendors_world("gitslotpark", body=b"{").decide().reason is Reason.SIGNATURE_CONTENT


def test_a_weak_scheme_is_refused_once_its_exception_ended() -> None:
    ended = vendors.scheme("aviatrix", allow_weak="{owner: tests, until: 2026-11-22}")
    made = vendors_world("aviatrix", scheme=ended)
    assert made.decide().reason is Reason.SIGNATURE_WEAK
    assert made.answers.asked == []
