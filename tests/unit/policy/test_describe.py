from dataclasses import replace
from ipaddress import ip_network
from pathlib import PurePath

import pytest

from gateway.controls.charged_rates import AnswerCost, ChargedRates
from gateway.controls.concurrency import Concurrency
from gateway.controls.credentials import Authentication
from gateway.controls.demands import BodyTie, Demand, PathTie, TokenBody
from gateway.controls.dpop import Proofs
from gateway.controls.idempotency import BodyKey, FieldKey, Idempotency, SignedKey
from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.partner_rates import PartnerRates
from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.velocity import Amount, Currency, Velocity, VelocityLimit
from gateway.controls.websocket import WebSocketHandshake
from gateway.core.chain import ORDER, Control, RateLimit
from gateway.core.document import Pointer
from gateway.core.lockout import Lockout
from gateway.core.networks import NetworkSet
from gateway.core.policy import ClientCertificate, Endpoint, Match, Revocation, Route, SwitchedOff, WebSocketSettings
from gateway.core.publication import AuditSettings, DigestOf, Digests, Retention, Witness
from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, FailModes, Layout, OnFailure, StateSettings, ValkeySettings
from gateway.policy.describe import (
    describe,
    described_audit,
    described_lockout,
    described_match,
    described_revocation,
    described_state,
    described_upstream,
    duration,
)
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.outward import SignedAnswers, SignedRequests
from gateway.signing.places import InHeader
from gateway.signing.window import Window
from tests import messages, vendors, world


def route(*chain: Control, off: tuple[SwitchedOff, ...] = ()) -> Route:
    return replace(world.policy().routes[0], chain=chain, switched_off=off)


def test_the_partners_and_every_control_are_named_in_order() -> None:
    off = tuple(SwitchedOff(name, "not now") for name in reversed(ORDER))
    said = describe(route(off=off))
    assert list(said) == ["partners", *ORDER]
    assert said["token"] == "off: not now"


def test_partners_that_are_switched_off() -> None:
    everyone = replace(route(off=(SwitchedOff("partners", "health check"),)), partners=None)
    assert describe(everyone)["partners"] == "off: health check"


@pytest.mark.parametrize(
    ("authorities", "said"),
    [(None, "required"), ({"ca"}, "required, from 1 CA"), ({"ca", "cb"}, "required, from 2 CAs")],
)
def test_whose_certificates_the_route_takes(authorities: set[str] | None, said: str) -> None:
    control = MutualTls(None if authorities is None else frozenset(authorities))
    assert describe(route(control))["mutual_tls"] == said


SCHEME = ComposedScheme("vendor", (p.Body(),), b"", "hmac-sha256", "hex", InHeader("x-sign"))
TIMED = replace(SCHEME, parts=(p.Timestamp(), p.Body()), timestamp=InHeader("x-time"))
NETWORKS = [ip_network(f"198.51.{n}.0/24") for n in range(5)]


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (IpAllowlist(None), "the partner's networks"),
        (IpAllowlist(NetworkSet(NETWORKS[:2])), "198.51.0.0/24, 198.51.1.0/24"),
        (IpAllowlist(NetworkSet(NETWORKS)), "198.51.0.0/24, 198.51.1.0/24, 198.51.2.0/24 and 2 more"),
        (SignatureControl(SCHEME, Window(1, 0)), "vendor"),
        (
            SignatureControl(vendors.scheme("spribe"), Window(60, 5)),
            "spribe (preset spribe, community-verified), 1m old, 5s ahead",
        ),
        (SignatureControl(TIMED, Window(60, 0.5)), "vendor, 1m old, 500ms ahead"),
        (Replay(None), "required"),
        (Replay(86_400), "remembered for 1d"),
        (
            RateLimits(
                (
                    RouteLimit(RateLimit("a", 50, 1, True), ("partner",)),
                    RouteLimit(RateLimit("b", 5, 90, False), ("route",)),
                )
            ),
            "50/second per partner; 5/90s (fixed) per route",
        ),
    ],
)
def test_what_controls_ask_for(control: Control, said: str) -> None:
    assert describe(route(control))[control.name] == said


def test_what_is_asked_of_tokens() -> None:
    (token,) = [control for control in world.policy().routes[0].chain if control.name == "token"]
    assert describe(route(token))["token"].startswith("operator for ")


def test_what_a_route_is_about() -> None:
    match = Match(frozenset({"PUT", "GET"}), "/a/{b}", frozenset({"b.example", "a.example"}))
    assert described_match(replace(route(), match=match)) == "GET, PUT /a/{b} at a.example, b.example"


