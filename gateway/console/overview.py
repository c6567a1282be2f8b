"""What the overview and the report show of a time: figures, plots, and the tables that go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.audit.query.questions import timestamp
from gateway.audit.reader import Query
from gateway.console.archive import Reading, Row
from gateway.console.charts import Span, bars, lines, ranking
from gateway.core.message import Instant

ALLOWED, ANSWERED, REFUSED, FAILED = "var(--allowed)", "var(--plot-3)", "var(--refused)", "var(--failed)"
MOST_PARTNERS = 12
"""Bars of the plot by partner; the table has all of them."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, and the figures it shows as a table."""

    title: str
    svg: str
    """Empty where there is nothing to show."""
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers at the head."""

    requests: int
    allowed: int
    refused: int
    failed: int
    """Allowed, and ended otherwise than with the upstream's whole answer."""
    connections: int
    """Refused before a request could be read."""
    partners: int
    gate_ms_p50: float | None
    gate_ms_p99: float | None

    @property
    def refused_percent(self) -> float:
        """Share of the requests that were refused."""
        return 100 * self.refused / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Overview:
    """One time of the log."""

    span: Span
    figures: Figures
    plots: Mapping[str, Plot]
    reasons: Sequence[Row]
    failures: Sequence[Row]
    controls_off: Sequence[Row]


def overview(reading: Reading, span: Span) -> Overview:
    """Gather all of it. Raises QuestionError."""
    query = Query(since=span.since, until=span.until)
    return Overview(
        span=span,
        figures=_figures(reading, span),
        plots={
            "traffic": _traffic(reading, span),
            "refusals": _refusals(reading, span),
            "partners": _partners(reading, query),
            "gate": _times(reading, span),
        },
        reasons=reading.usual("reasons", query),
        failures=reading.usual("failures", query),
        controls_off=reading.usual("controls-off", query),
    )


def _within(span: Span) -> dict[str, object]:
    return {"since": timestamp(span.since), "until": timestamp(span.until)}


_BAR = "to_timestamp(floor(epoch(time) / $step) * $step) AT TIME ZONE 'UTC'"


def _figures(reading: Reading, span: Span) -> Figures:
    found = reading.ask(
        "SELECT count(*) FILTER (kind = 'decision') AS requests,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed') AS allowed,"
        " count(*) FILTER (kind = 'decision' AND denied) AS refused,"
        " count(*) FILTER (kind = 'outcome' AND NOT success) AS failed,"
        " count(*) FILTER (kind = 'connection') AS connections,"
        " count(DISTINCT partner) AS partners,"
        " quantile_cont(gate_ms, 0.5) FILTER (kind = 'outcome') AS gate_ms_p50,"
        " quantile_cont(gate_ms, 0.99) FILTER (kind = 'outcome') AS gate_ms_p99"
        " FROM records WHERE time >= $since AND time < $until",
        _within(span),
    )[0]
    return Figures(**found)  # type: ignore[arg-type] # the columns are named and typed as the fields are


def _traffic(reading: Reading, span: Span) -> Plot:
    rows = reading.ask(
        f"SELECT {_BAR} AS time, CASE WHEN kind = 'connection' THEN 'refused connections'"
        " WHEN denied THEN 'refused' WHEN verdict = 'answered' THEN 'answered as before' ELSE 'allowed' END AS result,"
        " count(*) AS requests"
        " FROM records WHERE kind IN ('decision', 'connection') AND time >= $since AND time < $until"
        " GROUP BY ALL ORDER BY time, result",
        _within(span) | {"step": span.step},
    )
    colours = {"allowed": ALLOWED, "answered as before": ANSWERED, "refused": REFUSED, "refused connections": FAILED}
    there = {row["result"] for row in rows}
    colours = {name: colour for name, colour in colours.items() if name in there}
    svg = bars(rows, span, by="result", count="requests", colours=colours, what="Requests over time") if rows else ""
    return Plot("Requests", svg, rows)


def _refusals(reading: Reading, span: Span) -> Plot:
    rows = reading.ask(
        f"SELECT {_BAR} AS time, reason, count(*) AS number FROM records"
        " WHERE kind IN ('decision', 'outcome', 'connection', 'connection.cut') AND NOT success"
        " AND time >= $since AND time < $until"
        " GROUP BY ALL ORDER BY time, number DESC",
        _within(span) | {"step": span.step},
    )
    svg = bars(rows, span, by="reason", count="number", what="Refusals over time by reason") if rows else ""
    return Plot("Refusals by reason", svg, rows)


def _partners(reading: Reading, query: Query) -> Plot:
    rows = reading.usual("partners", query)
    parts = {"allowed": ALLOWED, "refused": REFUSED}
    svg = ranking(rows[:MOST_PARTNERS], name="partner", parts=parts, what="Requests by partner") if rows else ""
    return Plot("Traffic by partner", svg, rows)


def _times(reading: Reading, span: Span) -> Plot:
    rows = reading.ask(
        f"SELECT {_BAR} AS time, round(quantile_cont(gate_ms, 0.5), 2) AS median,"
        ' round(quantile_cont(gate_ms, 0.99), 2) AS "99th percentile"'
        " FROM records WHERE kind = 'outcome' AND time >= $since AND time < $until GROUP BY ALL ORDER BY time",
        _within(span) | {"step": span.step},
    )
    fields = {"median": "var(--plot-1)", "99th percentile": "var(--plot-2)"}
    svg = lines(rows, span, fields=fields, unit="ms", what="Time the gate takes") if rows else ""
    return Plot("Time the gate takes for an allowed request", svg, rows)


def last_of(ends: tuple[Instant, Instant], seconds: float, now: Instant) -> Span:
    """Give the last so many seconds; all there is where `seconds` is 0."""
    if seconds:
        return Span(Instant(now - seconds), now)
    first, last = ends
    return Span(first, Instant(max(last + 0.001, first + 1)))
