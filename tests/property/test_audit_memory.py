"""What the log remembers of one request never gets into the record of another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.events import RequestDecided, RequestFinished
from gateway.audit.record import line
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.message import Instant, Peer, Tls
from gateway.core.policy import Partner, SwitchedOff
from gateway.core.reasons import Denied, Reason
from tests.unit.audit import plain
from tests.unit.audit.examples import CLAIMS, HEAD, IN_FORCE, ISSUER, NOW, ROUTE, SIGNATURE

CARD = "4111111111111111"
FEW = ("a", "b", CARD)
OPTIONAL = ("a", None, CARD)
TIMES = (Instant(1.0), Instant(2.0))

FACTS: Mapping[str, Sequence[Any]] = {
    **dict.fromkeys(("policy.name", "policy.digest", "issuer.name", "issuer.issuer"), FEW),
    **dict.fromkeys(("peer.listener", "peer.connection_id"), FEW),
    "peer.address": (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")),
    "peer.port": (1, 2),
    "tls": (Tls("a", "a", "a", "a", None), Tls("a", CARD, "a", "a", None), None),
    "client": (None, IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")),
    "head": (True, False),
    "head.method": ("GET", "POST", "PURGE"),
    **dict.fromkeys(("head.version", "head.host", "head.path"), FEW),
    "head.query": OPTIONAL,
    "head.content_length": (3, 4, None),
    "head.has_body": (True, False),
    "body": (b"{}", b"", None),
    "route": (True, False),
    **dict.fromkeys(("route.name", "upstream.name"), FEW),
    "route.switched_off": ((), (SwitchedOff("a", "a"),), (SwitchedOff("a", CARD),)),
    "partner": OPTIONAL,
    "claims": (True, False),
    "claims.subject": FEW,
    "claims.token_id": OPTIONAL,
    **dict.fromkeys(("claims.issued_at", "claims.expires"), TIMES),
    "signature": (True, False),
    "signature.key_id": FEW,
    "signature.nonce": OPTIONAL,
    "signature.created": (*TIMES, None),
    "passed": (("a",), ("a", "b"), (CARD,), ()),
}
"""What an exchange may be made of."""

PLAIN = {name: values[0] for name, values in FACTS.items()}


@dataclass
class World:
    """Makes exchanges: what is the same in two of them is one object, as it is in the gate."""

    objects: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def one(self, make: Callable[..., Any], kind: str, facts: Mapping[str, Any], **more: object) -> Any:
        """Make the object of these facts, or give the one that was made of them before."""
        own = {name.partition(".")[2]: value for name, value in facts.items() if name.startswith(f"{kind}.")} | more
        key = (kind, *own.values())
        if key not in self.objects:
            self.objects[key] = make(**own)
        return self.objects[key]

    def exchange(self, facts: Mapping[str, Any]) -> Exchange:
        """Make the exchange of these facts."""
        issuer = self.one(lambda **own: replace(ISSUER, **own), "issuer", facts)
        policy = self.one(
            lambda issuer, **own: replace(IN_FORCE, issuers={"operator": issuer}, **own), "policy", facts, issuer=issuer
        )
        upstream = self.one(lambda **own: replace(ROUTE.upstream, **own), "upstream", facts)
        made = Exchange(
            policy,
            self.one(Peer, "peer", facts, tls=facts["tls"]),
            self.one(HEAD._replace, "head", facts) if facts["head"] else None,
            NOW,
        )
        if facts["client"] is not None:
            made.client_address = facts["client"]
        if facts["route"]:
            made.route = self.one(lambda **own: replace(ROUTE, **own), "route", facts, upstream=upstream)
        if facts["partner"] is not None:
            made.partner = Partner(facts["partner"])
        if facts["claims"]:
            made.claims = self.one(lambda **own: replace(CLAIMS, **own), "claims", facts)
        if facts["signature"]:
            made.signature = self.one(SIGNATURE._replace, "signature", facts)
        made.passed = [*facts["passed"]]
        made.body = facts["body"]
        return made


def events_of(exchange: Exchange) -> list[RequestDecided | RequestFinished]:
    """Give a decision and an outcome of an allow, and those of a denial."""
    allow = Decision(Reason.ALLOWED, "", None, (), exchange)
    deny = exchange.deny(Denied(Reason.REPLAY_SEEN, "seen"))
    return [
        event
        for decision in (allow, deny)
        for event in (
            RequestDecided(NOW, "r-1", decision, 0.0015, None),
            RequestFinished(NOW, "r-1", decision, Reason.ALLOWED, "", 200, 0.0015, 0.01, 5),
        )
    ]


def same(events: Iterable[RequestDecided | RequestFinished]) -> bool:
    """Whether the log's lines of these events are those that are made the plain way."""
    lines = [(line(event, number, "o"), plain.line(event, number, "o")) for number, event in enumerate(events, 1)]
    return all(made == expected for made, expected in lines)


@pytest.mark.parametrize("name", FACTS)
def test_a_record_tells_what_is_different_from_the_one_before(name: str) -> None:
    world = World()
    varied = [world.exchange({**PLAIN, name: value}) for value in (*FACTS[name], *FACTS[name])]
    assert same(event for exchange in varied for event in events_of(exchange))


@st.composite
def exchanges(draw: st.DrawFn) -> list[Exchange]:
    """Exchanges of which each differs from the first in one fact at most."""
    world = World()
    first = {name: draw(st.sampled_from(values)) for name, values in FACTS.items()}
    changes = draw(st.lists(st.sampled_from([(name, value) for name in FACTS for value in FACTS[name]]), max_size=6))
    return [world.exchange(first), *(world.exchange({**first, name: value}) for name, value in changes)]


@given(exchanges(), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_what_is_remembered_changes_no_record(exchanges: list[Exchange], random: Random) -> None:
    events = [
        event._replace(request_id=random.choice(("r-1", "r-2")))
        for exchange in exchanges
        for event in events_of(exchange)
    ]
    random.shuffle(events)
    assert same(events)
