"""Records of requests: `decision`, and `outcome` of an allow (docs/audit.md lists their fields).

Two stand on the way of every request. What many share (policy, route, connection, token) is made and serialised once,
in the functions marked `once` and `lru_cache`; what both records of a request share is `_Facts`.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import orjson

from gateway.audit.events import PolicyFacts, RequestDecided, RequestFinished
from gateway.audit.ocsf import (
    ALLOWED,
    DENIED,
    DISPOSITION,
    FAILURE,
    SEVERITY,
    SUCCESS,
    Json,
    Kind,
    endpoint,
    envelope,
    milliseconds,
    tls_fragment,
)
from gateway.audit.once import fragment, once
from gateway.audit.redact import LONG, TEXT, clean, clean_id, clean_name, without_query
from gateway.core.exchange import Exchange
from gateway.core.message import Instant, Peer, RequestHead
from gateway.core.policy import Policy, Route
from gateway.core.reasons import Reason

UNKNOWN = "(none)"
"""Where OCSF demands a value and there is none; no name in a policy looks so."""

_BODY_LENGTH = 2**40
"""A declared length from here on is no length, but a number somebody else chose: it is left out."""

_ACTIVITY = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
_OTHER_ACTIVITY = 99


def decision(event: RequestDecided) -> Json:
    """Give the record of a decision, still without its sequence."""
    decision = event.decision
    made, unmapped = _request(Kind.DECISION, event, decision.reason, decision.detail)
    if event.status is not None:
        made["http_response"] = {"code": event.status}
    if decision.control is not None:
        unmapped["denied_by"] = clean(decision.control)
    if event.unread is not None:
        unmapped["unread"] = clean(without_query(event.unread), LONG)
    made["duration"] = _whole(event.gate_seconds)
    return made


def outcome(event: RequestFinished) -> Json:
    """Give the record of an outcome, still without its sequence."""
    made, unmapped = _request(Kind.OUTCOME, event, event.reason, event.detail)
    upstream = event.upstream_seconds
    if event.status is not None:
        response: Json = {"code": event.status, "body_length": event.response_bytes}
        if upstream is not None:
            response["latency"] = _whole(upstream)
        made["http_response"] = response
    if upstream is not None:
        unmapped["upstream_ms"] = _exact(upstream)
    made["duration"] = _whole(event.gate_seconds + (upstream or 0.0))
    return made


def _request(kind: Kind, event: RequestDecided | RequestFinished, reason: Reason, detail: str) -> tuple[Json, Json]:
    """Give what decision and outcome have in common, and its `unmapped` part."""
    exchange, allowed = event.decision.exchange, event.decision.allowed
    facts = _facts(exchange, event.request_id)
    made = envelope(kind, event.at, policy_facts(exchange.policy), SEVERITY[reason], facts.request_id, facts.activity)
    made["action_id"] = ALLOWED if allowed else DENIED
    made["disposition_id"] = DISPOSITION[reason]
    made["status_id"] = SUCCESS if reason is Reason.ALLOWED else FAILURE
    made["status_code"] = reason.code
    made["status_detail"] = clean(without_query(detail), LONG)
    made["message"] = reason.title
    made["actor"] = facts.actor
    made["src_endpoint"] = facts.source
    made["dst_endpoint"] = facts.listener
    made["api"] = facts.api
    made["authorizations"] = facts.rule.allowed if allowed else facts.rule.denied
    if facts.http_request is not None:
        made["http_request"] = facts.http_request
    made["unmapped"] = unmapped = {"gate_ms": _exact(event.gate_seconds), **facts.unmapped}
    return made, unmapped


class _Facts(NamedTuple):
    """What both records of a request say of it."""

    of: str
    """The request's id as the event has it."""
    request_id: str
    activity: int
    actor: orjson.Fragment
    source: object
    listener: orjson.Fragment
    api: Json
    rule: "_Rule"
    http_request: Json | None
    unmapped: Json


def _facts(exchange: Exchange, request_id: str) -> _Facts:
    """Give the facts; made once, for an exchange does not change any more when it is decided."""
    kept = exchange.recorded
    if isinstance(kept, _Facts) and kept.of == request_id:
        return kept
    peer, route, claims, signature = exchange.peer, exchange.route, exchange.claims, exchange.signature
    connection, rule = _connection(peer), _rule(route)
    cleaned_id = clean_id(request_id)
    api: Json = {"operation": rule.name}
    unmapped: Json = {"connection_id": connection.id, "controls_passed": _passed(tuple(exchange.passed))}
    if route is not None:
        api["service"] = rule.service
        unmapped["controls_off"] = rule.controls_off
    if claims is not None:
        api["token"] = _token(claims.token_id, claims.issued_at, claims.expires)
    activity, http_request = 0, None
    if exchange.head is not None:
        activity = _ACTIVITY.get(exchange.head.method, _OTHER_ACTIVITY)
        http_request = _http_request(exchange.head, exchange.body, cleaned_id, unmapped)
    if signature is not None:
        unmapped["key_id"] = clean(signature.key_id)
        if signature.created is not None:
            unmapped["signed_at"] = milliseconds(signature.created)
        if signature.nonce is not None:
            unmapped["nonce_sha256"] = _digest(signature.nonce)
    if connection.tls is not None:
        unmapped["tls"] = connection.tls
    source = connection.source if exchange.client_address is peer.address else _source(exchange)
    actor = _actor_of(exchange)
    made = _Facts(
        request_id, cleaned_id, activity, actor, source, connection.listener, api, rule, http_request, unmapped
    )
    exchange.recorded = made
    return made


