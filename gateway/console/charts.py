"""Plots as SVG, drawn by Vega-Lite: in the page's own colours, since these are variables of its style sheet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

import vl_convert

from gateway.core.message import Instant

WIDTH, HEIGHT = 620, 190
"""Units of a plot; the page scales it."""

_STEPS = (1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800)
"""Seconds that a bar may stand for."""
MOST_BARS = 72

_COLOURS = tuple(f"var(--plot-{number})" for number in range(1, 9))
_OTHER = "var(--plot-other)"

type Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Span:
    """A time that plots show, in bars of `step` seconds."""

    since: Instant
    until: Instant

    @property
    def step(self) -> int:
        """Seconds of a bar: the shortest of those that are usual with which there are not too many bars."""
        length = self.until - self.since
        return next((step for step in _STEPS if length / step <= MOST_BARS), _STEPS[-1])


def bars(
    rows: Sequence[Row], span: Span, *, by: str, count: str, colours: Mapping[str, str] | None = None, what: str
) -> str:
    """Draw counts over time as stacked bars: rows of `time`, the field `by` and the field `count`.

    `colours` gives each series its own, in the order of the legend; without it, the largest get theirs in turn.
    """
    ranked = colours or _ranked(rows, by, count)
    step = timedelta(seconds=span.step * 0.92)
    values = [
        {"time": _stamp(at), "end": _stamp(at + step), by: name, "from": low, "to": high}
        for at, name, low, high in _stacked(rows, by, count, list(ranked))
    ]
    encoding = {
        "x": _time(span),
        "x2": {"field": "end"},
        "y": {"field": "to", "type": "quantitative", "title": None, "axis": {"tickCount": 4, "format": "~s"}},
        "y2": {"field": "from"},
        "color": _colour(by, ranked),
    }
    return _svg({"mark": {"type": "bar", "clip": True}, "encoding": encoding}, values, what)


def _stacked(
    rows: Sequence[Row], by: str, count: str, names: Sequence[str]
) -> Iterator[tuple[datetime, str, float, float]]:
    """Give time, series, and from where to where its bar reaches; Vega-Lite itself stacks no bars that have an end."""
    amounts: dict[datetime, dict[str, float]] = {}
    for row in rows:
        at, name = _at(row["time"]), _named(row[by], names)
        series = amounts.setdefault(at, dict.fromkeys(names, 0.0))
        series[name] += _amount(row[count])
    for at, series in amounts.items():
        low = 0.0
        for name, amount in series.items():
            if amount:
                yield at, name, low, low + amount
            low += amount


def lines(rows: Sequence[Row], span: Span, *, fields: Mapping[str, str], unit: str, what: str) -> str:
    """Draw values over time as lines: a field each, with its colour."""
    values = [
        {"time": _stamp(row["time"]), "series": name, "value": row[name]}
        for row in rows
        for name in fields
        if row[name] is not None
    ]
    encoding = {
        "x": _time(span),
        "y": {"field": "value", "type": "quantitative", "title": unit, "axis": {"tickCount": 4}},
        "color": _colour("series", fields),
    }
    mark = {"type": "line", "interpolate": "monotone", "strokeWidth": 2, "point": {"size": 14, "filled": True}}
    return _svg({"mark": mark, "encoding": encoding}, values, what)


def ranking(rows: Sequence[Row], *, name: str, parts: Mapping[str, str], what: str) -> str:
    """Draw a horizontal bar for each row, made of parts: a field each, with its colour."""
    names = [str(row[name]) for row in rows]
    values = [
        {"name": str(row[name]), "part": part, "value": row[part], "rank": rank}
        for row in rows
        for rank, part in enumerate(parts)
    ]
    encoding = {
        "y": {"field": "name", "type": "nominal", "title": None, "sort": names, "axis": {"labelLimit": 180}},
        "x": {"field": "value", "type": "quantitative", "title": None, "axis": {"tickCount": 5, "format": "~s"}},
        "color": _colour("part", parts),
        "order": {"field": "rank", "type": "quantitative"},
    }
    height = max(40, 24 * len(rows))
    mark = {"type": "bar", "height": {"band": 0.72}}
    return _svg({"mark": mark, "encoding": encoding, "height": height}, values, what)


def _ranked(rows: Iterable[Row], by: str, count: str) -> dict[str, str]:
    totals: dict[str, float] = {}
    for row in rows:
        totals[str(row[by])] = totals.get(str(row[by]), 0) + _amount(row[count])
    names = sorted(totals, key=lambda name: (-totals[name], name))
    if len(names) <= len(_COLOURS):
        return dict(zip(names, _COLOURS, strict=False))
    return dict(zip(names, _COLOURS[:-1], strict=False)) | {"others": _OTHER}


def _named(name: object, names: Iterable[str]) -> str:
    return str(name) if str(name) in names else "others"


def _amount(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _time(span: Span) -> dict[str, object]:
    domain = [_stamp(datetime.fromtimestamp(at, UTC)) for at in (span.since, span.until)]
    hour = "'%H:%M:%S'" if span.step < 60 else "'%H:%M'"
    midnight = "utchours(datum.value) == 0 && utcminutes(datum.value) == 0 && utcseconds(datum.value) == 0"
    label = f"utcFormat(datum.value, {midnight} ? '%b %d' : {hour})"
    axis = {"tickCount": 6, "labelOverlap": True, "grid": False, "labelFlush": True, "labelExpr": label}
    return {
        "field": "time", "type": "temporal", "title": None, "axis": axis,
        "scale": {"type": "utc", "domain": domain},
    }  # fmt: skip


def _colour(field: str, colours: Mapping[str, str]) -> dict[str, object]:
    legend = {"orient": "top", "title": None, "symbolType": "square", "columns": 3, "labelLimit": 180}
    return {
        "field": field, "type": "nominal", "scale": {"domain": list(colours), "range": list(colours.values())},
        "legend": legend if len(colours) > 1 else None,
    }  # fmt: skip


def _at(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


def _stamp(value: object) -> str:
    return f"{_at(value).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


_CONFIG = {
    "font": "inherit",
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)", "titleColor": "var(--quiet)", "gridColor": "var(--line)", "labelFontSize": 11,
        "titleFontSize": 11, "titleFontWeight": "normal", "domain": False, "ticks": False, "labelPadding": 6,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "offset": 8, "symbolSize": 90, "symbolStrokeWidth": 0},
}  # fmt: skip


def _svg(spec: Mapping[str, object], values: Sequence[Row], what: str) -> str:
    whole = {
        "width": WIDTH, "height": HEIGHT, "autosize": {"type": "fit-x", "contains": "padding"}, "config": _CONFIG,
        "data": {"values": list(values)}, **spec,
    }  # fmt: skip
    svg = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(what)}" ', 1)
