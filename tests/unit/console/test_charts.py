import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from gateway.console.charts import MOST_BARS, Span, bars, lines, ranking
from gateway.core.message import Instant

DAY = Span(Instant(1_795_305_600.0), Instant(1_795_392_000.0))


def at(hour: int) -> datetime:
    return datetime.fromtimestamp(DAY.since + hour * 3600, UTC).replace(tzinfo=None)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - it is our own


ROWS = [
    {"time": at(1), "reason": "token.expired", "n": 3},
    {"time": at(1), "reason": "</svg><script>", "n": 4},
    {"time": at(2), "reason": "token.expired", "n": 1},
]
PLOTS = {
    "bars": bars(ROWS, DAY, by="reason", count="n", what='a "plot" & more'),
    "lines": lines(
        [{"time": at(1), "p50": 1.0}, {"time": at(2), "p50": None}],
        DAY,
        fields={"p50": "var(--a)"},
        unit="ms",
        what="p",
    ),
    "ranking": ranking([{"who": "<b>", "ok": 1, "no": 2}], name="who", parts={"ok": "red", "no": "blue"}, what="p"),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_nothing_of_a_plot_is_run_or_fetched_or_styled_in_place(plot: str) -> None:
    names = {element.tag.rpartition("}")[2] for element in drawn(PLOTS[plot]).iter()}
    attributes = {name for element in drawn(PLOTS[plot]).iter() for name in element.attrib}
    assert names.isdisjoint({"script", "style", "image", "a", "foreignObject"})
    assert "style" not in attributes
    assert not any(name.startswith("on") for name in attributes)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_says_what_it_is(plot: str) -> None:
    assert drawn(PLOTS[plot]).attrib["aria-label"] in {'a "plot" & more', "p"}


def test_bars_stand_on_each_other() -> None:
    labels = [element.attrib.get("aria-label", "") for element in drawn(PLOTS["bars"]).iter()]
    assert len([label for label in labels if "from: " in label]) == 3
    assert any("from: 4" in label for label in labels)


def test_plots_take_the_pages_colours() -> None:
    assert {"var(--plot-1)", "var(--plot-2)"} <= set(re.findall(r"var\(--plot-\d\)", PLOTS["bars"]))


def test_more_series_than_colours_become_others() -> None:
    rows = [{"time": at(1), "reason": f"r{number}", "n": 20 - number} for number in range(12)]
    svg = bars(rows, DAY, by="reason", count="n", what="p")
    assert ("others" in svg, "var(--plot-other)" in svg, "r11" in svg) == (True, True, False)


@pytest.mark.parametrize("seconds", [1, 60, 3600, 86_400, 2_592_000, 31_536_000])
def test_bars_are_as_short_as_there_is_room_for(seconds: int) -> None:
    span = Span(Instant(0.0), Instant(float(seconds)))
    assert seconds / span.step <= MOST_BARS
    assert Span(Instant(0.0), Instant(1e12)).step == 604_800
