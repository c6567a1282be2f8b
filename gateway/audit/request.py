"""Records of requests: `decision`, and `outcome` of an allow. Each field is named here (docs/audit.md lists them).

Two of them stand on the way of every request. So a line is put together from members that are serialised already:

1. what many requests share (`_Frame`, `_Caller`, the target): made once, found again by what it is made of
2. what both records of a request share (`_Facts`): made with the decision, kept with the exchange for the outcome
3. what is a record's own: made each time
"""

import hashlib
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

import orjson

from gateway.audit.digests import digests
from gateway.audit.events import PolicyFacts, RequestDecided, RequestFinished
from gateway.audit.ocsf import (
    ALLOWED,
    ANSWERED,
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
    members,
    metadata,
    milliseconds,
    more,
    policy_object,
    tls_fragment,
)
from gateway.audit.redact import LONG, TEXT, clean, clean_all, clean_id, without_query
from gateway.core.exchange import Exchange
from gateway.core.facts import Claims
from gateway.core.memo import Bounded, Memo
from gateway.core.message import RequestHead
from gateway.core.reasons import Reason

_BODY_LENGTH = 2**40
"""A declared length from here on is no length, but a number somebody else chose: it is left out."""

_ACTIVITY = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
_OTHER_ACTIVITY = 99

_VERDICTS = {ALLOWED: "allowed", DENIED: "denied", ANSWERED: "answered as before"}
_SUCCESSES = frozenset({Reason.ALLOWED, Reason.IDEMPOTENCY_ANSWERED})

_SHORT_TARGET = 384
"""Bytes up to which it is worth the memory to remember a target."""


def decision(event: RequestDecided, sequence: int, origin: str) -> bytes:
    """Give the line of a decision."""
    made, unread = event.decision, event.unread
    own = b""
    if made.control is not None or unread is not None:
        unmapped: Json = {}
        if made.control is not None:
            by = "denied_by" if made.answer is None else "answered_by"
            unmapped[by] = clean(made.control)
        if unread is not None:
            unmapped["unread"] = clean(without_query(unread), LONG)
        own = more(unmapped)
    duration = _whole(event.gate_seconds)
    if event.status is None:
        last = b'"duration":%d}\n' % duration
    else:
        last = b'"http_response":{"code":%d},"duration":%d}\n' % (event.status, duration)
    return _line(event, sequence, origin, (Kind.DECISION, made.reason, made.detail), own, last)


def outcome(event: RequestFinished, sequence: int, origin: str) -> bytes:
    """Give the line of an outcome."""
    upstream = event.upstream_seconds
    own = b"" if upstream is None else b',"upstream_ms":' + _exact(upstream)
    last = b'"duration":%d}\n' % _whole(event.gate_seconds + (upstream or 0.0))
    if event.status is not None:
        latency = b"" if upstream is None else b',"latency":%d' % _whole(upstream)
        last = b'"http_response":{"code":%d,"body_length":%d%b},%b' % (
            event.status, event.response_bytes, latency, last,
        )  # fmt: skip
    return _line(event, sequence, origin, (Kind.OUTCOME, event.reason, event.detail), own, last)


def _line(
    event: RequestDecided | RequestFinished, sequence: int, origin: str, verdict: tuple[Kind, Reason, str],
    own: bytes, last: bytes,
) -> bytes:  # fmt: skip
    """Put a line together; `own` and `last` are its own members at the end of `unmapped` and of the record."""
    decided = event.decision
    exchange, action = decided.exchange, ALLOWED
    if not decided.allowed:
        action = DENIED if decided.answer is None else ANSWERED
    kind, reason, detail = verdict
    facts = exchange.recorded
    if not isinstance(facts, _Facts) or facts.id != event.request_id or facts.action != action:
        facts = exchange.recorded = _facts(exchange, event.request_id, action)
    caller, policy = facts.caller, exchange.policy
    frame = _frame(kind, policy.name, policy.digest, facts.activity, reason, action)
    return b"".join(
        (
            b'{"time":%d,' % milliseconds(event.at),
            frame.metadata,
            facts.request_id,
            b',"sequence":%d,"uid":"%b:%d"},' % (sequence, origin.encode("ascii"), sequence),
            frame.codes,
            orjson.dumps(clean(without_query(detail), LONG)) if detail else b'""',
            frame.message,
            caller.members,
            facts.http_request,
            b',"unmapped":{"gate_ms":',
            _exact(event.gate_seconds),
            caller.unmapped,
            facts.unmapped,
            caller.tls,
            own,
            b"},",
            last,
        )
    )


