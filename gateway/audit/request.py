"""Records of requests: `decision`, and `outcome` of an allow. Each field is named here (docs/audit.md lists them).

Two of them stand on the way of every request. So a line is put together from members that are serialised already:

1. what many requests share (policy, verdict, caller): made once, in the functions marked `once` and `lru_cache`
2. what both records of a request share (`_Facts`): made with the decision, kept with the exchange for the outcome
3. what is a record's own: made each time
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
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
    UNKNOWN,
    Json,
    Kind,
    classes,
    endpoint,
    fragment,
    members,
    metadata,
    milliseconds,
    more,
    policy_object,
    tls_fragment,
)
from gateway.audit.once import once
from gateway.audit.redact import LONG, TEXT, clean, clean_id, without_query
from gateway.core.exchange import Exchange
from gateway.core.facts import Claims
from gateway.core.memo import Bounded
from gateway.core.message import Address, Instant, Peer, RequestHead
from gateway.core.policy import Issuer, Route
from gateway.core.reasons import Reason

_BODY_LENGTH = 2**40
"""A declared length from here on is no length, but a number somebody else chose: it is left out."""

_ACTIVITY = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
_OTHER_ACTIVITY = 99

_TARGETS = Bounded[tuple[str, str, str, str], bytes](longest=256, size=lambda key: len("".join(key)))
"""What `http_request` says of methods, versions, hosts and paths that came before and were harmless."""


def decision(event: RequestDecided, sequence: int, origin: str) -> bytes:
    """Give the line of a decision."""
    denied_by, unread = event.decision.control, event.unread
    unmapped: Json = {}
    if denied_by is not None:
        unmapped["denied_by"] = clean(denied_by)
    if unread is not None:
        unmapped["unread"] = clean(without_query(unread), LONG)
    last: Json = {} if event.status is None else {"http_response": {"code": event.status}}
    last["duration"] = _whole(event.gate_seconds)
    verdict = Kind.DECISION, event.decision.reason, event.decision.detail
    return _line(event, sequence, origin, verdict, unmapped, last)


def outcome(event: RequestFinished, sequence: int, origin: str) -> bytes:
    """Give the line of an outcome."""
    upstream = event.upstream_seconds
    unmapped: Json = {} if upstream is None else {"upstream_ms": _exact(upstream)}
    last: Json = {}
    if event.status is not None:
        response: Json = {"code": event.status, "body_length": event.response_bytes}
        if upstream is not None:
            response["latency"] = _whole(upstream)
        last["http_response"] = response
    last["duration"] = _whole(event.gate_seconds + (upstream or 0.0))
    return _line(event, sequence, origin, (Kind.OUTCOME, event.reason, event.detail), unmapped, last)


def _line(
    event: RequestDecided | RequestFinished, sequence: int, origin: str, verdict: tuple[Kind, Reason, str],
    unmapped: Json, last: Json,
) -> bytes:  # fmt: skip
    """Put a line together; `unmapped` and `last` are its own members at the end of `unmapped` and of the record."""
    exchange, allowed = event.decision.exchange, event.decision.allowed
    policy = exchange.policy
    kind, reason, detail = verdict
    facts = exchange.recorded
    if not isinstance(facts, _Facts) or facts.of != (event.request_id, allowed):
        facts = exchange.recorded = _facts(exchange, event.request_id, allowed)
    caller = facts.caller
    frame = _frame(kind, policy.name, policy.digest, facts.activity, reason, allowed)
    return b"".join(
        (
            b'{"time":%d,' % milliseconds(event.at),
            frame.metadata,
            facts.request_id,
            b',"sequence":%d,"uid":"%b:%d"},' % (sequence, origin.encode(), sequence),
            frame.codes,
            orjson.dumps(clean(without_query(detail), LONG)) if detail else b'""',
            frame.message,
            caller.members,
            facts.http_request,
            b',"unmapped":{"gate_ms":',
            orjson.dumps(_exact(event.gate_seconds)),
            caller.unmapped,
            facts.unmapped,
            caller.tls,
            more(unmapped),
            b"},",
            members(last),
            b"}\n",
        )
    )


def _whole(seconds: float) -> int:
    """Milliseconds as OCSF's duration: whole ones."""
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def _exact(seconds: float) -> float:
    return round(seconds * 1000, 3)


# What both records of a request share


class _Facts(NamedTuple):
    """What was verified of a request, and what it says of itself."""

    of: tuple[str, bool]
    """The request's id as the event has it, and whether it was allowed."""
    request_id: bytes
    activity: int
    caller: "_Caller"
    http_request: bytes
    unmapped: bytes


def _facts(exchange: Exchange, request_id: str, allowed: bool) -> _Facts:
    """Give the facts; an exchange does not change any more once it is decided."""
    head, signature = exchange.head, exchange.signature
    made_id = orjson.dumps(clean_id(request_id))
    unmapped: Json = {}
    activity, http_request = 0, b""
    if head is not None:
        activity = _ACTIVITY.get(head.method, _OTHER_ACTIVITY)
        if head.query is not None:
            # Names of parameters may be as secret as their values: `?eyJ…` is a token without a name.
            unmapped["query_bytes"] = len(head.query)
        length, unmapped["body"] = _body(head, exchange.body)
        body_length: Json = {} if length is None or length >= _BODY_LENGTH else {"body_length": length}
        http_request = b',"http_request":{"uid":%b%b%b}' % (made_id, _target(head), more(body_length))
    if signature is not None:
        unmapped["key_id"] = clean(signature.key_id)
        if signature.created is not None:
            unmapped["signed_at"] = milliseconds(signature.created)
        if signature.nonce is not None:
            unmapped["nonce_sha256"] = _digest(signature.nonce)
    caller = _caller_of(exchange, allowed)
    return _Facts((request_id, allowed), made_id, activity, caller, http_request, more(unmapped))