def test_where_a_route_leads() -> None:
    plain = replace(route(), upstream=world.upstream())
    assert described_upstream(plain) == "psp: http://127.0.0.1:9000"
    endpoints = (Endpoint("10.0.0.7", 443), Endpoint("2001:db8::1", 8443))
    own = ClientCertificate(PurePath("certs/own.pem"), PurePath("certs/own.key"))
    several = world.upstream(
        scheme="https", endpoints=endpoints, server_name="psp.internal", client=own, authority="psp.example"
    )
    assert described_upstream(replace(route(), upstream=several)) == (
        "psp: https://10.0.0.7:443, https://[2001:db8::1]:8443, verified as psp.internal, "
        "asked for psp.example, with the gate's own certificate"
    )


def test_what_the_gate_signs() -> None:
    key = messages.own_key("ed25519")
    signed = world.upstream(signer=SignedRequests(messages.scheme(), key))
    assert described_upstream(replace(route(), upstream=signed)).endswith(", signed with rfc9421 by key ed25519")
    answers = SignedAnswers(messages.scheme(), key, frozenset())
    assert describe(replace(route(), answers=answers))["sign_responses"] == "rfc9421 by key ed25519"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (0.5, "500ms"), (1, "1s"), (90, "90s"), (60, "1m"), (86_400, "1d"), (1.5, "1500ms")],
)
def test_durations(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_a_route_that_opens_websockets() -> None:
    opens = replace(
        route(WebSocketHandshake(frozenset({"https://b.example", "https://a.example"}))),
        websocket=WebSocketSettings(30.0, 3_600.0),
    )
    assert describe(opens)["websocket"] == "idle 30s, lifetime 1h, from https://a.example, from https://b.example"
    assert describe(replace(opens, chain=(WebSocketHandshake(),)))["websocket"] == "idle 30s, lifetime 1h"


def test_body_rules_in_words() -> None:
    player = Pointer("/player")
    amount = Amount(Pointer("/amount"), Currency("EUR"), minor=True, quoted=False)
    day = VelocityLimit("day", 86_400, (player,), {"EUR": 500_000, "JPY": 9})
    hour = VelocityLimit("hour", 7_200, ("partner", player), count=3)
    limits = Velocity((day, hour), frozenset(), amount, {"EUR": 2, "JPY": 0}, marks=True)
    every = VelocityLimit("all", 60, ("partner",), count=9)
    keys = [FieldKey("idempotency-key"), BodyKey(Pointer("/id")), SignedKey()]
    rules = [Idempotency(key, 3_600.0, frozenset(), frozenset(), 0, again=key == SignedKey()) for key in keys]
    said = [describe(route(rule, limits))["idempotency"] for rule in rules]
    assert said == [
        "by field idempotency-key, for 1h",
        "by /id, for 1h",
        "by signature, for 1h, forwarded again where the outcome is unknown",
    ]
    assert describe(route(limits))["velocity"] == (
        "5000.00 EUR or 9 JPY/day per /player; 3/2h per partner, /player (marked, not denied)"
    )
    assert describe(route(Velocity((every,), frozenset())))["velocity"] == "9/minute per partner"
    assert describe(route(Replay(60.0, answers=True)))["replay"] == "remembered for 1m, answered as before"
    assert describe(route(Replay(answers=True)))["replay"] == "answered as before"


SERVERS = (Endpoint("a", 6379), Endpoint("b", 1))


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (None, "the memory of the process: --workers 1 only, as routes count or remember"),
        (EmbeddedSettings(), "Valkey run by the gate: shared by its workers"),
        (ValkeySettings((Endpoint("/run/s", 0),)), "Valkey at unix:/run/s: shared by workers and machines"),
        (
            ValkeySettings(SERVERS, Layout.CLUSTER, tls=True),
            "Valkey at a:6379, b:1 (cluster), TLS: shared by workers and machines",
        ),
    ],
)
def test_where_the_state_lives(store: EmbeddedSettings | ValkeySettings | None, said: str) -> None:
    assert described_state(replace(world.policy(), state=StateSettings(store=store))) == said


def test_what_a_request_costs_is_said() -> None:
    limits = RateLimits((RouteLimit(RateLimit("x", 50, 3_600, True), ("partner",), 20),))
    assert describe(route(limits))["rate_limit"] == "50/hour per partner, 20 a request"


def test_what_goes_on_without_a_store_is_said() -> None:
    state = StateSettings(store=EmbeddedSettings(), on_failure=FailModes(OnFailure.LOCAL, nodes=2))
    said = described_state(replace(world.policy(), state=state))
    assert said == "Valkey run by the gate: shared by its workers; while it cannot answer: rate_limit local"


def test_a_policy_that_counts_nothing_needs_no_store() -> None:
    policy = world.policy(world.route(chain=world.chain(rate_limit=None, replay=None)))
    assert "workers need no store" in described_state(policy)


def test_who_is_locked_out() -> None:
    assert described_lockout(world.policy()) == "nobody is locked out"
    locking = world.policy(lockout=Lockout(10, 600.0, 1_800.0))
    assert described_lockout(locking) == "for 30m after 10 failures within 10m"


