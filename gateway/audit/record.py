"""Events become OCSF 1.8.0 records: each field is named here, and those of requests in `request`.

Nothing is copied whole; docs/audit.md lists the fields.
"""

from functools import singledispatch

import orjson

from gateway.audit.events import (
    BarChanged,
    ClockSeen,
    ClockState,
    ConnectionCut,
    ConnectionRefused,
    ControlFailed,
    ControlRecovered,
    Event,
    GateStarted,
    GateStopped,
    LimitsReset,
    LogDeleted,
    LogSealed,
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
    MEDIUM,
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
from gateway.audit.redact import LONG, TEXT, clean, clean_all, clean_digest, clean_id, without_query
from gateway.audit.request import decision, outcome
from gateway.core.barred import LOCKED, Thing

MAX_LINE = 65_535
"""Bytes of a line without its end: the longest entry a C2SP tlog-tiles bundle takes. The limits of the fields keep
every record below it."""


def line(event: Event, sequence: int, origin: str) -> bytes:
    """Give an event as its line in the log, with its place in it. `origin` names the log's writer.

    Raises ValueError where the line would be longer than MAX_LINE.
    """
    if isinstance(event, RequestDecided):
        made = decision(event, sequence, origin)
    elif isinstance(event, RequestFinished):
        made = outcome(event, sequence, origin)
    else:
        record = _record(event)
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
def _record(event: Event) -> Json:
    raise TypeError(f"no record is made of {type(event).__name__}")


@_record.register
def _(event: ConnectionRefused) -> Json:
    return _connection(event, Kind.CONNECTION)


@_record.register
def _(event: ConnectionCut) -> Json:
    return _connection(event, Kind.CUT)


def _connection(event: ConnectionRefused | ConnectionCut, kind: Kind) -> Json:
    connection_id = clean_id(event.connection_id)
    made = envelope(kind, event.at, event.policy, SEVERITY[event.reason], connection_id)
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


@_record.register
def _(event: GateStarted) -> Json:
    made = envelope(Kind.START, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, "gate.started", "Gate started", "")
    made["app"] = PRODUCT
    unmapped: Json = {
        "listeners": clean_all(event.listeners),
        "warnings": clean_all(event.warnings, TEXT, 16),
    }
    if event.clock is not None:
        unmapped["clock"] = _clock(event.clock)
    if event.log_key:
        unmapped["log_key"] = clean(event.log_key)
    made["unmapped"] = unmapped
    return made


@_record.register
def _(event: ClockSeen) -> Json:
    kept = event.clock.synchronised is not False
    made = envelope(Kind.CLOCK, event.at, event.policy, INFORMATIONAL if kept and event.stepped is None else MEDIUM)
    _plain(made, SUCCESS if kept else FAILURE, "clock.seen", "State of the clock", event.because)
    made["activity_name"] = "Clock"
    made["app"] = PRODUCT
    clock = _clock(event.clock)
    if event.stepped is not None:
        clock["stepped_ms"] = _thousandths(event.stepped)
    made["unmapped"] = {"clock": clock}
    return made


def _clock(state: ClockState) -> Json:
    known = {
        "synchronised": state.synchronised,
        "offset_ms": _thousandths(state.offset),
        "error_ms": _thousandths(state.error),
        "error_most_ms": _thousandths(state.most),
        "why": clean(state.why) or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _thousandths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


@_record.register
def _(event: GateStopped) -> Json:
    made = envelope(Kind.STOP, event.at, event.policy, LOW if event.unfinished else INFORMATIONAL)
    _plain(made, SUCCESS, "gate.stopped", "Gate stopped", event.because)
    made["app"] = PRODUCT
    made["unmapped"] = {"unfinished": event.unfinished}
    return made


@_record.register
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


@_record.register
def _(event: PolicyRefused) -> Json:
    made = envelope(Kind.POLICY_REFUSED, event.at, event.policy, HIGH)
    _plain(made, FAILURE, "policy.refused", "Policy refused, the old one stays", event.because)
    made["action_id"] = DENIED
    made["entity"] = _entity(event.policy)
    made["unmapped"] = {"problems": clean_all(event.problems, TEXT, 16)}
    return made


@_record.register
def _(event: BarChanged) -> Json:
    revoked = event.action == "revoke"
    if event.thing in LOCKED:
        kind = Kind.LOCKOUT_BEGAN if revoked else Kind.LOCKOUT_LIFTED
    else:
        kind = Kind.REVOCATION_ADDED if revoked else Kind.REVOCATION_LIFTED
    made = envelope(kind, event.at, event.policy, MEDIUM)
    _plain(made, SUCCESS, kind.code, "Taken out of use" if revoked else "Put into use again", event.because)
    made["action_id"] = DENIED if revoked else ALLOWED
    made["actor"] = {"user": {"name": clean(event.by)}}
    digest = event.thing in (Thing.CERTIFICATE, Thing.TOKEN_DIGEST)
    value = clean_digest(event.value) if digest else clean(event.value, TEXT)
    made["entity"] = {"type": event.thing.value, "type_id": 99, "uid": value}
    made["unmapped"] = {
        "revocation": event.number,
        "requested_time": milliseconds(event.requested_at),
        "until": None if event.until is None else milliseconds(event.until),
    }
    return made


@_record.register
def _(event: LimitsReset) -> Json:
    made = envelope(Kind.LIMITS_RESET, event.at, event.policy, LOW)
    _plain(made, SUCCESS, "limits.reset", "Rate limits reset", event.because)
    made["actor"] = {"user": {"name": clean(event.by)}}
    made["entity"] = {"type": "partner", "type_id": 99, "uid": clean(event.partner, TEXT)}
    made["unmapped"] = {
        "reset": event.number,
        "routes": clean_all(event.routes),
        "counters": event.counters,
        "requested_time": milliseconds(event.requested_at),
    }
    return made


@_record.register
def _(event: ControlFailed) -> Json:
    made = envelope(Kind.CONTROL_FAILED, event.at, event.policy, HIGH)
    _plain(made, FAILURE, "control.failed", f"{clean(event.control)} failed", event.detail)
    made["unmapped"] = {"control": clean(event.control)}
    return made


@_record.register
def _(event: ControlRecovered) -> Json:
    made = envelope(Kind.CONTROL_RECOVERED, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, "control.recovered", f"{clean(event.control)} recovered", event.detail)
    made["activity_name"] = "Recovery"
    made["start_time"] = milliseconds(event.failed_at)
    made["end_time"] = milliseconds(event.at)
    made["duration"] = max(0, milliseconds(event.at) - milliseconds(event.failed_at))
    made["unmapped"] = {"control": clean(event.control), "denied": event.denied}
    return made


@_record.register
def _(event: LogSealed) -> Json:
    made = _about_file(event, Kind.LOG_SEALED, "Log file sealed")
    made["unmapped"] = _sequences(event) | {"sha256": clean_digest(event.sha256)}
    return made


@_record.register
def _(event: LogDeleted) -> Json:
    made = _about_file(event, Kind.LOG_DELETED, "Log file deleted")
    made["unmapped"] = _sequences(event) | {"keep": clean(event.keep)}
    return made


def _about_file(event: LogSealed | LogDeleted, kind: Kind, message: str) -> Json:
    made = envelope(kind, event.at, event.policy, INFORMATIONAL)
    _plain(made, SUCCESS, kind.code, message, "")
    made["entity"] = {"type": "Log file", "type_id": 99, "name": clean(event.file)}
    return made


def _sequences(event: LogSealed | LogDeleted) -> Json:
    return {"first_sequence": event.first, "last_sequence": event.last}


def _plain(made: Json, status: int, code: str, message: str, detail: str) -> None:
    made["status_id"] = status
    made["status_code"] = code
    made["message"] = message
    if detail:
        made["status_detail"] = clean(detail, LONG)


def _entity(policy: PolicyFacts) -> Json:
    return {"type": "Policy", "type_id": 5, "name": clean(policy.name), "policy": policy_object(policy)}
