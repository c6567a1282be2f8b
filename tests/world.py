"""One valid world: a partner, its keys, its certificate, and a request that passes the whole chain.

A test takes `World()` and breaks exactly one thing: with an argument (`World(method=b"GET")`), a changed field
(`World(fields={"authorization": None})`), a changed policy (`World(policy=policy(chain=...))`), or an answer
(`World(answers=Answers({TakeRate: raising(Unavailable(...))}))`). Keys are made once a session, at run time
(`tests.mint`).
"""

import hmac
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import PurePath
from typing import Any

from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.controls.verified import VerifiedTokens
from gateway.core.chain import (
    Answer,
    Ask,
    Claim,
    ClaimOnce,
    Control,
    FetchKeys,
    RateLimit,
    RateState,
    RateTaken,
    ReadBody,
    TakeRate,
)
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange, decide
from gateway.core.holds import Enter, Entered, KeyState, Remember, Remembered, Reserve, Reserved
from gateway.core.issuer import Issuer
from gateway.core.message import Address, Certificate, Instant, Peer, RequestHead, Tls
from gateway.core.networks import NetworkSet
from gateway.core.policy import (
    CertificateMatch,
    Endpoint,
    Listener,
    ListenerTls,
    Match,
    Partner,
    Policy,
    Route,
    Secret,
    SigningKey,
    Upstream,
)
from gateway.core.syntax import read_head
from gateway.signing import parts
from gateway.signing.composed import ComposedScheme
from gateway.signing.own import OwnKey
from gateway.signing.places import InHeader
from gateway.signing.window import Window
from tests.mint import (
    AUDIENCE,
    ISSUER,
    KEY_ID,
    NOW,
    OTHER_SUBJECT,
    SCOPE,
    SUBJECT,
    changed,
    claims,
    jwk,
    jwks,
    key_set,
    private_key,
    token,
)

__all__ = ["KEY_ID", "claims", "jwk", "jwks", "private_key"]  # so that a test needs this module only

HOST = "api.psp.example"
BODY = b'{"player":"p-1","amount":2500,"currency":"EUR","reference":"dep-1"}'

PARTNER = "acme-casino"
OTHER_PARTNER = "blue-bingo"
"""Known to the policy, not listed on the route."""

ADDRESS = ip_address("198.51.100.7")
OTHER_ADDRESS = ip_address("203.0.113.9")
"""In OTHER_PARTNER's networks."""

SIGNING_KEY_ID = "acme-2026-11"
WINDOW = Window(max_age=60.0, max_ahead=5.0)
SIGNING_SECRET = b"0123456789abcdef0123456789abcdef"


def issuer(**changes: Any) -> Issuer:
    """Give the operator's issuer."""
    valid = Issuer("operator", ISSUER, PurePath("certs/operator-jwks.json"), frozenset({"ES256"}))
    return replace(valid, **changes)


def token_control(**changes: Any) -> TokenControl:
    """Give the route's token control, with a memory of its own."""
    valid = TokenControl(issuer(), AUDIENCE, frozenset({SCOPE}), 600.0, VerifiedTokens())
    return replace(valid, **changes)


def rate_limits(*limits: RouteLimit) -> RateLimits:
    """Give the route's rate limits; without arguments, 50 a second for the partner."""
    return RateLimits(limits or (RouteLimit(RateLimit("50-per-second", 50, 1, sliding=False), ("partner",)),))


def scheme(**changes: Any) -> ComposedScheme:
    """Give the reference scheme of the benchmarks: HMAC-SHA256 over lines of method, path, timestamp, nonce, body."""
    valid = {
        "name": "lines",
        "parts": (parts.Method(), parts.Path(), parts.Timestamp(), parts.Nonce(), parts.Body()),
        "separator": b"\n",
        "algorithm": "hmac-sha256",
        "encoding": "hex",
        "signature": InHeader("x-signature"),
        "key_id": InHeader("x-key-id"),
        "timestamp": InHeader("x-timestamp"),
        "nonce": InHeader("x-nonce"),
    }
    return ComposedScheme(**valid | changes)


def signing_key(**changes: Any) -> SigningKey:
    """Give the key the partner signs with."""
    return replace(SigningKey(SIGNING_KEY_ID, "hmac-sha256", Secret(SIGNING_SECRET)), **changes)


def own_key(**changes: Any) -> OwnKey:
    """Give that key as the one who signs has it."""
    return replace(OwnKey(SIGNING_KEY_ID, "hmac-sha256", Secret(SIGNING_SECRET)), **changes)


