"""Records in the Elastic Common Schema 9.4; what it has no place for stands under `gateway`."""

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from gateway.audit.ocsf import ALLOWED, DENIED, SUCCESS, milliseconds
from gateway.audit.reader import Entry

VERSION = "9.4.0"

_CATEGORY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "decision": ("api", ("access",)),
    "outcome": ("api", ("access", "end")),
    "connection": ("network", ("connection", "denied")),
    "connection.cut": ("network", ("connection", "end")),
    "start": ("process", ("start",)),
    "stop": ("process", ("end",)),
    "policy.loaded": ("configuration", ("change",)),
    "policy.refused": ("configuration", ("info",)),
}
_VERDICTS = {ALLOWED: "allowed", DENIED: "denied"}
_ELSE = ("host", ("info",))

_OWN = ("controls_passed", "controls_off", "denied_by", "key_id", "gate_ms", "upstream_ms", "control", "unread")


def ecs(entry: Entry) -> bytes:
    """Give a record as a line."""
    made: dict[str, object] = {
        "@timestamp": _stamp(milliseconds(entry.at)),
        "ecs": {"version": VERSION},
        "message": entry.text("message"),
        "event": _event(entry),
        "observer": _filled(
            vendor=entry.get("metadata", "product", "vendor_name"), product=entry.get("metadata", "product", "name"),
            version=entry.get("metadata", "product", "version"), type="proxy",
        ),
        "source": _filled(ip=entry.get("src_endpoint", "ip"), port=entry.get("src_endpoint", "port")),
        "user": _filled(id=entry.get("actor", "user", "uid")),
        "http": _filled(
            version=entry.get("http_request", "version"),
            request=_filled(
                id=entry.get("http_request", "uid"), method=entry.get("http_request", "http_method"),
                body=_filled(bytes=entry.get("http_request", "body_length")),
            ),
            response=_filled(
                status_code=entry.get("http_response", "code"),
                body=_filled(bytes=entry.get("http_response", "body_length")),
            ),
        ),
        "url": _filled(
            scheme=entry.get("http_request", "url", "scheme"), domain=entry.get("http_request", "url", "hostname"),
            path=entry.get("http_request", "url", "path"),
        ),
        "tls": _tls(entry),
        "rule": _filled(
            name=entry.route or None, ruleset=entry.get("policy", "name"), version=entry.get("policy", "uid"),
        ),
        "service": _filled(target=_filled(name=entry.get("api", "service", "name"))),
        "gateway": _filled(
            partner=entry.partner or None, connection_id=entry.get("unmapped", "connection_id"),
            **{name: entry.get("unmapped", name) for name in _OWN},
        ),
    }  # fmt: skip
    return orjson.dumps({name: value for name, value in made.items() if value != {}})


def _stamp(value: object) -> str | None:
    if not isinstance(value, int):
        return None
    return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(entry: Entry) -> dict[str, object]:
    category, types = _CATEGORY.get(entry.kind, _ELSE)
    if entry.kind == "decision":
        types = (*types, _VERDICTS.get(entry.get("action_id"), "info"))
    duration = entry.get("duration")
    status = entry.get("status_id")
    return _filled(
        kind="event", category=[category], type=list(types), action=entry.kind, code=entry.reason,
        reason=entry.text("status_detail") or None, outcome="success" if status == SUCCESS else "failure",
        id=entry.get("metadata", "uid"), sequence=entry.sequence, severity=entry.get("severity_id"),
        duration=duration * 1_000_000 if isinstance(duration, int) else None, dataset="gateway.audit", module="gateway",
    )  # fmt: skip


def _tls(entry: Entry) -> dict[str, object]:
    tls = entry.get("unmapped", "tls") or entry.get("tls")
    if not isinstance(tls, Mapping):
        return {}
    certificate = tls.get("certificate")
    made = certificate if isinstance(certificate, Mapping) else {}
    prints = made.get("fingerprints")
    digest = prints[0].get("value") if isinstance(prints, list) and prints else None
    version = str(tls.get("version", ""))
    return _filled(
        version=version.removeprefix("TLSv") or None, version_protocol="tls" if version.startswith("TLS") else None,
        cipher=tls.get("cipher"),
        client=_filled(
            subject=made.get("subject"), issuer=made.get("issuer"), server_name=tls.get("sni"),
            not_before=_stamp(made.get("created_time")), not_after=_stamp(made.get("expiration_time")),
            hash=_filled(sha256=digest.upper() if isinstance(digest, str) else None),
        ),
    )  # fmt: skip


def _filled(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, {}, "", [])}
