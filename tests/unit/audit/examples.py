"""One example of each event, with every field filled; docs/audit.md shows the records of these."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import PurePath
from typing import Any

from gateway.audit.events import (
    BarChanged,
    ClockSeen,
    ClockState,
    ConnectionCut,
    ConnectionRefused,
    ControlFailed,
    ControlRecovered,
    Event,
    GateStarted,
    GateStopped,
    LimitsReset,
    LogDeleted,
    LogSealed,
    PolicyFacts,
    PolicyLoaded,
    PolicyRefused,
    RequestDecided,
    RequestFinished,
)
from gateway.core.barred import Thing
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.facts import Claims, VerifiedSignature
from gateway.core.holds import StoredAnswer
from gateway.core.issuer import Issuer
from gateway.core.message import Certificate, Headers, Instant, Peer, RequestHead, Tls
from gateway.core.policy import Endpoint, Match, Partner, Policy, Route, SignedBy, SwitchedOff, Upstream
from gateway.core.reasons import Denied, Reason

NOW = Instant(1_795_352_400.125)
"""2026-11-22T13:00:00.125Z."""
DAY = 86_400

REQUEST_ID = "5d3c9b5e-9d6f-4c0a-9c1e-6f0f7a1b2c3d"
CONNECTION_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SECRETS = ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl", "5f70bf18a086007016e948b04aed3b82", "NONCE-7f3a")
"""Token, signature and nonce, as they stand in the request's fields."""