def _whole(seconds: float) -> int:
    """Milliseconds as OCSF's duration: whole ones."""
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def _exact(seconds: float) -> bytes:
    """Milliseconds with their fractions, as JSON."""
    exact = seconds * 1000
    return b"%.3f" % exact if isfinite(exact) else b"null"


# What both records of a request share


class _Facts(NamedTuple):
    """What was verified of a request, and what it says of itself."""

    id: str
    """Of the request, as the event has it; `request_id` is the same as JSON."""
    action: int
    activity: int
    caller: "_Caller"
    request_id: bytes
    http_request: bytes
    unmapped: bytes


def _facts(exchange: Exchange, request_id: str, action: int) -> _Facts:
    """Give the facts of an exchange that is decided: it does not change any more."""
    head, signature = exchange.head, exchange.signature
    cleaned_id = orjson.dumps(clean_id(request_id))
    activity, http_request, unmapped = 0, b"", b""
    if head is not None:
        activity = _ACTIVITY.get(head.method, _OTHER_ACTIVITY)
        length, unmapped = _body(head, exchange.body)
        if head.query is not None:
            # Names of parameters may be as secret as their values: `?eyJ…` is a token without a name.
            unmapped = b',"query_bytes":%d%b' % (len(head.query), unmapped)
        body_length = b"" if length is None or length >= _BODY_LENGTH else b',"body_length":%d' % length
        http_request = b',"http_request":{"uid":%b%b%b}' % (cleaned_id, _target(head), body_length)
    if signature is not None:
        unmapped = unmapped + b',"key_id":' + _KEY_IDS[signature.key_id]
        if signature.created is not None:
            unmapped += b',"signed_at":%d' % milliseconds(signature.created)
        if signature.nonce is not None:
            unmapped += b',"nonce_sha256":"%b"' % _digest(signature.nonce)
    if exchange.policy.audit.digests is not None:
        unmapped += more({"digests": digests(exchange, exchange.policy.audit.digests)})
    if exchange.operation is not None:
        unmapped += b',"idempotency_key_sha256":"%b"' % hashlib.sha256(exchange.operation).hexdigest().encode("ascii")
    if exchange.marks:
        unmapped += more({"marks": [clean(mark) for mark in exchange.marks[:8]]})
    return _Facts(request_id, action, activity, _caller_of(exchange, action), cleaned_id, http_request, unmapped)


def _body(head: RequestHead, body: bytes | None) -> tuple[int | None, bytes]:
    """Give the body's length and how it is known."""
    if not head.has_body:
        return 0, b',"body":"none"'
    if body is not None:
        return len(body), b',"body":"read"'
    if head.content_length is not None:
        return head.content_length, b',"body":"declared"'
    return None, b',"body":"unknown"'


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest().encode("ascii")


# What many requests share: made once, and kept in bounded memory

_CALLERS = Bounded[tuple[object, ...], tuple[tuple[object, ...], "_Caller"]](capacity=4096)
_KEY_IDS = Memo[str, bytes](lambda key_id: orjson.dumps(clean(key_id)))
_TARGETS = Bounded[tuple[str, ...], bytes](capacity=4096)


class _Frame(NamedTuple):
    """What does not tell one request from another with the same verdict."""

    metadata: bytes
    """Up to the value of `correlation_uid`."""
    codes: bytes
    """From `category_uid` up to the value of `status_detail`."""
    message: bytes


@lru_cache(maxsize=1024)
def _frame(kind: Kind, policy: str, digest: str, activity: int, reason: Reason, action: int) -> _Frame:
    codes: Json = {
        **classes(kind, activity),
        "severity_id": SEVERITY[reason],
        "policy": policy_object(PolicyFacts(policy, digest)),
        "action_id": action,
        "disposition_id": DISPOSITION[reason],
        "status_id": SUCCESS if reason in _SUCCESSES else FAILURE,
        "status_code": reason.code,
    }
    return _Frame(
        b'"metadata":{%b,"correlation_uid":' % members(metadata(kind, policy)),
        b'%b,"status_detail":' % members(codes),
        b",%b," % members({"message": reason.title}),
    )


