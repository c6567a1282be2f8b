"""Records in ArcSight's Common Event Format, version 0 (revision 25)."""

from gateway.audit.ocsf import ALLOWED, ANSWERED, DENIED, SUCCESS, milliseconds
from gateway.audit.reader import Entry

_ACTIONS = {ALLOWED: "allowed", DENIED: "denied", ANSWERED: "answered"}
_SEVERITY = {1: 1, 2: 4, 3: 7, 4: 9}
"""OCSF's to CEF's, which goes from 0 to 10."""


def cef(entry: Entry) -> bytes:
    """Give a record as a line."""
    product = ("vendor_name", "name", "version")
    signature = f"{entry.kind}:{entry.reason}" if entry.reason else entry.kind
    severity = _SEVERITY.get(entry.get("severity_id"), 5)
    head = [*(entry.text("metadata", "product", name) for name in product), signature, entry.text("message")]
    fields = " ".join(f"{name}={_value(value)}" for name, value in _fields(entry).items() if value not in (None, ""))
    return f"CEF:0|{'|'.join(map(_head, head))}|{severity}|{fields}".encode()


def _fields(entry: Entry) -> dict[str, object]:
    """Give the extension; custom fields carry their labels."""
    made: dict[str, object] = {
        "rt": milliseconds(entry.at),
        "externalId": entry.get("metadata", "uid"),
        "act": _ACTIONS.get(entry.get("action_id")),
        "outcome": "success" if entry.get("status_id") == SUCCESS else "failure",
        "reason": entry.text("status_detail"),
        "src": entry.get("src_endpoint", "ip"),
        "spt": entry.get("src_endpoint", "port"),
        "suser": entry.partner,
        "suid": entry.get("actor", "user", "uid"),
        "requestMethod": entry.get("http_request", "http_method"),
        "request": entry.get("http_request", "url", "path"),
        "dhost": entry.get("http_request", "url", "hostname"),
        "in": entry.get("http_request", "body_length"),
        "out": entry.get("http_response", "body_length"),
        "app": "HTTPS" if entry.get("http_request") else None,
        "destinationServiceName": entry.get("api", "service", "name"),
    }
    labelled = {
        "cs1": ("route", entry.route),
        "cs2": ("policySha256", entry.get("policy", "uid")),
        "cs3": ("correlationId", entry.correlation),
        "cs4": ("keyId", entry.get("unmapped", "key_id")),
        "cs5": ("tls", " ".join(entry.text("unmapped", "tls", name) for name in ("version", "cipher")).strip()),
        "cs6": ("control", entry.text("unmapped", "denied_by") or entry.text("unmapped", "control")),
        "cn1": ("status", entry.get("http_response", "code")),
        "cn2": ("sequence", entry.sequence),
    }
    for name, (label, value) in labelled.items():
        if value not in (None, ""):
            made[name] = value
            made[f"{name}Label"] = label
    return made


def _head(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _value(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
