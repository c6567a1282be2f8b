"""Events become OCSF 1.8.0 records: each field is named here, nothing is copied whole (docs/audit.md lists them)."""

import hashlib
from functools import singledispatch

import orjson

from gateway.audit.events import (
    ConnectionRefused,
    ControlFailed,
    ControlRecovered,
    Event,
    GateStarted,
    GateStopped,
    PolicyFacts,
    PolicyLoaded,
    PolicyRefused,
    RequestDecided,
    RequestFinished,
)
from gateway.audit.ocsf import (
    ALLOWED,
    DENIED,
    DISPOSITION,
    FAILURE,
    HIGH,
    INFORMATIONAL,
    LOW,
    PRODUCT,
    SEVERITY,
    SUCCESS,
    Json,
    Kind,
    endpoint,
    envelope,
    milliseconds,
    policy_object,
    tls_fragment,
)
from gateway.audit.redact import LONG, TEXT, clean, clean_all, clean_digest, clean_id, clean_name, without_query
from gateway.core.exchange import Exchange
from gateway.core.facts import Claims
from gateway.core.message import RequestHead
from gateway.core.reasons import Reason

MAX_LINE = 65_535
"""Bytes of a line without its end: the longest entry a C2SP tlog-tiles bundle takes. The limits of the fields keep
every record below it."""

UNKNOWN = "(none)"
"""Where OCSF demands a value and there is none; no name in a policy looks so."""

_BODY_LENGTH = 2**40
"""A declared length from here on is no length, but a number somebody else chose: it is left out."""

_ACTIVITY = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
_OTHER_ACTIVITY = 99


def line(record: Json, sequence: int, origin: str) -> bytes:
    """Give a record as its line in the log, with its place in it. `origin` names the log's writer.

    Raises ValueError where the line would be longer than MAX_LINE.
    """
    metadata: Json = record["metadata"]  # type: ignore[assignment]
    metadata["sequence"] = sequence
    metadata["uid"] = f"{origin}:{sequence}"
    made = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    if len(made) > MAX_LINE + 1:
        raise ValueError(f"a record of {len(made)} bytes")
    return made


def policy_of(event: Event) -> PolicyFacts:
    """Give the policy that was in force."""
    if isinstance(event, RequestDecided | RequestFinished):
        policy = event.decision.exchange.policy
        return PolicyFacts(policy.name, policy.digest)
    return event.policy


@singledispatch
def record(event: Event) -> Json:
    """Give the record of an event, still without its sequence."""
    raise TypeError(f"no record is made of {type(event).__name__}")


@record.register
def _(event: RequestDecided) -> Json:
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


@record.register
def _(event: RequestFinished) -> Json:
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
    decision = event.decision
    exchange = decision.exchange
    head = exchange.request if exchange.head is not None else None
    activity = _ACTIVITY.get(head.method, _OTHER_ACTIVITY) if head is not None else 0
    made = envelope(kind, event.at, policy_of(event), SEVERITY[reason], event.request_id, activity)
    verdict = "allowed" if decision.allowed else "denied"
    route = exchange.route
    made["action_id"] = ALLOWED if decision.allowed else DENIED
    made["disposition_id"] = DISPOSITION[reason]
    made["status_id"] = SUCCESS if reason is Reason.ALLOWED else FAILURE
    made["status_code"] = reason.code
    made["status_detail"] = clean(without_query(detail), LONG)
    made["message"] = reason.title
    made["actor"] = _actor(exchange)
    made["src_endpoint"] = _source(exchange)
    made["dst_endpoint"] = {"svc_name": clean_name(exchange.peer.listener)}
    rule = clean_name(route.name) if route is not None else UNKNOWN
    api: Json = {"operation": rule}
    made["api"] = api
    made["authorizations"] = [{"decision": verdict, "policy": {"name": rule, "type": "route"}}]
    unmapped: Json = {"gate_ms": _exact(event.gate_seconds), "connection_id": clean_id(exchange.peer.connection_id)}
    unmapped["controls_passed"] = [clean_name(name) for name in exchange.passed[:16]]
    if route is not None:
        api["service"] = {"name": clean_name(route.upstream.name)}
        unmapped["controls_off"] = [
            {"control": clean_name(off.control), "because": clean_name(off.because)} for off in route.switched_off[:12]
        ]
    if exchange.claims is not None:
        api["token"] = _token(exchange.claims)
    if head is not None:
        made["http_request"] = _http_request(head, exchange, event.request_id, unmapped)
    if exchange.signature is not None:
        unmapped["key_id"] = clean(exchange.signature.key_id)
        if exchange.signature.created is not None:
            unmapped["signed_at"] = milliseconds(exchange.signature.created)
        if exchange.signature.nonce is not None:
            unmapped["nonce_sha256"] = _digest(exchange.signature.nonce)
    if exchange.peer.tls is not None:
        unmapped["tls"] = tls_fragment(exchange.peer.tls)
    made["unmapped"] = unmapped
    return made, unmapped


