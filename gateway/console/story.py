"""One request's whole story: its records as they stand in the log, and the chain step by step with what each found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from gateway.audit.ocsf import ANSWERED, DENIED, SUCCESS
from gateway.audit.query.lines import Held, held
from gateway.audit.reader import UNFINISHED, Entry
from gateway.console.archive import Reading
from gateway.core.chain import ORDER
from gateway.core.reasons import Reason

type State = Literal["passed", "refused", "off", "not reached"]
type Verdict = Literal["allowed", "answered", "refused", "failed", "unfinished"]

_REASONS = {reason.code: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Step:
    """One control of the chain."""

    control: str
    state: State
    finding: str


@dataclass(frozen=True, slots=True)
class Story:
    """What became of a request, or of a connection that was refused."""

    request_id: str
    verdict: Verdict
    reason: str
    """Its code; `allowed, no outcome` where there is none yet."""
    title: str
    detail: str
    words: Reason | None
    """The reason in words for the three users; None where the code is of another version of the gate."""
    steps: Sequence[Step]
    facts: Mapping[str, Mapping[str, str]]
    """Titles, each with names and values."""
    records: Sequence[Held]


def story(reading: Reading, directory: Path, request_id: str) -> Story | None:
    """Tell it; None where the log has no such request. Raises OSError and QuestionError."""
    places = reading.ask("SELECT worker, file, uid FROM records WHERE request_id = $request", {"request": request_id})
    records = held(directory, places)
    if not records:
        return None
    first, last = records[0].entry, records[-1].entry
    reason = UNFINISHED if _verdict(last) == "unfinished" else last.reason
    return Story(
        request_id=request_id,
        verdict=_verdict(last),
        reason=reason,
        title=last.text("message"),
        detail=last.text("status_detail"),
        words=_REASONS.get(last.reason),
        steps=_steps(first) if first.kind == "decision" else (),
        facts={title: made for title, fill in _FACTS.items() if (made := _filled(fill(first, last)))},
        records=records,
    )


def _verdict(last: Entry) -> Verdict:
    if last.get("action_id") == DENIED and last.kind != "outcome":
        return "refused"
    if last.kind == "decision":
        return "answered" if last.get("action_id") == ANSWERED else "unfinished"
    return "allowed" if last.get("status_id") == SUCCESS else "failed"


# The chain


def _steps(decision: Entry) -> list[Step]:
    """Give the controls in the order of the chain; the one that refused is where it ended."""
    passed = [str(name) for name in _list(decision.get("unmapped", "controls_passed"))]
    off = {str(one.get("control")): str(one.get("because")) for one in _list(decision.get("unmapped", "controls_off"))}
    refused = decision.text("unmapped", "denied_by")
    known = {*passed, *off, *([refused] if refused else [])}
    steps = []
    for name in (*ORDER, *sorted(known.difference(ORDER))):
        if name == refused:
            steps.append(Step(name, "refused", decision.text("status_detail") or decision.text("message")))
        elif name in off:
            steps.append(Step(name, "off", off[name]))
        elif name in passed:
            steps.append(Step(name, "passed", _finding(name, decision)))
        else:
            steps.append(Step(name, "not reached", ""))
    return steps


def _finding(control: str, decision: Entry) -> str:
    """Say what a control found, from what the record holds of it."""
    found = _FINDINGS.get(control)
    return found(decision) if found is not None else ""


def _mutual_tls(entry: Entry) -> str:
    certificate = entry.get("unmapped", "tls", "certificate")
    if not isinstance(certificate, Mapping):
        return ""
    who = entry.partner or "the caller"
    return f"{who} by certificate {certificate.get('subject')}, issued by {certificate.get('issuer')}"


def _ip_allowlist(entry: Entry) -> str:
    proxy = entry.text("src_endpoint", "proxy_endpoint", "ip")
    return f"{entry.text('src_endpoint', 'ip')} is allowed" + (
        f", as the trusted proxy {proxy} names it" if proxy else ""
    )


def _token(entry: Entry) -> str:
    ends = _moment(entry.get("api", "token", "expiration_time"))
    subject, issuer = entry.text("actor", "user", "uid"), entry.text("actor", "idp", "name")
    return f"subject {subject} of issuer {issuer}" + (f", ends {ends}" if ends else "")


def _signature(entry: Entry) -> str:
    signed = _moment(entry.get("unmapped", "signed_at"))
    return f"matches under key {entry.text('unmapped', 'key_id')}" + (f", dated {signed}" if signed else "")


def _replay(entry: Entry) -> str:
    digest = entry.text("unmapped", "nonce_sha256")
    return f"not seen before; SHA-256 of its nonce {digest[:16]}…" if digest else "not seen before"


_FINDINGS: Mapping[str, Callable[[Entry], str]] = {
    "mutual_tls": _mutual_tls,
    "ip_allowlist": _ip_allowlist,
    "token": _token,
    "rate_limit": lambda _: "within its limits",
    "signature": _signature,
    "replay": _replay,
}


# The facts


def _request(first: Entry, _: Entry) -> dict[str, object]:
    method, path = first.text("http_request", "http_method"), first.text("http_request", "url", "path")
    return {
        "Request": f"{method} {path}".strip() or first.text("unmapped", "unread"),
        "Host": first.text("http_request", "url", "hostname"),
        "Route": first.route,
        "Body": _bytes(first.get("http_request", "body_length")),
        "Policy": first.text("policy", "name"),
        "Policy digest": first.text("policy", "uid"),
    }


def _caller(first: Entry, _: Entry) -> dict[str, object]:
    address, port = first.text("src_endpoint", "ip"), first.get("src_endpoint", "port")
    prints = _list(first.get("unmapped", "tls", "certificate", "fingerprints"))
    return {
        "Partner": first.partner,
        "Address": f"{address} port {port}" if port else address,
        "Behind proxy": first.text("src_endpoint", "proxy_endpoint", "ip"),
        "Listener": first.text("dst_endpoint", "svc_name"),
        "TLS": " ".join(first.text("unmapped", "tls", name) for name in ("version", "cipher")).strip(),
        "Certificate": first.text("unmapped", "tls", "certificate", "subject"),
        "Certificate SHA-256": prints[0].get("value") if prints else "",
        "Certificate ends": _moment(first.get("unmapped", "tls", "certificate", "expiration_time")),
        "Subject": first.text("actor", "user", "uid"),
        "Signing key": first.text("unmapped", "key_id"),
        "Connection": first.text("unmapped", "connection_id"),
    }


def _answer(_: Entry, last: Entry) -> dict[str, object]:
    ended = _verdict(last) != "unfinished"
    return {
        "Status": last.get("http_response", "code") if ended else "",
        "Upstream": last.text("api", "service", "name"),
        "Answer's body": _bytes(last.get("http_response", "body_length")),
        "Gate": _milliseconds(last.get("unmapped", "gate_ms")),
        "Upstream took": _milliseconds(last.get("unmapped", "upstream_ms")),
    }


_FACTS = {"Request": _request, "Caller": _caller, "Answer": _answer}


def _filled(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value not in {None, ""}}


def _moment(value: object) -> str:
    if not isinstance(value, int):
        return ""
    return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _milliseconds(value: object) -> str:
    return f"{value:.2f} ms" if isinstance(value, int | float) else ""


def _bytes(value: object) -> str:
    return f"{value:,} bytes".replace(",", "\u202f") if isinstance(value, int) else ""


def _list(value: object) -> list[Mapping[str, object]]:
    return value if isinstance(value, list) else []
