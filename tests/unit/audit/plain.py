"""What a record of a request holds, built the plain way: one dict, serialised at once, nothing remembered.

The product puts the same bytes together from parts that it made before; tests compare the two.
"""

import hashlib
import math
import re
from typing import Any

import orjson

from gateway.audit.events import RequestDecided, RequestFinished
from gateway.audit.ocsf import DISPOSITION, PRODUCT, SEVERITY, tls_object
from gateway.audit.redact import LONG, NAME, TEXT, hide_named, mask_cards, without_query
from gateway.core.exchange import Exchange
from gateway.core.message import RequestHead
from gateway.core.reasons import Reason

type Json = dict[str, Any]

TOKEN = re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}")


def line(event: RequestDecided | RequestFinished, sequence: int, origin: str) -> bytes:
    """Give an event of a request as its line."""
    exchange, allowed = event.decision.exchange, event.decision.allowed
    decided = isinstance(event, RequestDecided)
    reason, detail = (event.decision.reason, event.decision.detail) if decided else (event.reason, event.detail)
    activity = activity_of(exchange.head)
    rule = "(none)" if exchange.route is None else clean(exchange.route.name)
    made: Json = {
        "time": milliseconds(event.at),
        "metadata": {
            "version": "1.8.0",
            "product": PRODUCT,
            "profiles": ["security_control"],
            "log_name": "audit",
            "event_code": "decision" if decided else "outcome",
            "tenant_uid": clean(exchange.policy.name),
            "correlation_uid": clean_id(event.request_id),
            "sequence": sequence,
            "uid": f"{origin}:{sequence}",
        },
        "category_uid": 6,
        "class_uid": 6003,
        "activity_id": activity,
        "type_uid": 600_300 + activity,
        "severity_id": SEVERITY[reason],
        "policy": {"name": clean(exchange.policy.name), "uid": clean_digest(exchange.policy.digest)},
        "action_id": 1 if allowed else 2,
        "disposition_id": DISPOSITION[reason],
        "status_id": 1 if reason in (Reason.ALLOWED, Reason.IDEMPOTENCY_ANSWERED) else 2,
        "status_code": reason.code,
        "status_detail": clean(without_query(detail), LONG),
        "message": reason.title,
        "actor": actor(exchange),
        "src_endpoint": source(exchange),
        "dst_endpoint": {"svc_name": clean(exchange.peer.listener)},
        "api": {"operation": rule},
        "authorizations": [{"decision": "allowed" if allowed else "denied", "policy": {"name": rule, "type": "route"}}],
    }
    unmapped: Json = {
        "gate_ms": fraction(event.gate_seconds),
        "connection_id": clean_id(exchange.peer.connection_id),
        "controls_passed": [clean(name) for name in exchange.passed[:16]],
    }
    if exchange.route is not None:
        made["api"]["service"] = {"name": clean(exchange.route.upstream.name)}
        unmapped["controls_off"] = [
            {"control": clean(off.control), "because": clean(off.because)} for off in exchange.route.switched_off[:12]
        ]
        if exchange.route.signed_by is not None:
            unmapped["scheme"] = clean(exchange.route.signed_by.scheme)
            if exchange.route.signed_by.weaknesses:
                unmapped["weaknesses"] = [clean(each, TEXT) for each in exchange.route.signed_by.weaknesses[:8]]
    if exchange.claims is not None:
        made["api"]["token"] = token(exchange)
    if exchange.head is not None:
        made["http_request"] = http_request(exchange.head, exchange.body, event.request_id, unmapped)
    if exchange.signature is not None:
        unmapped["key_id"] = clean(exchange.signature.key_id)
        if exchange.signature.created is not None:
            unmapped["signed_at"] = milliseconds(exchange.signature.created)
        if exchange.signature.nonce is not None:
            nonce = exchange.signature.nonce.encode("utf-8", "surrogatepass")
            unmapped["nonce_sha256"] = hashlib.sha256(nonce).hexdigest()
    if exchange.peer.tls is not None:
        unmapped["tls"] = tls_object(exchange.peer.tls)
    made["unmapped"] = unmapped
    ending = of_decision if isinstance(event, RequestDecided) else of_outcome
    ending(event, made, unmapped)
    return orjson.dumps(made) + b"\n"


