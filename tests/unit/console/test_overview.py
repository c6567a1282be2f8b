from gateway.console.archive import Reading
from gateway.console.charts import Span
from gateway.console.overview import last_of, overview
from gateway.core.message import Instant
from tests.unit.audit.examples import NOW
from tests.unit.audit.query.logs import HOUR

ALL = Span(Instant(NOW - 1), Instant(NOW + 2 * HOUR))


def test_figures(reading: Reading) -> None:
    figures = overview(reading, ALL).figures
    assert (figures.requests, figures.allowed, figures.refused, figures.failed) == (7, 4, 2, 1)
    assert (figures.connections, figures.partners, figures.gate_ms_p50) == (1, 2, 4.2)
    assert round(figures.refused_percent, 1) == 28.6


def test_plots_show_what_their_tables_say(reading: Reading) -> None:
    seen = overview(reading, ALL)
    assert all(plot.svg.startswith("<svg") and plot.rows for plot in seen.plots.values())
    assert sum(int(str(row["requests"])) for row in seen.plots["traffic"].rows) == 8
    assert {row["reason"] for row in seen.reasons} == {row["reason"] for row in seen.plots["refusals"].rows}


def test_a_time_without_records(reading: Reading) -> None:
    seen = overview(reading, Span(Instant(0.0), Instant(1.0)))
    assert [plot.svg for plot in seen.plots.values()] == [""] * 4
    assert (seen.figures.requests, seen.figures.refused_percent, seen.figures.gate_ms_p50) == (0, 0.0, None)


def test_spans() -> None:
    ends = Instant(100.0), Instant(200.0)
    assert last_of(ends, 60.0, Instant(500.0)) == Span(Instant(440.0), Instant(500.0))
    assert last_of(ends, 0.0, Instant(500.0)) == Span(Instant(100.0), Instant(200.001))
    assert last_of((Instant(100.0), Instant(100.0)), 0.0, Instant(500.0)) == Span(Instant(100.0), Instant(101.0))
