"""Records of requests: `decision`, and `outcome` of an allow. Each field is named here (docs/audit.md lists them).

Two stand on the way of every request, so they are put together from members that are serialised already:

1. what many requests share (policy, verdict, connection, route, token): made once, in the functions marked `once` and
   `lru_cache`, in bounded memory
2. what both records of one request share (`_Facts`): made with the decision, kept with the exchange for the outcome
3. what is each record's own: made each time
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import orjson

from gateway.audit.events import PolicyFacts, RequestDecided, RequestFinished
from gateway.audit.line import Json, Record, fragment, members
from gateway.audit.ocsf import (
    ALLOWED,
    DENIED,
    DISPOSITION,
    FAILURE,
    SEVERITY,
    SUCCESS,
    UNKNOWN,
    Kind,
    classes,
    endpoint,
    metadata,
    milliseconds,
    policy_object,
    tls_fragment,
)
from gateway.audit.once import once
from gateway.audit.redact import LONG, TEXT, clean, clean_id, without_query
from gateway.core.exchange import Exchange
from gateway.core.message import Instant, Peer, RequestHead
from gateway.core.policy import Policy, Route
from gateway.core.reasons import Reason

_BODY_LENGTH = 2**40
"""A declared length from here on is no length, but a number somebody else chose: it is left out."""

_ACTIVITY = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
_OTHER_ACTIVITY = 99


def decision(event: RequestDecided) -> Record:
    """Give the record of a decision."""
    control, unread = event.decision.control, event.unread
    unmapped: Json = {}
    if control is not None:
        unmapped["denied_by"] = clean(control)
    if unread is not None:
        unmapped["unread"] = clean(without_query(unread), LONG)
    last: Json = {"duration": _whole(event.gate_seconds)}
    if event.status is not None:
        last = {"http_response": {"code": event.status}, **last}
    return _request(Kind.DECISION, event, event.decision.reason, event.decision.detail, unmapped, last)


def outcome(event: RequestFinished) -> Record:
    """Give the record of an outcome."""
    upstream = event.upstream_seconds
    unmapped: Json = {} if upstream is None else {"upstream_ms": _exact(upstream)}
    last: Json = {}
    if event.status is not None:
        response: Json = {"code": event.status, "body_length": event.response_bytes}
        if upstream is not None:
            response["latency"] = _whole(upstream)
        last["http_response"] = response
    last["duration"] = _whole(event.gate_seconds + (upstream or 0.0))
    return _request(Kind.OUTCOME, event, event.reason, event.detail, unmapped, last)


def _request(
    kind: Kind, event: RequestDecided | RequestFinished, reason: Reason, detail: str, unmapped: Json, last: Json
) -> Record:
    """Put a record together; `unmapped` and `last` are the members of its own at the end of `unmapped` and of all."""
    exchange, allowed = event.decision.exchange, event.decision.allowed
    facts = _facts(exchange, event.request_id, allowed=allowed)
    verdict = _verdict(exchange.policy.name, exchange.policy.digest, facts.activity, reason, allowed)
    return Record(
        b'{"time":%d,"metadata":{%b,"correlation_uid":%b'
        % (milliseconds(event.at), _metadata(kind, exchange.policy.name), facts.request_id),
        b'},%b,"status_detail":%b,%b,%b,"unmapped":{"gate_ms":%b,%b%b},%b}'
        % (
            verdict.codes,
            orjson.dumps(clean(without_query(detail), LONG)),
            verdict.message,
            facts.members,
            orjson.dumps(_exact(event.gate_seconds)),
            facts.unmapped,
            b"," + members(unmapped) if unmapped else b"",
            members(last),
        ),
    )


# What both records of a request share


class _Facts(NamedTuple):
    """What was verified of a request; the fields from `request_id` on are JSON."""

    of: tuple[str, bool]
    """The request's id as the event has it, and whether it was allowed."""
    activity: int
    request_id: bytes
    members: bytes
    """From `actor` to `http_request`."""
    unmapped: bytes
    """Those members of `unmapped` that are the same in both records."""


