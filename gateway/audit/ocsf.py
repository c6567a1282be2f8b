"""The parts of OCSF 1.8.0 that every record is made of: classes, envelope, TLS, verdicts of a reason."""

from enum import Enum
from functools import lru_cache
from importlib.metadata import version

import orjson

from gateway.audit.events import PolicyFacts
from gateway.audit.redact import TEXT, clean, clean_digest
from gateway.core.message import Address, Certificate, Instant, Tls
from gateway.core.reasons import Reason

VERSION = "1.8.0"
PROFILES = ("security_control",)
PRODUCT = {"name": "gateway", "vendor_name": "gateway", "version": version("gateway")}

INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
SUCCESS, FAILURE = 1, 2
ALLOWED, DENIED, ANSWERED = 1, 2, 3
"""action_id; the third is OCSF's Observed: neither forwarded nor refused, but answered as before."""
UNKNOWN = "(none)"
"""Where OCSF demands a value and there is none; no name in a policy looks so."""

_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0
"""The years 1 and 9999, beyond which readers of JSON have no dates."""

type Json = dict[str, object]


def fragment(value: object) -> orjson.Fragment:
    """Give a value as JSON that is copied as it is into what it becomes a part of."""
    return orjson.Fragment(orjson.dumps(value))


def members(fields: Json) -> bytes:
    """Give an object as JSON without its braces."""
    return orjson.dumps(fields)[1:-1]


def more(fields: Json) -> bytes:
    """Give members that follow others: each with the comma before it."""
    return b"," + members(fields) if fields else b""


class Kind(Enum):
    """The kinds of records: `metadata.event_code`, then category, class and activity of OCSF."""

    DECISION = ("decision", 6, 6003, 0)  # API Activity; the activity is the method's
    OUTCOME = ("outcome", 6, 6003, 0)
    CONNECTION = ("connection", 4, 4001, 5)  # Network Activity: Refuse
    CUT = ("connection.cut", 4, 4001, 2)  # Network Activity: Close
    START = ("start", 6, 6002, 3)  # Application Lifecycle: Start
    CLOCK = ("clock", 6, 6002, 99)  # Application Lifecycle: Other
    STOP = ("stop", 6, 6002, 4)  # Application Lifecycle: Stop
    POLICY_LOADED = ("policy.loaded", 3, 3004, 3)  # Entity Management: Update
    POLICY_REFUSED = ("policy.refused", 3, 3004, 3)
    REVOCATION_ADDED = ("revocation.added", 3, 3004, 9)  # Entity Management: Disable
    REVOCATION_LIFTED = ("revocation.lifted", 3, 3004, 8)  # Enable
    LOCKOUT_BEGAN = ("lockout.began", 3, 3004, 9)
    LOCKOUT_LIFTED = ("lockout.lifted", 3, 3004, 8)
    CONTROL_FAILED = ("control.failed", 6, 6008, 1)  # Application Error: General Error
    CONTROL_RECOVERED = ("control.recovered", 6, 6008, 99)  # Application Error: Other
    LIMITS_RESET = ("limits.reset", 3, 3004, 3)
    LOG_SEALED = ("log.sealed", 3, 3004, 3)
    LOG_DELETED = ("log.deleted", 3, 3004, 4)  # Entity Management: Delete

    __hash__ = object.__hash__  # as Reason's

    def __init__(self, code: str, category: int, class_uid: int, activity: int) -> None:
        self.code = code
        self.category = category
        self.class_uid = class_uid
        self.activity = activity


def envelope(kind: Kind, at: Instant, policy: PolicyFacts, severity: int, correlation: str | None = None) -> Json:
    """Give the fields that a record begins with; `record.line` adds sequence and uid to `metadata`.

    `correlation` is the id of the request or connection it is about, cleaned.
    """
    about = metadata(kind, policy.name)
    if correlation is not None:
        about["correlation_uid"] = correlation
    return {
        "time": milliseconds(at),
        "metadata": about,
        **classes(kind, kind.activity),
        "severity_id": severity,
        "policy": policy_object(policy),
    }


def metadata(kind: Kind, policy_name: str) -> Json:
    """Give what `metadata` says of a kind of records."""
    return {
        "version": VERSION,
        "product": PRODUCT,
        "profiles": PROFILES,
        "log_name": "audit",
        "event_code": kind.code,
        "tenant_uid": clean(policy_name),
    }


def classes(kind: Kind, activity: int) -> Json:
    """Give category, class, activity and type."""
    return {
        "category_uid": kind.category,
        "class_uid": kind.class_uid,
        "activity_id": activity,
        "type_uid": kind.class_uid * 100 + activity,
    }


@lru_cache(maxsize=64)
def policy_object(policy: PolicyFacts) -> orjson.Fragment:
    """Give the policy by name and digest."""
    return fragment({"name": clean(policy.name), "uid": clean_digest(policy.digest)})