def test_what_a_token_must_be() -> None:
    control = world.token_control(
        bound_to="either",
        proofs=Proofs(),
        demands=(Demand("tenant", frozenset({"acme"})), Demand("jti"), Demand("act", forbidden=True)),
        path_ties=(PathTie("player_id", "player"),),
        authentication=Authentication(("urn:sca",), 300.0),
    )
    chain = world.chain(token=control)
    said = describe(world.route(chain=(*chain, TokenBody((BodyTie("account", "/account/id"),)))))
    assert said["token"].endswith(
        "bound to the certificate or a key (DPoP), tenant acme, with jti, no act, player_id is {player}, acr urn:sca, "
        "authenticated within 5m"
    )
    assert said["token.body"] == "account is /account/id"


def test_how_the_log_is_kept() -> None:
    plain = world.policy()
    assert described_audit(plain) == (
        "each allow with the kernel, a checkpoint every 10s, nothing is deleted; no checkpoint leaves the machine"
    )
    settings = AuditSettings(
        origin="audit.example.com/psp", interval=60.0, durable=True, copies=("syslog", "file:/kept.txt"),
        witnesses=(Witness("https://w.example", "w.example+0+A"),), retention=Retention(),
        digests=Digests(Secret(b"x" * 32), (DigestOf("claim", "sub"),)),
    )  # fmt: skip
    assert described_audit(replace(plain, audit=settings)) == (
        "each allow on the disk before it is forwarded, a checkpoint every 1m, as audit.example.com/psp,"
        " copies to syslog, file:/kept.txt, witnessed by w.example, digests of claim:sub,"
        " compressed after 90d, deleted after 365d"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (None, "not looked up: a certificate is good until it ends"),
        (
            Revocation((PurePath("a"), PurePath("b")), stale_for=21_600.0),
            "lists in 2 files, the whole chain, what is out of date counts for 6h",
        ),
        (
            Revocation(point_hosts=frozenset({"b.example", "a.example"}), leaf_only=True),
            "lists from a.example, b.example, the client's certificate only, what is out of date does not count",
        ),
        (
            Revocation((PurePath("a"),), responder="http://ocsp.example/"),
            "lists in 1 file, OCSP by http://ocsp.example/, the whole chain, what is out of date does not count",
        ),
        (
            Revocation(ocsp_hosts=frozenset({"ocsp.example"})),
            "OCSP by ocsp.example, the whole chain, what is out of date does not count",
        ),
    ],
)
def test_how_revocation_is_looked_up(settings: Revocation | None, said: str) -> None:
    listener = world.listener()
    assert described_revocation(replace(listener, tls=replace(listener.tls, revocation=settings))) == said


def test_limits_by_partner() -> None:
    def limits(amount: int) -> RateLimits:
        return RateLimits((RouteLimit(RateLimit("n", amount, 1, sliding=True), ("partner",)),))

    gold = limits(20)
    rates = PartnerRates(limits(5), {"gold": gold, "silver": limits(10)}, {"b": gold, "a": gold, "acme": limits(7)})
    assert describe(route(rates))["rate_limit"] == (
        "5/second per partner | tier gold (a, b): 20/second per partner | tier silver (nobody): 10/second per partner"
        " | acme: 7/second per partner"
    )


def test_quotas_of_the_calendar() -> None:
    quota = RateLimit("quota", 9, 86_400, sliding=False, calendar="day")
    assert describe(route(RateLimits((RouteLimit(quota, ("partner",)),))))["rate_limit"] == "9/calendar-day per partner"


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (AnswerCost(50, "x-cost"), "x-cost of the answer a request (5 to 50)"),
        (AnswerCost(50, pointer=Pointer("/units")), "/units of the answer a request (5 to 50)"),
        (AnswerCost(20, statuses={404: 8, 500: 20, 403: 8, 204: 5}), "5 a request, 8 or 20 by the answer's status"),
    ],
)
def test_a_cost_from_the_answer(cost: AnswerCost, said: str) -> None:
    limit = RouteLimit(RateLimit("units", 90, 60, sliding=True), ("partner",), 5)
    rates = ChargedRates((limit,), {}, {"units": cost})
    assert describe(route(rates))["rate_limit"] == f"90/minute per partner, {said}"


def test_a_burst() -> None:
    steady = RateLimit("steady", 50, 1, sliding=False, burst=200)
    assert describe(route(RateLimits((RouteLimit(steady, ("partner",)),))))["rate_limit"] == (
        "50/second (burst 200) per partner"
    )


def test_requests_in_flight() -> None:
    assert describe(route(Concurrency(20, 300)))["concurrency"] == "20 in flight per partner, lease 5m"


def test_a_cost_from_a_field() -> None:
    limit = RouteLimit(RateLimit("units", 9, 60, sliding=True), ("partner",), 5)
    assert describe(route(PricedRates((limit,), {"units": "x-cost"})))["rate_limit"] == (
        "9/minute per partner, x-cost a request (at most 5)"
    )