def partner(**changes: Any) -> Partner:
    """Give the partner that calls."""
    valid = Partner(
        PARTNER,
        certificates=(CertificateMatch(san_uri="spiffe://acme.example/casino"),),
        networks=NetworkSet([ip_network("198.51.100.0/24"), ip_network("2001:db8:ac3e::/48")]),
        subjects={"operator": frozenset({SUBJECT})},
        signing_keys={SIGNING_KEY_ID: signing_key()},
    )
    return replace(valid, **changes)


def other_partner(**changes: Any) -> Partner:
    """Give a partner that the policy knows and the route does not list."""
    valid = Partner(
        OTHER_PARTNER,
        certificates=(CertificateMatch(san_uri="spiffe://blue.example/bingo"),),
        networks=NetworkSet([ip_network("203.0.113.0/24")]),
        subjects={"operator": frozenset({OTHER_SUBJECT})},
        signing_keys={"blue-1": SigningKey("blue-1", "hmac-sha256", Secret(b"fedcba9876543210fedcba9876543210"))},
    )
    return replace(valid, **changes)


def chain(**changes: Control | None) -> tuple[Control, ...]:
    """Give the full chain in its order; a control changed to None is left out."""
    valid: dict[str, Control] = {
        "mutual_tls": MutualTls(),
        "ip_allowlist": IpAllowlist(None),
        "token": token_control(),
        "rate_limit": rate_limits(),
        "signature": SignatureControl(scheme(), WINDOW),
        "replay": Replay(),
    }
    return tuple(changed(valid, changes).values())


def listener(**changes: Any) -> Listener:
    """Give the listener that callers come to."""
    tls = ListenerTls(PurePath("certs/gateway.pem"), PurePath("certs/gateway.key"), PurePath("certs/partners-ca.pem"))
    return replace(Listener("public", "127.0.0.1", 8443, tls), **changes)


def upstream(**changes: Any) -> Upstream:
    """Give the payment API behind the gate."""
    endpoint = Endpoint(changes.pop("host", "127.0.0.1"), changes.pop("port", 9000))
    return replace(Upstream("psp", "http", (endpoint,)), **changes)


def route(**changes: Any) -> Route:
    """Give the route with the full chain: POST /v1/deposits."""
    valid = {
        "name": "deposit",
        "match": Match(frozenset({"POST"}), "/v1/deposits"),
        "upstream": upstream(),
        "partners": frozenset({PARTNER}),
        "chain": None,
    }
    values = valid | changes
    if values["chain"] is None:
        values["chain"] = chain()
    return Route(**values)


def policy(*routes: Route, **changes: Any) -> Policy:
    """Give the policy; without routes, with the one of the full chain."""
    valid = {
        "name": "psp",
        "digest": "0" * 64,
        "listeners": {"public": listener()},
        "upstreams": {"psp": upstream()},
        "issuers": {"operator": issuer()},
        "partners": {PARTNER: partner(), OTHER_PARTNER: other_partner()},
        "routes": routes or (route(),),
    }
    return Policy(**valid | changes)


def certificate(**changes: Any) -> Certificate:
    """Give the partner's certificate, as the handshake left it."""
    valid = Certificate(
        fingerprint="ab" * 32,
        public_key_fingerprint="cd" * 32,
        subject="CN=casino,O=Acme",
        issuer="CN=Partners CA",
        serial="0a1b2c",
        not_before=Instant(NOW - 86_400),
        not_after=Instant(NOW + 86_400),
        san_uri=("spiffe://acme.example/casino",),
    )
    return replace(valid, **changes)


def other_certificate(**changes: Any) -> Certificate:
    """Give OTHER_PARTNER's certificate."""
    valid = certificate(
        fingerprint="12" * 32,
        public_key_fingerprint="34" * 32,
        subject="CN=bingo,O=Blue",
        serial="0d4e5f",
        san_uri=("spiffe://blue.example/bingo",),
    )
    return replace(valid, **changes)


def peer(address: Address = ADDRESS, *, certificate: Certificate | None = certificate(), **changes: Any) -> Peer:  # noqa: B008 - frozen
    """Give the other end of the connection."""
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", HOST, "http/1.1", certificate)
    return replace(Peer(address, 50_000, "public", tls, "connection-1"), **changes)


