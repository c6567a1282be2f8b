"""What a run found out, for people in a terminal and in Markdown, and for programs in JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Measured, Ratio, Row, Run, Sample, Spread
from benchmarks.targets import Target, targets
from benchmarks.workloads import AUDIT

_FOREIGN_PERCENT = 5.0
"""Where others took more than this of the server's core, figures are not to be trusted."""

_SATURATED_PERCENT = 95.0
"""From here on a core counts as fully busy."""

_HEADINGS = (
    "server",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU %",
    "MB",
    "requests/s, {first} to it",
    "p99, {first} to it",
)

_MEANINGS = (
    "Servers take turns (A B C A B C …), each kept on one core; the load generator and the upstream share another one. "
    "Figures are medians of all rounds, with the least and the most in brackets. Ratios are those of the medians, with "
    "the least and the most of the single rounds in brackets. CPU is that of all processes of the server, in percent "
    "of one core: well below 100, the load generator or the upstream was what was measured. MB is the resident size "
    "after the last round. Latency is that of requests, without the connecting before them. Every TLS handshake is a "
    "full one, with a client certificate. A row in which any answer is "
    "not the expected one has failed and has no figures."
)

_CHECKS = (
    "Every server checks the same on each request: the client's certificate chain and address, the signature, issuer, "
    "audience and expiry of its token (RS256), a timestamp within 300 s, an HMAC-SHA256 over method, path, timestamp, "
    "nonce and body, that the nonce was not seen before, a rate limit that is never reached; and writes a line of log. "
    "Envoy has no filter for HMAC: it does without signature and nonce. Stock mitmdump asks for a client certificate "
    "and takes any, or none. The gate does more than that: it matches the certificate, the token and the signing key "
    "to one partner, and its log is numbered without a gap. nginx forgets its oldest nonces where 64 MB do not hold "
    "them; the gate refuses what it cannot remember."
)


def as_json(run: Run) -> str:
    """Give the run as JSON: figures by workload and server, ratios, and the bounds they are held against."""
    return json.dumps(
        {
            "at": run.at,
            "commit": run.commit,
            "rounds": run.rounds,
            "seconds": run.seconds,
            "machine": run.machine,
            "versions": run.versions,
            "workloads": {each.workload.name: _workload(each) for each in run.measured},
            "policy_load_seconds": _rounded(run.policy_load_seconds) if run.policy_load_seconds else None,
            "verified_per_second": _rounded(run.verified_per_second) if run.verified_per_second else None,
            "asked_seconds": _rounded(run.asked_seconds) if run.asked_seconds else None,
            "growth": asdict(run.growth) if run.growth else None,
            "targets": [{**asdict(target), "met": target.met} for target in targets(run)],
            "notes": run.notes,
        },
        indent=2,
        ensure_ascii=False,
    )


def _workload(measured: Measured) -> dict[str, object]:
    return {
        "title": measured.workload.title,
        "servers": {row.server: _row(row) for row in measured.rows},
        "ratios": {
            f"{ratio.of} / {ratio.to}": {
                "requests_per_second": _rounded(ratio.requests_per_second),
                "p99": _rounded(ratio.p99),
            }
            for ratio in measured.ratios()
        },
    }


def _row(row: Row) -> dict[str, object]:
    if row.absent is not None:
        return {"absent": row.absent}
    if row.failed:
        return {"failed": row.failed}
    return {each.name: _rounded(row.spread(each.name)) for each in fields(Sample)}


def _rounded(spread: Spread) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(spread).items()}


