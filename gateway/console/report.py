"""The report: one HTML file that needs nothing else, for reading and for printing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.query.questions import timestamp
from gateway.audit.reader import Query
from gateway.console.archive import Reading, Row
from gateway.console.charts import Span
from gateway.console.evidence import evidence
from gateway.console.integrity import Integrity, integrity
from gateway.console.overview import overview
from gateway.console.pages import HERE, page
from gateway.core.message import Instant

NEAR = 30 * 86_400.0
"""Seconds before its end from which on a certificate is near it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A key or certificate of the policy, for the table of what ends soon."""

    what: str
    owner: str
    ends: Instant | None


def report(
    reading: Reading, directory: Path, span: Span, now: Instant, material: Sequence[Kept] | None = None,
    remarks: Sequence[str] | None = None, whole: Integrity | None = None,
) -> str:  # fmt: skip
    """Give the report. `material` and `remarks` are what the policy holds and the linter says, where it was given.

    `whole` is what was found of the log's integrity, where that was looked for before.

    Raises OSError and QuestionError.
    """
    query = Query(since=span.since, until=span.until)
    certificates = reading.usual("certificates", query)
    late = timestamp(Instant(now + NEAR))
    assert late is not None
    values = {
        "style": (HERE / "static" / "console.css").read_text("utf-8"),
        "directory": directory,
        "now": now,
        "seen": overview(reading, span),
        "whole": whole or integrity(reading, directory),
        "evidence": evidence(reading, span),
        "policies": reading.usual("policies", query),
        "remarks": _remarks(reading, span) if remarks is None else remarks,
        "schemes": reading.usual("schemes", query),
        "tls": reading.usual("tls", query),
        "certificates": certificates,
        "late": late,
        "material": sorted((one for one in material or () if one.ends is not None), key=lambda one: one.ends or 0.0),
        "with_policy": material is not None,
        "near": Instant(now + NEAR),
        "keys": reading.usual("keys", query),
        "gate_clock": _looks(reading, span),
        "clocks": reading.usual("clocks", query),
        "back": _set_back(reading, span),
        "unfinished": reading.usual("unfinished", query, 100),
    }
    return page("report.html", values)


def _remarks(reading: Reading, span: Span) -> list[str]:
    """Give what the linter said of the policies that were in force within the time."""
    rows = reading.ask(
        "SELECT DISTINCT unnest(warnings) AS remark FROM records WHERE kind IN ('start', 'policy.loaded')"
        " AND time < $until AND time >= coalesce((SELECT max(time) FROM records"
        " WHERE kind IN ('start', 'policy.loaded') AND time <= $since), $since) ORDER BY remark",
        {"since": timestamp(span.since), "until": timestamp(span.until)},
    )
    return [str(row["remark"]) for row in rows]


def _looks(reading: Reading, span: Span) -> Sequence[Row]:
    """Give for each log how often its machine's clock was looked at, and the worst that was found."""
    return reading.ask(
        "SELECT coalesce(nullif(worker, ''), '(this log)') AS log, count(*) AS looks,"
        " count(*) FILTER (clock_synchronised) AS synchronised,"
        " count(*) FILTER (clock_synchronised = false) AS not_synchronised,"
        " round(max(abs(clock_offset_ms)), 3) AS offset_ms_most, round(max(clock_error_ms), 3) AS error_ms_most,"
        " count(clock_stepped_ms) AS times_set, max(time) AS last FROM records"
        " WHERE kind IN ('start', 'clock') AND time >= $since AND time < $until GROUP BY worker ORDER BY worker",
        {"since": timestamp(span.since), "until": timestamp(span.until)},
    )


def _set_back(reading: Reading, span: Span) -> Row:
    """Tell how often, and how far at most, the gate's clock went back from one record to the next."""
    return reading.ask(
        "SELECT count(*) AS times, coalesce(round(max(back), 3), 0) AS most FROM (SELECT epoch(lag(time) OVER"
        " (PARTITION BY worker ORDER BY sequence)) - epoch(time) AS back FROM records"
        " WHERE time >= $since AND time < $until AND kind <> 'control.failed') WHERE back > 1",
        {"since": timestamp(span.since), "until": timestamp(span.until)},
    )[0]