def _http_request(head: RequestHead, body: bytes | None, request_id: str, unmapped: Json) -> Json:
    made: Json = {
        "uid": request_id,
        "http_method": clean(head.method),
        "version": clean(head.version),
        "url": {"scheme": "https", "hostname": clean(head.host, TEXT), "path": clean(head.path, LONG)},
    }
    if head.query is not None:
        # Names of parameters may be as secret as their values: `?eyJ…` is a token without a name.
        unmapped["query_bytes"] = len(head.query)
    length, unmapped["body"] = _body(head, body)
    if length is not None and length < _BODY_LENGTH:
        made["body_length"] = length
    return made


def _body(head: RequestHead, body: bytes | None) -> tuple[int | None, str]:
    """Give the body's length and how it is known."""
    if not head.has_body:
        return 0, "none"
    if body is not None:
        return len(body), "read"
    return head.content_length, "declared" if head.content_length is not None else "unknown"


def _source(exchange: Exchange) -> object:
    connection = _connection(exchange.peer)
    if exchange.client_address == exchange.peer.address:
        return connection.source
    return {"ip": str(exchange.client_address), "proxy_endpoint": connection.source}


def _actor_of(exchange: Exchange) -> orjson.Fragment:
    partner = None if exchange.partner is None else exchange.partner.name
    if exchange.claims is None:
        return _actor(partner, None)
    issuer = exchange.policy.issuers[exchange.claims.issuer]
    return _actor(partner, (exchange.claims.subject, issuer.name, issuer.issuer))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(seconds: float) -> int:
    """Milliseconds as OCSF's duration: whole ones."""
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def _exact(seconds: float) -> float:
    return round(seconds * 1000, 3)


# What many requests share: made once, in bounded memory


@once(capacity=64)
def policy_facts(policy: Policy) -> PolicyFacts:
    """Give name and digest of a policy."""
    return PolicyFacts(policy.name, policy.digest)


class _Connection(NamedTuple):
    id: str
    source: orjson.Fragment
    listener: orjson.Fragment
    tls: orjson.Fragment | None


@once(capacity=2048)
def _connection(peer: Peer) -> _Connection:
    return _Connection(
        id=clean_id(peer.connection_id),
        source=fragment(endpoint(peer.address, peer.port)),
        listener=fragment({"svc_name": clean(peer.listener)}),
        tls=None if peer.tls is None else tls_fragment(peer.tls),
    )


class _Rule(NamedTuple):
    name: str
    service: orjson.Fragment | None
    controls_off: orjson.Fragment | None
    allowed: orjson.Fragment
    """As `authorizations` of an allow."""
    denied: orjson.Fragment


@once(capacity=4096)
def _rule(route: Route | None) -> _Rule:
    """Give what a route says in records; None: no route was found."""
    name = UNKNOWN if route is None else clean(route.name)
    service = controls_off = None
    if route is not None:
        service = fragment({"name": clean(route.upstream.name)})
        controls_off = fragment(
            [{"control": clean(off.control), "because": clean(off.because)} for off in route.switched_off[:12]]
        )
    policy = {"name": name, "type": "route"}
    allowed, denied = (fragment([{"decision": verdict, "policy": policy}]) for verdict in ("allowed", "denied"))
    return _Rule(name, service, controls_off, allowed, denied)


@lru_cache(maxsize=1024)
def _passed(controls: tuple[str, ...]) -> orjson.Fragment:
    return fragment([clean(name) for name in controls[:16]])


@lru_cache(maxsize=4096)
def _actor(partner: str | None, user: tuple[str, str, str] | None) -> orjson.Fragment:
    """`user`: the token's subject, name and iss of its issuer."""
    made: Json = {}
    if partner is not None:
        made["app_uid"] = clean(partner)
    if user is not None:
        subject, name, issuer = user
        made["user"] = {"uid": clean(subject, TEXT)}
        made["idp"] = {"name": clean(name), "issuer": clean(issuer)}
    return fragment(made or {"app_name": UNKNOWN})


@lru_cache(maxsize=4096)
def _token(token_id: str | None, issued_at: Instant, expires: Instant) -> orjson.Fragment:
    made: Json = {
        "type": "access token",
        "type_id": 99,
        "created_time": milliseconds(issued_at),
        "expiration_time": milliseconds(expires),
    }
    if token_id is not None:
        made["uid"] = clean_id(token_id)
    return fragment(made)