def _target(head: RequestHead) -> bytes:
    target = head.method, head.version, head.host, head.path
    made = _TARGETS.get(target)
    if made is None:
        method, version, host, path = (
            clean(head.method),
            clean(head.version),
            clean(head.host, TEXT),
            clean(head.path, LONG),
        )
        url = {"scheme": "https", "hostname": host, "path": path}
        made = more({"http_method": method, "version": version, "url": url})
        if (method, version, host, path) == target:
            _TARGETS.keep(target, made)
    return made


def _body(head: RequestHead, body: bytes | None) -> tuple[int | None, str]:
    """Give the body's length and how it is known."""
    if not head.has_body:
        return 0, "none"
    if body is not None:
        return len(body), "read"
    return head.content_length, "declared" if head.content_length is not None else "unknown"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# What many requests share


class _Frame(NamedTuple):
    """What does not tell one request from another with the same verdict."""

    metadata: bytes
    """Up to the value of `correlation_uid`."""
    codes: bytes
    """From `category_uid` up to the value of `status_detail`."""
    message: bytes


@lru_cache(maxsize=1024)
def _frame(kind: Kind, policy: str, digest: str, activity: int, reason: Reason, allowed: bool) -> _Frame:
    codes: Json = {
        **classes(kind, activity),
        "severity_id": SEVERITY[reason],
        "policy": policy_object(PolicyFacts(policy, digest)),
        "action_id": ALLOWED if allowed else DENIED,
        "disposition_id": DISPOSITION[reason],
        "status_id": SUCCESS if reason is Reason.ALLOWED else FAILURE,
        "status_code": reason.code,
    }
    return _Frame(
        b'"metadata":{%b,"correlation_uid":' % members(metadata(kind, policy)),
        b'%b,"status_detail":' % members(codes),
        b",%b," % members({"message": reason.title}),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    id: str
    source: orjson.Fragment
    listener: orjson.Fragment
    tls: bytes


@once(capacity=2048)
def _connection(peer: Peer) -> _Connection:
    return _Connection(
        id=clean_id(peer.connection_id),
        source=fragment(endpoint(peer.address, peer.port)),
        listener=fragment({"svc_name": clean(peer.listener)}),
        tls=b"" if peer.tls is None else more({"tls": tls_fragment(peer.tls)}),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    name: str
    service: orjson.Fragment | None
    """None: no route was found."""
    controls_off: orjson.Fragment | None


@once(capacity=4096)
def _rule(route: Route | None) -> _Rule:
    if route is None:
        return _Rule(UNKNOWN, None, None)
    off = [{"control": clean(off.control), "because": clean(off.because)} for off in route.switched_off[:12]]
    return _Rule(clean(route.name), fragment({"name": clean(route.upstream.name)}), fragment(off))


class _Caller(NamedTuple):
    """Who calls what, from where, and what the chain made of it."""

    members: bytes
    """From `actor` to `authorizations`."""
    unmapped: bytes
    """From `connection_id` to `controls_off`."""
    tls: bytes


type _User = tuple[str, str, str, str | None, Instant, Instant]
"""Of a token that was verified: subject, name and iss of its issuer, id, issued at, expires."""


def _caller_of(exchange: Exchange, allowed: bool) -> _Caller:
    peer, partner, client = exchange.peer, exchange.partner, exchange.client_address
    return _caller(
        _connection(peer),
        None if client is peer.address or client == peer.address else client,
        None if partner is None else partner.name,
        None if exchange.claims is None else _user(exchange.claims, exchange.policy.issuers),
        _rule(exchange.route),
        tuple(exchange.passed),
        allowed,
    )


def _user(claims: Claims, issuers: Mapping[str, Issuer]) -> _User:
    issuer = issuers[claims.issuer]
    return claims.subject, issuer.name, issuer.issuer, claims.token_id, claims.issued_at, claims.expires


@lru_cache(maxsize=2048)
def _caller(
    connection: _Connection, proxied: Address | None, partner: str | None, user: _User | None, rule: _Rule,
    passed: tuple[str, ...], allowed: bool,
) -> _Caller:  # fmt: skip
    """`proxied` is the client's address where the peer is a proxy."""
    source, verdict = connection.source, "allowed" if allowed else "denied"
    api: Json = {"operation": rule.name}
    unmapped: Json = {"connection_id": connection.id, "controls_passed": [clean(name) for name in passed[:16]]}
    if rule.service is not None:
        api["service"] = rule.service
        unmapped["controls_off"] = rule.controls_off
    if user is not None:
        api["token"] = _token(user)
    shared: Json = {
        "actor": _actor(partner, user),
        "src_endpoint": source if proxied is None else {"ip": str(proxied), "proxy_endpoint": source},
        "dst_endpoint": connection.listener,
        "api": api,
        "authorizations": [{"decision": verdict, "policy": {"name": rule.name, "type": "route"}}],
    }
    return _Caller(members(shared), more(unmapped), connection.tls)


def _actor(partner: str | None, user: _User | None) -> Json:
    made: Json = {}
    if partner is not None:
        made["app_uid"] = clean(partner)
    if user is not None:
        subject, issuer, iss, *_ = user
        made["user"] = {"uid": clean(subject, TEXT)}
        made["idp"] = {"name": clean(issuer), "issuer": clean(iss)}
    return made or {"app_name": UNKNOWN}


def _token(user: _User) -> Json:
    *_, token_id, issued_at, expires = user
    made: Json = {
        "type": "access token",
        "type_id": 99,
        "created_time": milliseconds(issued_at),
        "expiration_time": milliseconds(expires),
    }
    if token_id is not None:
        made["uid"] = clean_id(token_id)
    return made
