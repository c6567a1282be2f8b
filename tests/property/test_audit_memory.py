"""What the log remembers of one request never gets into the record of another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

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

few = st.sampled_from(["a", "b", "4111111111111111"])
times = st.sampled_from([Instant(1.0), Instant(2.0)])
optional = st.none() | few
ADDRESS = IPv4Address("192.0.2.1")

FACTS: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("policy.name", "policy.digest", "issuer.name", "issuer.issuer"), few),
    **dict.fromkeys(("peer.listener", "peer.connection_id"), few),
    "peer.address": st.sampled_from([ADDRESS, IPv4Address("192.0.2.2")]),
    "peer.port": st.integers(1, 2),
    "tls": st.none() | st.builds(Tls, few, few, few, st.none(), st.none()),
    "client": st.sampled_from([None, IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")]),
    "head": st.booleans(),
    "head.method": st.sampled_from(["GET", "POST", "PURGE"]),
    **dict.fromkeys(("head.version", "head.host", "head.path"), few),
    "head.query": optional,
    "head.content_length": st.none() | st.integers(3, 4),
    "head.has_body": st.booleans(),
    "body": st.sampled_from([None, b"", b"{}"]),
    "route": st.booleans(),
    **dict.fromkeys(("route.name", "upstream.name"), few),
    "route.switched_off": st.lists(st.builds(SwitchedOff, few, few), max_size=1).map(tuple),
    "partner": optional,
    "claims": st.booleans(),
    "claims.subject": few,
    "claims.token_id": optional,
    **dict.fromkeys(("claims.issued_at", "claims.expires"), times),
    "signature": st.booleans(),
    "signature.key_id": few,
    "signature.nonce": optional,
    "signature.created": st.none() | times,
    "passed": st.lists(few, max_size=2).map(tuple),
}


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
            self.one(lambda **own: replace(HEAD, **own), "head", facts) if facts["head"] else None,
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
            made.signature = self.one(lambda **own: replace(SIGNATURE, **own), "signature", facts)
        made.passed = [*facts["passed"]]
        made.body = facts["body"]
        return made


@st.composite
def exchanges(draw: st.DrawFn) -> list[Exchange]:
    """Exchanges of which each differs from the first in one fact at most."""
    world, first = World(), draw(st.fixed_dictionaries(dict(FACTS)))
    changed = draw(st.lists(st.sampled_from([*FACTS]), max_size=4))
    return [world.exchange(first), *(world.exchange({**first, name: draw(FACTS[name])}) for name in changed)]


@st.composite
def events(draw: st.DrawFn) -> list[RequestDecided | RequestFinished]:
    """Events of such exchanges, in any order, and more of them than a gate would make."""
    ids, elapsed, status = st.sampled_from(["r-1", "r-2"]), st.sampled_from([0.0, 0.0015]), st.none() | st.just(200)
    made: list[RequestDecided | RequestFinished] = []
    for exchange in draw(exchanges()):
        allow = Decision(True, Reason.ALLOWED, "", None, (), exchange)
        deny = exchange.deny(Denied(draw(st.sampled_from([Reason.REPLAY_SEEN, Reason.TOKEN_SCOPE])), draw(few)))
        for decision in draw(st.permutations([allow, deny])):
            made.append(RequestDecided(draw(times), draw(ids), decision, draw(elapsed), draw(status)))
            reason = draw(st.sampled_from([Reason.ALLOWED, Reason.UPSTREAM_TIMEOUT]))
            made.append(
                RequestFinished(
                    draw(times), draw(ids), decision, reason, draw(few), draw(status), draw(elapsed), None, 5
                )
            )
    return draw(st.permutations(made))


@given(events())
@settings(max_examples=500, deadline=None)
def test_what_is_remembered_changes_no_record(events: list[RequestDecided | RequestFinished]) -> None:
    for sequence, event in enumerate(events, 1):
        assert line(event, sequence, "origin") == plain.line(event, sequence, "origin")