def of_decision(event: RequestDecided, made: Json, unmapped: Json) -> None:
    if event.status is not None:
        made["http_response"] = {"code": event.status}
    if event.decision.control is not None:
        unmapped["denied_by"] = clean(event.decision.control)
    if event.unread is not None:
        unmapped["unread"] = clean(without_query(event.unread), LONG)
    made["duration"] = whole(event.gate_seconds)


def of_outcome(event: RequestFinished, made: Json, unmapped: Json) -> None:
    upstream = event.upstream_seconds
    if event.status is not None:
        made["http_response"] = {"code": event.status, "body_length": event.response_bytes}
        if upstream is not None:
            made["http_response"]["latency"] = whole(upstream)
    if upstream is not None:
        unmapped["upstream_ms"] = fraction(upstream)
    made["duration"] = whole(event.gate_seconds + (upstream or 0.0))


def fraction(seconds: float) -> orjson.Fragment | None:
    """Milliseconds to the microsecond; orjson itself writes as many digits as a number needs."""
    return orjson.Fragment(f"{seconds * 1000:.3f}") if math.isfinite(seconds * 1000) else None


def activity_of(head: RequestHead | None) -> int:
    known = {"GET": 2, "HEAD": 2, "OPTIONS": 2, "POST": 1, "PUT": 3, "PATCH": 3, "DELETE": 4}
    return 0 if head is None else known.get(head.method, 99)


def actor(exchange: Exchange) -> Json:
    made: Json = {}
    if exchange.partner is not None:
        made["app_uid"] = clean(exchange.partner.name)
    if exchange.claims is not None:
        issuer = exchange.policy.issuers[exchange.claims.issuer]
        made["user"] = {"uid": clean(exchange.claims.subject, TEXT)}
        made["idp"] = {"name": clean(issuer.name), "issuer": clean(issuer.issuer)}
    return made or {"app_name": "(none)"}


def source(exchange: Exchange) -> Json:
    peer = {"ip": str(exchange.peer.address), "port": exchange.peer.port}
    if exchange.client_address == exchange.peer.address:
        return peer
    return {"ip": str(exchange.client_address), "proxy_endpoint": peer}


def token(exchange: Exchange) -> Json:
    claims = exchange.claims
    assert claims is not None
    made = {
        "type": "access token",
        "type_id": 99,
        "created_time": milliseconds(claims.issued_at),
        "expiration_time": milliseconds(claims.expires),
    }
    return made if claims.token_id is None else {**made, "uid": clean_id(claims.token_id)}


def http_request(head: RequestHead, body: bytes | None, request_id: str, unmapped: Json) -> Json:
    made: Json = {
        "uid": clean_id(request_id),
        "http_method": clean(head.method),
        "version": clean(head.version),
        "url": {"scheme": "https", "hostname": clean(head.host, TEXT), "path": clean(head.path, LONG)},
    }
    if head.query is not None:
        unmapped["query_bytes"] = len(head.query)
    if not head.has_body:
        length, unmapped["body"] = 0, "none"
    elif body is not None:
        length, unmapped["body"] = len(body), "read"
    else:
        length = head.content_length
        unmapped["body"] = "unknown" if length is None else "declared"
    if length is not None and length < 2**40:
        made["body_length"] = length
    return made


def milliseconds(at: float) -> int:
    return round(max(-62_135_596_800.0, min(at, 253_402_300_799.0)) * 1000)


def whole(seconds: float) -> int:
    return round(max(0.0, min(seconds, 1e9)) * 1000)


def clean(text: str, limit: int = NAME) -> str:
    """Clean text step by step, whatever it is."""
    text = "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)
    text = mask_cards(hide_named(TOKEN.sub("[token]", text)))
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{mask_cards(text[:limit])}… [{len(text)} characters, sha256:{digest}]"


def clean_id(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else clean(text)


def clean_digest(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else clean(text)