def milliseconds(at: Instant) -> int:
    """Give an instant as OCSF's timestamp_t; what no calendar holds becomes its end."""
    if _EARLIEST < at < _LATEST:
        return round(at * 1000)
    return round(max(_EARLIEST, min(at, _LATEST)) * 1000)


def endpoint(address: Address, port: int) -> Json:
    """Give a network endpoint."""
    return {"ip": str(address), "port": port}


@lru_cache(maxsize=4096)
def tls_fragment(tls: Tls) -> orjson.Fragment:
    """Give the tls object: made once for all connections of which the same is known."""
    return fragment(tls_object(tls))


def tls_object(tls: Tls) -> Json:
    """Give the tls object."""
    made: Json = {"version": clean(tls.version), "cipher": clean(tls.cipher)}
    if tls.server_name is not None:
        made["sni"] = clean(tls.server_name, TEXT)
    if tls.alpn is not None:
        name = "application_layer_protocol_negotiation"
        made["tls_extension_list"] = [{"type_id": 16, "type": name, "data": clean(tls.alpn)}]
    if tls.certificate is not None:
        made["certificate"] = _certificate(tls.certificate)
    return made


def _certificate(certificate: Certificate) -> Json:
    names = [("URI", name) for name in certificate.san_uri] + [("DNS", name) for name in certificate.san_dns]
    names += [("email", name) for name in certificate.san_email]
    made: Json = {
        "subject": clean(certificate.subject, TEXT),
        "issuer": clean(certificate.issuer, TEXT),
        "serial_number": clean(certificate.serial),
        "fingerprints": [{"algorithm": "SHA-256", "algorithm_id": 3, "value": clean_digest(certificate.fingerprint)}],
        "created_time": milliseconds(certificate.not_before),
        "expiration_time": milliseconds(certificate.not_after),
    }
    if names:
        # Eight say who it is; certificates with hundreds exist.
        made["sans"] = [{"type": kind, "name": clean(name)} for kind, name in names[:8]]
    return made


_ALARMING = frozenset(
    {
        Reason.TLS_CERTIFICATE_UNTRUSTED, Reason.PROXY_UNTRUSTED, Reason.FRAMING_AMBIGUOUS, Reason.TARGET_AMBIGUOUS,
        Reason.CERTIFICATE_AMBIGUOUS, Reason.TLS_CERTIFICATE_REVOKED, Reason.TLS_CERTIFICATE_CHAIN,
        Reason.CERTIFICATE_REVOKED, Reason.TOKEN_ALGORITHM, Reason.TOKEN_SIGNATURE, Reason.TOKEN_SUBJECT,
        Reason.TOKEN_BINDING, Reason.TOKEN_PROOF_REPLAYED,
        Reason.REVOKED_TOKEN, Reason.REVOKED_KEY, Reason.REVOKED_CERTIFICATE,
        Reason.SIGNATURE_MISMATCH, Reason.REPLAY_SEEN,
        Reason.IDEMPOTENCY_UNKNOWN, Reason.IDEMPOTENCY_KEY_REUSED,
        Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_BROKEN, Reason.ADDON_WITHHELD,
    }
)  # fmt: skip
"""Forged, stolen or repeated; or money whose fate is not known."""

_BLOCKED, _CUSTOM, _REJECTED, _UNAUTHORIZED, _ERROR = 2, 7, 25, 26, 27
_DISPOSITION = {
    "http": _REJECTED,
    "body": _REJECTED,
    "address": _UNAUTHORIZED,
    "certificate": _UNAUTHORIZED,
    "partner": _UNAUTHORIZED,
    "token": _UNAUTHORIZED,
    "revoked": _UNAUTHORIZED,
    "lockout": _UNAUTHORIZED,
    "signature": _UNAUTHORIZED,
    "upstream": _ERROR,
}


def _severity(reason: Reason) -> int:
    if reason in (Reason.ALLOWED, Reason.DRAINING, Reason.IDEMPOTENCY_ANSWERED):
        return INFORMATIONAL
    if reason in _ALARMING:
        return MEDIUM
    return HIGH if reason.status == 503 else LOW


def _disposition(reason: Reason) -> int:
    if reason is Reason.ALLOWED:
        return ALLOWED
    if reason is Reason.IDEMPOTENCY_ANSWERED:
        return _CUSTOM
    return _ERROR if reason.status == 503 else _DISPOSITION.get(reason.code.partition(".")[0], _BLOCKED)


SEVERITY = {reason: _severity(reason) for reason in Reason}
"""severity_id of a record with this reason."""
DISPOSITION = {reason: _disposition(reason) for reason in Reason}
"""disposition_id of a record with this reason."""