POLICY = PolicyFacts("psp", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
PREVIOUS = PolicyFacts("psp", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752")

CERTIFICATE = Certificate(
    fingerprint="d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
    public_key_fingerprint="ef537f25c895bfa782526529a9b63d97aa631564d5d789c2b765448c8635fb6c",
    subject="CN=casino,O=Acme",
    issuer="CN=Partners CA",
    serial="2c7a9e10b4",
    not_before=Instant(1_794_000_000.0),
    not_after=Instant(1_801_776_000.0),
    san_uri=("spiffe://acme.example/casino",),
)
TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", "api.psp.example", "http/1.1", CERTIFICATE)
PEER = Peer(ip_address("198.51.100.7"), 50_123, "public", TLS, CONNECTION_ID)

ISSUER = Issuer("operator", "https://idp.operator.example", PurePath("certs/operator-jwks.json"), frozenset({"ES256"}))
ROUTE = Route(
    name="deposit",
    match=Match(frozenset({"POST"}), "/v1/deposits"),
    upstream=Upstream("psp", "http", (Endpoint("127.0.0.1", 9000),)),
    partners=frozenset({"acme-casino"}),
    chain=(),
    switched_off=(SwitchedOff("rate_limit", "the PSP limits on its own"),),
    signed_by=SignedBy("psp-hmac", ("the query is not signed, so it can be changed",)),
)
IN_FORCE = Policy(
    name=POLICY.name,
    digest=POLICY.digest,
    listeners={},
    upstreams={"psp": ROUTE.upstream},
    issuers={"operator": ISSUER},
    partners={},
    routes=(ROUTE,),
)

HEAD = RequestHead(
    method="POST",
    target="/v1/deposits?dry_run=QUERYVALUE",
    path="/v1/deposits",
    query="dry_run=QUERYVALUE",
    version="1.1",
    authority="api.psp.example",
    host="api.psp.example",
    headers=Headers([("authorization", f"Bearer {SECRETS[0]}"), ("x-signature", SECRETS[1]), ("x-nonce", SECRETS[2])]),
    content_length=4,
    has_body=True,
)
CLAIMS = Claims(
    issuer="operator",
    subject="acme-backend",
    token_id="t-81",
    scopes=frozenset({"deposit:write"}),
    issued_at=Instant(1_795_352_340.0),
    expires=Instant(1_795_352_640.0),
    all={"sub": "acme-backend"},
)
SIGNATURE = VerifiedSignature(
    key_id="acme-2026-11", created=Instant(1_795_352_399.0), nonce=SECRETS[2], identity=b"", window_end=None
)
PASSED = ("mutual_tls", "ip_allowlist", "token", "signature", "replay")


def exchange(**changes: Any) -> Exchange:
    """Give the exchange of a request that passed every control, with some of its facts changed."""
    facts = {
        "route": ROUTE,
        "partner": Partner("acme-casino"),
        "claims": CLAIMS,
        "signature": SIGNATURE,
        "body": b"{ok}",
        "passed": list(PASSED),
        **changes,
    }
    made = Exchange(
        facts.pop("policy", IN_FORCE), facts.pop("peer", PEER), facts.pop("head", HEAD), facts.pop("now", NOW)
    )
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def allowed(**changes: Any) -> Decision:
    """Give an allow."""
    return Decision(Reason.ALLOWED, "", None, (), exchange(**changes))


def denied(reason: Reason, detail: str = "", control: str | None = None, **changes: Any) -> Decision:
    """Give a denial."""
    return exchange(control=control, **changes).deny(Denied(reason, detail))


def decided(decision: Decision | None = None, **changes: Any) -> RequestDecided:
    """Give the event of a decision; an allow where none is given."""
    decision = decision or allowed()
    status = None if decision.allowed else decision.reason.status
    return RequestDecided(NOW, REQUEST_ID, decision, 0.0031, status)._replace(**changes)


def answered_before(**changes: Any) -> RequestDecided:
    """Give the event of a request that was answered as before, without an outcome to follow."""
    stored = StoredAnswer(201, (), SECRETS[0].encode())
    asked = exchange(control="idempotency", operation=b"op-1", marks=("velocity.day",))
    decision = asked.deny(Denied(Reason.IDEMPOTENCY_ANSWERED, "", (), stored))
    return RequestDecided(NOW, REQUEST_ID, decision, 0.0031, stored.status)._replace(**changes)


def finished(**changes: Any) -> RequestFinished:
    """Give the outcome of the allow."""
    valid = RequestFinished(
        at=Instant(NOW + 0.0452),
        request_id=REQUEST_ID,
        decision=allowed(),
        reason=Reason.ALLOWED,
        detail="",
        status=201,
        gate_seconds=0.0042,
        upstream_seconds=0.041,
        response_bytes=118,
    )
    return valid._replace(**changes)


def refused(**changes: Any) -> ConnectionRefused:
    """Give a connection that was refused in its handshake."""
    valid = ConnectionRefused(
        at=NOW,
        policy=POLICY,
        connection_id=CONNECTION_ID,
        listener="public",
        address=ip_address("203.0.113.80"),
        port=40_222,
        reason=Reason.TLS_CERTIFICATE_UNTRUSTED,
        detail="unable to get local issuer certificate",
    )
    return replace(valid, **changes)


def changed(event: Any, **changes: Any) -> Any:
    """Give an event of any kind with some of its facts changed."""
    return event._replace(**changes) if isinstance(event, tuple) else replace(event, **changes)


DENIED = decided(
    denied(
        Reason.TOKEN_EXPIRED,
        "expired 65 s ago",
        "token",
        claims=None,
        signature=None,
        body=None,
        passed=["mutual_tls", "ip_allowlist"],
    )
)
UNREAD = decided(
    denied(Reason.FRAMING_AMBIGUOUS, "Content-Length beside Transfer-Encoding", head=None, route=None, partner=None,
           claims=None, signature=None, body=None, passed=[]),
    unread="POST '/v1/deposits?…'",
)  # fmt: skip

EVENTS: Mapping[str, Event] = {
    "decision": decided(),
    "decision, denied": DENIED,
    "decision, unread": UNREAD,
    "outcome": finished(),
    "connection": refused(),
    "start": GateStarted(NOW, POLICY, ("public 0.0.0.0:8443",), ("policies/psp.yaml:40:5: rate_limit is off",),
                         ClockState(True, 0.000012, 0.00031, 0.0041), "audit.example.com/psp+9a1c07d2"),
    "stop": GateStopped(NOW, POLICY, "SIGTERM", 2),
    "policy.loaded": PolicyLoaded(NOW, POLICY, PREVIOUS, "file change", ("policies/psp.yaml:40:5: rate_limit is off",)),
    "policy.refused": PolicyRefused(NOW, POLICY, "signal", ("policies/psp.yaml:12:3: routes[0]: unknown key `metod`",)),
    "control.failed": ControlFailed(NOW, POLICY, "token.keys:operator", "certs/operator-jwks.json: not JSON"),
    "control.recovered": ControlRecovered(
        Instant(NOW + 12.5), POLICY, "audit", NOW, "written again; not recorded: 3 decisions, none of them forwarded", 3
    ),
    "connection.cut": ConnectionCut(
        NOW, POLICY, CONNECTION_ID, "public", ip_address("203.0.113.80"), 40_222, Reason.CERTIFICATE_REVOKED,
        "CN=casino (number 0a1b2c) is on the list of CN=Partners CA",
    ),
    "revocation.added": BarChanged(
        NOW, POLICY, "revoke", 17, Thing.PARTNER, "acme-casino", Instant(NOW - 0.25), Instant(NOW + 3600), "maria",
        "INC-4711: stolen laptop",
    ),
    "revocation.lifted": BarChanged(
        NOW, POLICY, "lift", 18, Thing.CERTIFICATE, CERTIFICATE.fingerprint, Instant(NOW - 0.25), None, "maria",
        "INC-4711: found again",
    ),
    "log.sealed": LogSealed(NOW, POLICY, "audit-2026-08-21_000000000001.jsonl", 1, 130_412, CERTIFICATE.fingerprint),
    "log.deleted": LogDeleted(NOW, POLICY, "audit-2025-11-20_000000000001.jsonl", 1, 98_304, "365d"),
    "lockout.began": BarChanged(
        NOW, POLICY, "revoke", 19, Thing.LOCKED_ADDRESS, "203.0.113.80", NOW, Instant(NOW + 1800), "gate",
        "10 failed authentications within 600 s, at last token.signature",
    ),
    "lockout.lifted": BarChanged(
        NOW, POLICY, "lift", 20, Thing.LOCKED_PARTNER, "acme-casino", Instant(NOW - 0.25), None, "maria",
        "their new client is mended",
    ),
    "limits.reset": LimitsReset(
        NOW, POLICY, 3, "acme-casino", ("deposit",), 2, Instant(NOW - 0.25), "maria", "INC-4711: their loop is mended",
    ),
    "clock": ClockSeen(NOW, POLICY, ClockState(False, 0.0, 16.0, 16.0), "it was set", -3.25),
}  # fmt: skip