def signed(method: bytes, target: bytes, body: bytes, nonce: str = "nonce-1", now: float = NOW) -> dict[str, str]:
    """Sign by the reference scheme as a partner does, without the code under test."""
    timestamp = str(int(now))
    text = b"\n".join((method, target.partition(b"?")[0], timestamp.encode(), nonce.encode(), body))
    return {
        "x-key-id": SIGNING_KEY_ID,
        "x-timestamp": timestamp,
        "x-nonce": nonce,
        "x-signature": hmac.digest(SIGNING_SECRET, text, "sha256").hex(),
    }


class Answers:
    """Answers asks as an engine with everything in memory does, and keeps them in `asked`.

    `overrides` gives other behaviour for a type of ask: a function of the ask, whose result is the answer; what it
    raises is thrown in.
    """

    def __init__(self, overrides: Mapping[type, Callable[[Any], object]] | None = None, *, body: bytes = BODY) -> None:
        self.body = body
        self.asked: list[Ask] = []
        self.claimed: set[tuple[str, bytes]] = set()
        self._answers: dict[type, Callable[[Any], object]] = {
            ReadBody: lambda _: self.body,
            FetchKeys: lambda _: key_set(),
            TakeRate: _take,
            ClaimOnce: self._claim,
            Remember: lambda _: Remembered(KeyState.NEW, None, "token"),
            Reserve: lambda _: Reserved((), "token"),
            Enter: lambda _: Entered(True, "token"),
            **(overrides or {}),
        }

    def __call__(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        return self._answers[type(ask)](ask)

    def _claim(self, ask: ClaimOnce) -> Claim:
        known = (ask.space, ask.key) in self.claimed
        self.claimed.add((ask.space, ask.key))
        return Claim.SEEN if known else Claim.NEW


def raising(error: Exception) -> Callable[[Ask], Answer]:
    """Make an answer that fails."""

    def answer(_: Ask) -> Answer:
        raise error

    return answer


def drive[T](asking: Generator[Ask, Answer, T] | tuple[()], answer: Callable[[Ask], Answer]) -> T | None:
    """Run what asks to its end and give its result; what `answer` raises is thrown in."""
    if isinstance(asking, tuple):
        return None
    try:
        ask = next(asking)
        while True:
            try:
                answered = answer(ask)
            except Exception as error:  # noqa: BLE001 - thrown in, as the engine does
                ask = asking.throw(error)
            else:
                ask = asking.send(answered)
    except StopIteration as end:
        return end.value


@dataclass
class World:
    """One request and all that decides about it. As it stands, it is allowed."""

    policy: Policy = field(default_factory=policy)
    peer: Peer = field(default_factory=peer)
    now: Instant = NOW
    method: bytes = b"POST"
    target: bytes = b"/v1/deposits"
    version: str = "HTTP/1.1"
    body: bytes = BODY
    token: str = field(default_factory=token)
    nonce: str = "nonce-1"
    fields: Mapping[str, str | None] = field(default_factory=dict)
    """Changes to the valid fields; None leaves one out."""
    extra: Sequence[tuple[str, str]] = ()
    """Fields to add after the others, also a second time."""
    answers: Answers = field(default_factory=Answers)

    def __post_init__(self) -> None:
        self.answers.body = self.body

    def raw_fields(self) -> list[tuple[bytes, bytes]]:
        """Give the header section as it is sent."""
        valid = {
            "host": HOST,
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            "authorization": f"Bearer {self.token}",
            **signed(self.method, self.target, self.body, self.nonce, self.now),
        }
        fields = [*changed(valid, self.fields).items(), *self.extra]
        return [(name.encode(), value.encode("latin-1")) for name, value in fields]

    def head(self) -> RequestHead:
        """Read the head; raises Denied where a test made it unreadable."""
        return read_head(method=self.method, target=self.target, version=self.version, fields=self.raw_fields())

    def exchange(self) -> Exchange:
        """Give the exchange as it enters the chain: the route is found, the client's address established."""
        exchange = Exchange(self.policy, self.peer, self.head(), self.now)
        exchange.route = self.policy.route_for(exchange.request)
        return exchange

    def decide(self) -> Decision:
        """Decide."""
        decision = drive(decide(self.policy, self.peer, self.head(), self.now), self.answers)
        assert decision is not None
        return decision


def check(control: Control, exchange: Exchange, answers: Answers | None = None) -> None:
    """Let one control check an exchange; raises Denied where it denies."""
    drive(control.check(exchange), answers or Answers())


def _take(ask: TakeRate) -> RateTaken:
    return RateTaken(True, tuple(RateState(take.limit, True, take.limit.amount - 1, 0.0) for take in ask.takes))