def _target(head: RequestHead) -> bytes:
    """Give what `http_request` says of the target; kept if short and harmless, so never with a secret."""
    target = head.method, head.version, head.host, head.path
    known = _TARGETS.get(target)
    if known is not None:
        return known
    cleaned = clean(head.method), clean(head.version), clean(head.host, TEXT), clean(head.path, LONG)
    method, version, host, path = cleaned
    url = {"scheme": "https", "hostname": host, "path": path}
    made = more({"http_method": method, "version": version, "url": url})
    return _TARGETS.keep(target, made) if cleaned == target and len(made) <= _SHORT_TARGET else made


class _Caller(NamedTuple):
    """Who calls what, from where, and how far that was verified."""

    members: bytes
    """From `actor` to `authorizations`."""
    unmapped: bytes
    """From `connection_id` to `controls_off`."""
    tls: bytes


def _caller_of(exchange: Exchange, action: int) -> _Caller:
    """Give the caller, known by all that `_caller` takes of the exchange.

    It counts by its identity, which nothing else has while it is held.
    """
    peer, route, claims, partner = exchange.peer, exchange.route, exchange.claims, exchange.partner
    issuer = None if claims is None else exchange.policy.issuers[claims.issuer]
    address = None if exchange.client_address is peer.address else exchange.client_address
    key = id(peer), id(route), id(claims), id(issuer), id(partner), address, tuple(exchange.passed), action
    known = _CALLERS.get(key)
    if known is None:
        known = _CALLERS.keep(key, ((peer, route, claims, issuer, partner), _caller(exchange, action)))
    return known[1]


def _caller(exchange: Exchange, action: int) -> _Caller:
    peer, route, claims = exchange.peer, exchange.route, exchange.claims
    rule = UNKNOWN if route is None else clean(route.name)
    api: Json = {"operation": rule}
    unmapped: Json = {
        "connection_id": clean_id(peer.connection_id),
        "controls_passed": [clean(name) for name in exchange.passed[:16]],
    }
    if route is not None:
        api["service"] = {"name": clean(route.upstream.name)}
        unmapped["controls_off"] = [
            {"control": clean(off.control), "because": clean(off.because)} for off in route.switched_off[:12]
        ]
        if route.signed_by is not None:
            unmapped["scheme"] = clean(route.signed_by.scheme)
            if route.signed_by.weaknesses:
                unmapped["weaknesses"] = clean_all(route.signed_by.weaknesses, TEXT, 8)
    if claims is not None:
        api["token"] = _token(claims)
    verdict = {"decision": _VERDICTS[action], "policy": {"name": rule, "type": "route"}}
    shared: Json = {
        "actor": _actor(exchange),
        "src_endpoint": _source(exchange),
        "dst_endpoint": {"svc_name": clean(peer.listener)},
        "api": api,
        "authorizations": [verdict],
    }
    tls: Json = {} if peer.tls is None else {"tls": tls_fragment(peer.tls)}
    return _Caller(members(shared), more(unmapped), more(tls))


def _actor(exchange: Exchange) -> Json:
    made: Json = {}
    if exchange.partner is not None:
        made["app_uid"] = clean(exchange.partner.name)
    if exchange.claims is not None:
        issuer = exchange.policy.issuers[exchange.claims.issuer]
        made["user"] = {"uid": clean(exchange.claims.subject, TEXT)}
        made["idp"] = {"name": clean(issuer.name), "issuer": clean(issuer.issuer)}
    return made or {"app_name": UNKNOWN}


def _source(exchange: Exchange) -> Json:
    client, peer = exchange.client_address, exchange.peer
    if client == peer.address:
        return endpoint(peer.address, peer.port)
    return {"ip": str(client), "proxy_endpoint": endpoint(peer.address, peer.port)}


def _token(claims: Claims) -> Json:
    made: Json = {
        "type": "access token",
        "type_id": 99,
        "created_time": milliseconds(claims.issued_at),
        "expiration_time": milliseconds(claims.expires),
    }
    if claims.token_id is not None:
        made["uid"] = clean_id(claims.token_id)
    return made