def _facts(exchange: Exchange, request_id: str, *, allowed: bool) -> _Facts:
    """Give the facts; made once, for an exchange does not change any more when it is decided."""
    kept = exchange.recorded
    if isinstance(kept, _Facts) and kept.of == (request_id, allowed):
        return kept
    head, claims, signature = exchange.head, exchange.claims, exchange.signature
    connection, rule = _connection(exchange.peer), _rule(exchange.route)
    cleaned_id = clean_id(request_id)
    api: Json = {"operation": rule.name}
    unmapped: Json = {"connection_id": connection.id, "controls_passed": _passed(tuple(exchange.passed))}
    if exchange.route is not None:
        api["service"] = rule.service
        unmapped["controls_off"] = rule.controls_off
    if claims is not None:
        api["token"] = _token(claims.token_id, claims.issued_at, claims.expires)
    shared: Json = {
        "actor": _actor_of(exchange),
        "src_endpoint": _source(exchange, connection),
        "dst_endpoint": connection.listener,
        "api": api,
        "authorizations": rule.allowed if allowed else rule.denied,
    }
    if head is not None:
        shared["http_request"] = _http_request(head, exchange.body, cleaned_id, unmapped)
    if signature is not None:
        unmapped["key_id"] = clean(signature.key_id)
        if signature.created is not None:
            unmapped["signed_at"] = milliseconds(signature.created)
        if signature.nonce is not None:
            unmapped["nonce_sha256"] = _digest(signature.nonce)
    if connection.tls is not None:
        unmapped["tls"] = connection.tls
    activity = 0 if head is None else _ACTIVITY.get(head.method, _OTHER_ACTIVITY)
    made = _Facts((request_id, allowed), activity, orjson.dumps(cleaned_id), members(shared), members(unmapped))
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


def _source(exchange: Exchange, connection: "_Connection") -> object:
    client, address = exchange.client_address, exchange.peer.address
    if client is address or client == address:
        return connection.source
    return {"ip": str(client), "proxy_endpoint": connection.source}


def _actor_of(exchange: Exchange) -> orjson.Fragment:
    partner = None if exchange.partner is None else exchange.partner.name
    if exchange.claims is None:
        return _actor(partner, None, None, None)
    issuer = exchange.policy.issuers[exchange.claims.issuer]
    return _actor(partner, exchange.claims.subject, issuer.name, issuer.issuer)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(seconds: float) -> int:
    """Milliseconds as OCSF's duration: whole ones."""
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def _exact(seconds: float) -> float:
    return round(seconds * 1000, 3)


# What many requests share


@once(capacity=64)
def policy_facts(policy: Policy) -> PolicyFacts:
    """Give name and digest of a policy."""
    return PolicyFacts(policy.name, policy.digest)


@lru_cache(maxsize=256)
def _metadata(kind: Kind, policy_name: str) -> bytes:
    return members(metadata(kind, policy_name))


class _Verdict(NamedTuple):
    codes: bytes
    message: bytes


@lru_cache(maxsize=1024)
def _verdict(policy_name: str, policy_digest: str, activity: int, reason: Reason, allowed: bool) -> _Verdict:
    codes: Json = {
        **classes(Kind.DECISION, activity),
        "severity_id": SEVERITY[reason],
        "policy": policy_object(PolicyFacts(policy_name, policy_digest)),
        "action_id": ALLOWED if allowed else DENIED,
        "disposition_id": DISPOSITION[reason],
        "status_id": SUCCESS if reason is Reason.ALLOWED else FAILURE,
        "status_code": reason.code,
    }
    return _Verdict(members(codes), members({"message": reason.title}))


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
    """`authorizations` of an allow."""
    denied: orjson.Fragment


@once(capacity=4096)
def _rule(route: Route | None) -> _Rule:
    """Give what records say of a route; None: none was found."""
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
def _actor(partner: str | None, subject: str | None, issuer: str | None, iss: str | None) -> orjson.Fragment:
    """Give who called; `subject`, `issuer` and its `iss` are of the token, where one was verified."""
    made: Json = {}
    if partner is not None:
        made["app_uid"] = clean(partner)
    if subject is not None and issuer is not None and iss is not None:
        made["user"] = {"uid": clean(subject, TEXT)}
        made["idp"] = {"name": clean(issuer), "issuer": clean(iss)}
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