def show(run: Run, console: Console) -> None:
    """Print the run."""
    for measured in run.measured:
        table = Table(title=measured.workload.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in _headings(measured):
            table.add_column(heading, justify="left" if heading == "server" else "right")
        for cells in _cells(measured):
            table.add_row(*cells)
        console.print(table)
    for line in remarks(run):
        console.print(line, style="yellow", markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("bound", "wanted", "measured", ""):
        table.add_column(heading, justify="left" if heading == "bound" else "right")
    for target in targets(run):
        if target.measured is not None:
            table.add_row(*_target(target), style=None if target.met else "red")
    console.print(table)


def write_markdown(run: Run, file: Path, picture: Path | None) -> None:
    """Write the run as a page of the documentation; `picture` is its plot."""
    parts = [
        "# Benchmarks",
        "",
        "Generated by `make bench`; the same figures stand in [benchmarks.json](benchmarks.json).",
        "",
        f"Commit {run.commit}, measured {run.at}: {run.rounds} rounds of {run.seconds} s.",
        "",
        *(f"- {name}: {value}" for name, value in (run.machine | run.versions).items()),
        "",
        *([f"![requests/s by workload]({picture.relative_to(file.parent)})", ""] if picture else []),
        "## Bounds",
        "",
        *_markdown_table(("bound", "wanted", "measured", ""), [_target(target) for target in targets(run)]),
        "",
        *_workloads(run),
        *(f"- {line}" for line in remarks(run)),
        "",
        "## How it is measured",
        "",
        _CHECKS,
        "",
        _MEANINGS,
    ]
    file.write_text("\n".join(parts).rstrip() + "\n")


def _workloads(run: Run) -> Iterator[str]:
    for measured in run.measured:
        yield f"## {measured.workload.title[0].upper()}{measured.workload.title[1:]}"
        yield ""
        yield from _markdown_table(_headings(measured), list(_cells(measured)))
        yield ""


def remarks(run: Run) -> Iterator[str]:
    """Say what a reader of the tables has to know."""
    yield from run.notes
    for measured in run.measured:
        for row in measured.rows:
            where = f"{measured.workload.name}: {row.server}"
            if row.absent is not None:
                yield f"{where} does not take part: {row.absent}"
            elif row.failed:
                yield f"{where} FAILED: {', '.join(row.failed)}"
            else:
                yield from (f"{where}: {doubt}" for doubt in _doubts(row))
    if run.policy_load_seconds:
        yield f"the policy with 10,000 partners and 100,000 networks loads in {_written(run.policy_load_seconds, 2)} s"
    if run.verified_per_second:
        yield f"gateway audit verify: {_written(run.verified_per_second, 0)} records a second of one core"
    if run.asked_seconds:
        yield f"requests of each hour and partner, out of ten million records: {_written(run.asked_seconds, 2)} s"
    yield from _costs(run)
    if run.growth:
        (few, many), (before, after) = run.growth.requests, run.growth.resident_mb
        yield f"resident size of the gate after {few:,} requests {before:.0f} MB, after {many:,} {after:.0f} MB"


def _costs(run: Run) -> Iterator[str]:
    """Say what a request costs with the log and without it, all processes of the gate together."""
    measured = run.workload(AUDIT.name)
    rows = [measured.row(name) for name in AUDIT.servers] if measured else []
    if rows and all(rows):
        with_log, without = (row.microseconds() for row in rows if row is not None)
        share = 100 * (1 - without / with_log)
        yield (
            f"CPU for a request, all processes of the gate together: {with_log:.0f} µs with its audit log,"
            f" {without:.0f} µs without: the log takes {share:.0f} % of it"
        )


def _doubts(row: Row) -> Iterator[str]:
    """Say why a row's figures may be those of something else than the server."""
    foreign, load = row.spread("foreign_percent").most, row.spread("load_core_percent").median
    if foreign > _FOREIGN_PERCENT:
        yield f"other processes took up to {foreign:.0f} % of the server's core"
    if load > _SATURATED_PERCENT and row.spread("cpu_percent").median < _SATURATED_PERCENT:
        yield "the core of the load generator and the upstream was fully busy"


def _headings(measured: Measured) -> list[str]:
    return [heading.format(first=measured.workload.servers[0]) for heading in _HEADINGS]


def _cells(measured: Measured) -> Iterator[Sequence[str]]:
    for row in measured.rows:
        if row.absent is not None or row.failed:
            yield (row.server, "absent" if row.absent else "FAILED", *[""] * 6)
            continue
        ratio = measured.ratio(row.server)
        yield (
            row.server,
            _written(row.spread("requests_per_second"), 0),
            _written(row.spread("p50_ms"), 1),
            _written(row.spread("p99_ms"), 1),
            f"{row.spread('cpu_percent').median:.0f}",
            f"{row.samples[-1].resident_mb:.0f}",
            *_ratio_cells(ratio),
        )


def _ratio_cells(ratio: Ratio | None) -> tuple[str, str]:
    return (_written(ratio.requests_per_second, 2), _written(ratio.p99, 2)) if ratio else ("", "")


def _target(target: Target) -> tuple[str, str, str, str]:
    verdict = {True: "✓", False: "✗", None: ""}[target.met]
    measured = "not measured" if target.measured is None else f"{target.measured:.2f} {target.unit}"
    sign = "≥" if target.at_least else "≤"
    return target.title, f"{sign} {target.bound:g} {target.unit}", measured, verdict


def _written(spread: Spread, digits: int) -> str:
    return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f} to {spread.most:,.{digits}f})"


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"| --- |{' ---: |' * (len(headings) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
