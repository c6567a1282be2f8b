"""The load generators, wrk for HTTP/1.1 and h2load for HTTP/2: how they are run, and what their output says."""

import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks import messages, tokens
from benchmarks.errors import BenchError
from benchmarks.lab import SECRET, Lab
from benchmarks.processes import Command, output
from benchmarks.workloads import Workload
from gateway.core.message import Instant

TIMEOUT_SECONDS = 10
"""A request that takes longer is an error; stock mitmdump needs seconds with 256 connections."""

STREAMS = 4
"""Requests at once on one HTTP/2 connection."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a load generator has seen."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    wrong: tuple[str, ...]
    """Answers that should have been others, and connections that failed: `12 answers of 503`."""


def run(workload: Workload, lab: Lab, port: int, seconds: int, core: int) -> Load:
    """Send the workload to a port of this machine for some seconds. Raises BenchError."""
    drive = _h2load if workload.http2 else _wrk
    return drive(workload, lab, port, seconds, core)


def _wrk(workload: Workload, lab: Lab, port: int, seconds: int, core: int) -> Load:
    script = Path(__file__).parent / "workload.lua"
    arguments = (
        "wrk", "--threads", "1", "--connections", str(workload.connections), "--duration", f"{seconds}s",
        "--timeout", f"{TIMEOUT_SECONDS}s", "--script", script, f"https://127.0.0.1:{port}",
    )  # fmt: skip
    authority = f"127.0.0.1:{port}"
    now = Instant(time.time())  # noqa: TID251 - requests are dated now
    environ = {
        **lab.client_environ,
        **_prepared(workload, lab, authority, now, seconds),
        "BODY_BYTES": str(workload.body_bytes),
        "KEEP_ALIVE": "yes" if workload.keep_alive else "no",
        "SIGNATURE": "good" if workload.good_signature else "bad",
    }
    return read_wrk(output(Command(arguments, environ).on(core)), workload.expected)


def _prepared(workload: Workload, lab: Lab, authority: str, now: Instant, seconds: int) -> dict[str, str]:
    """Write the requests that wrk does not sign itself."""
    if workload.tokens is not None:
        return {"PREPARED": str(tokens.write(lab, workload.tokens, authority, now, seconds))}
    if workload.algorithm is not None:
        return {"PREPARED": str(messages.write(lab, workload.algorithm, authority, now))}
    return {}


def read_wrk(printed: str, expected: int) -> Load:
    """Read the line of figures that `workload.lua` prints. Raises BenchError."""
    for line in printed.splitlines():
        if line.startswith("figures "):
            figures = json.loads(line.removeprefix("figures "))
            break
    else:
        raise BenchError(f"wrk printed no figures:\n{printed}")
    statuses = {int(status): count for status, count in figures["statuses"].items()}
    wrong = _wrong(statuses, expected)
    wrong += [f"{count} {kind} errors" for kind, count in figures["errors"].items() if count]
    return Load(
        requests=figures["requests"],
        seconds=figures["microseconds"] / 1e6,
        p50_ms=figures["p50_microseconds"] / 1e3,
        p99_ms=figures["p99_microseconds"] / 1e3,
        wrong=tuple(wrong),
    )


def _h2load(workload: Workload, lab: Lab, port: int, seconds: int, core: int) -> Load:
    fields, body = _one_request(lab, int(time.time()))  # noqa: TID251 - the request is dated now
    body_file, log = lab.folder / "http2-body", lab.folder / "http2-requests"
    body_file.write_bytes(body)
    log.unlink(missing_ok=True)
    arguments: list[str | Path] = [
        "h2load", "--threads", "1", "--clients", str(workload.connections), "--max-concurrent-streams", str(STREAMS),
        "--duration", str(seconds), "--connection-active-timeout", str(seconds + TIMEOUT_SECONDS),
        "--data", body_file, "--log-file", log,
    ]  # fmt: skip
    for name, value in fields.items():
        arguments += ["--header", f"{name}: {value}"]
    url = f"https://127.0.0.1:{port}/wallet/debit"
    printed = output(Command([*arguments, url], lab.client_environ).on(core))
    if "Application protocol: h2" not in printed:
        raise BenchError(f"h2load did not agree on HTTP/2:\n{printed}")
    return read_h2load(log.read_text(), seconds, workload.expected)


def _one_request(lab: Lab, now: int) -> tuple[dict[str, str], bytes]:
    body = json.dumps({"player": "p-100234", "currency": "EUR", "amount": "12.50", "note": "x" * 86}).encode()
    signed = b"\n".join([b"POST", b"/wallet/debit", str(now).encode(), b"once", body])
    fields = {
        ":method": "POST",
        "content-type": "application/json",
        "authorization": f"Bearer {(lab.folder / 'token').read_text()}",
        "x-key-id": "partner-1",
        "x-timestamp": str(now),
        "x-nonce": "once",
        "x-signature": hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(),
    }
    return fields, body


def read_h2load(log: str, seconds: float, expected: int) -> Load:
    """Read h2load's log: for each request when it began, its status and how long it took, in microseconds.

    Raises BenchError where it is empty.
    """
    requests = [line.split("\t") for line in log.splitlines()]
    if not requests:
        raise BenchError("h2load logged no request")
    taken = sorted(int(request[2]) for request in requests)
    statuses = Counter(int(request[1]) for request in requests)
    return Load(
        requests=len(requests),
        seconds=seconds,
        p50_ms=_percentile(taken, 50) / 1e3,
        p99_ms=_percentile(taken, 99) / 1e3,
        wrong=tuple(_wrong(statuses, expected)),
    )


def _percentile(ordered: list[int], percent: int) -> int:
    """Give the least value that so many percent do not exceed."""
    return ordered[ceil(len(ordered) * percent / 100) - 1]


def _wrong(statuses: dict[int, int], expected: int) -> list[str]:
    found = [f"{count} answers of {status}" for status, count in sorted(statuses.items()) if status != expected]
    return found if expected in statuses else [f"no answer of {expected}", *found]