def _http_request(head: RequestHead, exchange: Exchange, request_id: str, unmapped: Json) -> Json:
    made: Json = {
        "uid": clean_id(request_id),
        "http_method": clean(head.method),
        "version": clean(head.version),
        "url": {"scheme": "https", "hostname": clean(head.host, TEXT), "path": clean(head.path, LONG)},
    }
    if head.query is not None:
        # Names of parameters may be as secret as their values: `?eyJ…` is a token without a name.
        unmapped["query_bytes"] = len(head.query)
    length, unmapped["body"] = _body(head, exchange.body)
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


def _actor(exchange: Exchange) -> Json:
    made: Json = {}
    if exchange.partner is not None:
        made["app_uid"] = clean_name(exchange.partner.name)
    if exchange.claims is not None:
        issuer = exchange.policy.issuers[exchange.claims.issuer]
        made["user"] = {"uid": clean(exchange.claims.subject, TEXT)}
        made["idp"] = {"name": clean_name(issuer.name), "issuer": clean_name(issuer.issuer)}
    if not made:
        made["app_name"] = UNKNOWN
    return made


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


def _source(exchange: Exchange) -> Json:
    peer = exchange.peer
    if exchange.client_address == peer.address:
        return endpoint(peer.address, peer.port)
    return {"ip": str(exchange.client_address), "proxy_endpoint": endpoint(peer.address, peer.port)}


@record.register
def _(event: ConnectionRefused) -> Json:
    made = envelope(Kind.CONNECTION, event.at, event.policy, SEVERITY[event.reason], event.connection_id)
    connection_id = clean_id(event.connection_id)
    made["action_id"] = DENIED
    made["disposition_id"] = DISPOSITION[event.reason]
    made["status_id"] = FAILURE
    made["status_code"] = event.reason.code
    made["status_detail"] = clean(without_query(event.detail), LONG)
    made["message"] = event.reason.title
    made["src_endpoint"] = endpoint(event.address, event.port)
    made["dst_endpoint"] = {"svc_name": clean(event.listener)}
    made["connection_info"] = {
        "uid": connection_id,
        "direction_id": 1,
        "protocol_name": "tcp",
        "protocol_ver_id": event.address.version,
    }
    if event.tls is not None:
        made["tls"] = tls_fragment(event.tls)
    made["unmapped"] = {"connection_id": connection_id}
    return made


@record.register
def _(event: GateStarted) -> Json:
    made = envelope(Kind.START, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, "gate.started", "Gate started", "")
    made["app"] = PRODUCT
    made["unmapped"] = {
        "listeners": clean_all(event.listeners),
        "warnings": clean_all(event.warnings, TEXT, 16),
    }
    return made


@record.register
def _(event: GateStopped) -> Json:
    made = envelope(Kind.STOP, event.at, event.policy, LOW if event.unfinished else INFORMATIONAL)
    _plain(made, SUCCESS, "gate.stopped", "Gate stopped", event.because)
    made["app"] = PRODUCT
    made["unmapped"] = {"unfinished": event.unfinished}
    return made


@record.register
def _(event: PolicyLoaded) -> Json:
    made = envelope(Kind.POLICY_LOADED, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, "policy.loaded", "Policy loaded", event.because)
    made["action_id"] = ALLOWED
    made["entity"] = _entity(event.previous)
    made["entity_result"] = _entity(event.policy)
    made["unmapped"] = {
        "previous_policy": clean_digest(event.previous.digest),
        "warnings": clean_all(event.warnings, TEXT, 16),
    }
    return made


@record.register
def _(event: PolicyRefused) -> Json:
    made = envelope(Kind.POLICY_REFUSED, event.at, event.policy, HIGH)
    _plain(made, FAILURE, "policy.refused", "Policy refused, the old one stays", event.because)
    made["action_id"] = DENIED
    made["entity"] = _entity(event.policy)
    made["unmapped"] = {"problems": clean_all(event.problems, TEXT, 16)}
    return made


@record.register
def _(event: ControlFailed) -> Json:
    made = envelope(Kind.CONTROL_FAILED, event.at, event.policy, HIGH)
    _plain(made, FAILURE, "control.failed", f"{clean(event.control)} failed", event.detail)
    made["unmapped"] = {"control": clean(event.control)}
    return made


@record.register
def _(event: ControlRecovered) -> Json:
    made = envelope(Kind.CONTROL_RECOVERED, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, "control.recovered", f"{clean(event.control)} recovered", event.detail)
    made["activity_name"] = "Recovery"
    made["start_time"] = milliseconds(event.failed_at)
    made["end_time"] = milliseconds(event.at)
    made["duration"] = max(0, milliseconds(event.at) - milliseconds(event.failed_at))
    made["unmapped"] = {"control": clean(event.control), "denied": event.denied}
    return made


def _plain(made: Json, status: int, code: str, message: str, detail: str) -> None:
    made["status_id"] = status
    made["status_code"] = code
    made["message"] = message
    if detail:
        made["status_detail"] = clean(detail, LONG)


def _entity(policy: PolicyFacts) -> Json:
    return {"type": "Policy", "type_id": 5, "name": clean(policy.name), "policy": policy_object(policy)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(seconds: float) -> int:
    """Milliseconds as OCSF's duration: whole ones."""
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def _exact(seconds: float) -> float:
    return round(seconds * 1000, 3)
