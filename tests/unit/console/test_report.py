import re
from pathlib import Path

import pytest

from gateway.audit.reader import UNFINISHED
from gateway.console.archive import Archive, Reading
from gateway.console.charts import Span
from gateway.console.evidence import REQUIREMENTS
from gateway.console.report import Kept, report
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, EVENTS, NOW, POLICY, changed, decided
from tests.unit.audit.query.logs import HOUR, written

ALL = Span(Instant(NOW - 1), Instant(NOW + 2 * HOUR))


@pytest.fixture(scope="module")
def text(archive: Archive, directory: Path) -> str:
    with archive.read() as reading:
        return report(reading, directory, ALL, NOW)


def test_the_file_needs_nothing_else(text: str) -> None:
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", re.sub(r"xlink:href=\"#[^\"]*\"", "", text)) == []
    assert re.findall(r"url\((?!#)|@import|<script|<link|<img", text) == []
    assert text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "says",
    [
        "Token", POLICY.digest[:16], "the PSP limits on its own", "token.keys:operator", "rate_limit is off",
        "cut-off", "acme-2026-11", "CN=casino,O=Acme",
    ],
)  # fmt: skip
def test_what_stands_in_it(text: str, says: str) -> None:
    assert says.lower() in text.lower()


def test_every_requirement_stands_in_it(text: str) -> None:
    assert [one.number for one in REQUIREMENTS if f"<td>{one.number}</td>" not in text] == []
    assert len(re.findall('<svg role="img"', text)) == 4
    assert UNFINISHED not in text


def test_links_lead_somewhere(text: str) -> None:
    assert set(re.findall(r'href="#([a-z]+)"', text)) <= set(re.findall(r' id="([a-z]+)"', text))


def test_what_ends_soon_is_marked(reading: Reading, directory: Path) -> None:
    ends = {"key new": Instant(NOW + 99 * DAY), "key old": Instant(NOW + DAY), "pin": None}
    kept = [Kept(what, "partner acme", end) for what, end in ends.items()]
    text = report(reading, directory, ALL, NOW, kept, ["policy.yaml:1:1: <remark>"])
    rows = re.findall(r"<tr( class=\"soon\")?><td>[^<]*<time[^>]*>[^<]*</time></td><td>(key \w+)", text)
    assert rows == [(' class="soon"', "key old"), ("", "key new")]
    assert "policy.yaml:1:1: &lt;remark&gt;" in text
    late = report(reading, directory, ALL, Instant(NOW + 70 * DAY))
    assert 'class="soon"' in late


def test_a_clock_that_went_back_is_told(tmp_path: Path) -> None:
    events = [decided(), changed(EVENTS["stop"], at=Instant(NOW - 90))]
    directory = written(tmp_path / "audit", events)
    with Archive(directory, tmp_path / "index", lambda: 0.0) as archive, archive.read() as reading:
        text = report(reading, directory, Span(Instant(NOW - HOUR), Instant(NOW + HOUR)), NOW)
    assert "went back by more than a second 1 times, by 90.0 s at most" in text
