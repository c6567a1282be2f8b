from datetime import UTC, datetime

import pytest

from gateway.audit.query.questions import QUESTIONS
from gateway.console import views
from gateway.console.archive import Archive
from gateway.console.pages import page
from gateway.console.views import NotFoundError, shown
from gateway.core.message import Instant
from tests.unit.audit.examples import CONNECTION_ID, DAY, NOW

LATER = Instant(NOW + DAY / 2)
PATHS = ["/", "/requests", "/request/whole", f"/request/{CONNECTION_ID}", "/questions", "/policy", "/integrity"]


def seen(archive: Archive, path: str, now: Instant = LATER, **asked: str) -> str:
    made = shown(archive, path, asked, now)
    return page(made.template, made.values)


@pytest.mark.parametrize("path", [*PATHS, *(f"/questions/{question.name}" for question in QUESTIONS)])
def test_every_page_can_be_shown(archive: Archive, path: str) -> None:
    html = seen(archive, path)
    assert html.startswith("<!doctype html>")
    assert "<script" not in html
    assert ' style="' not in html


@pytest.mark.parametrize("path", ["/request/nothing", "/questions/nothing", "/nothing", "/policy/more", "/request"])
def test_pages_that_are_not_there(archive: Archive, path: str) -> None:
    with pytest.raises(NotFoundError):
        shown(archive, path, {}, LATER)


def ids(archive: Archive, **asked: str) -> list[object]:
    rows = shown(archive, "/requests", asked, LATER).values["rows"]
    assert isinstance(rows, list | tuple)
    return [row["request_id"] for row in rows]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"partner": "bet-nord"}, ["cut-off", "failed", "whole"]),
        ({"partner": "bet-nord", "reason": "upstream.*"}, ["failed"]),
        ({"verdict": "denied", "partner": "acme-casino"}, ["denied"]),
        ({"verdict": "allowed", "id": "whole"}, ["whole"]),
        (
            {"from": "2026-11-22T13:30:00", "route": "deposit", "verdict": "allowed"},
            ["answered", "cut-off", "failed", "whole"],
        ),
        ({"to": "2026-11-22T13:30:00Z", "partner": "bet-nord"}, []),
        ({"range": "1h"}, []),
        ({"from": "yesterday"}, []),
    ],
)
def test_search(archive: Archive, asked: dict[str, str], found: list[str]) -> None:
    assert ids(archive, **asked) == found


def test_older_requests_are_a_link_away(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_ROWS", 2)
    older = shown(archive, "/requests", {"partner": "bet-nord"}, LATER).values["older"]
    assert older == "/requests?partner=bet-nord&to=2026-11-22T14%3A00%3A00.125"


@pytest.mark.parametrize(("now", "chosen"), [(LATER, "24h"), (Instant(NOW + 9 * DAY), "all")])
def test_where_nothing_is_of_the_last_day_all_is_shown(archive: Archive, now: Instant, chosen: str) -> None:
    assert shown(archive, "/", {}, now).values["range"] == chosen


def test_a_question_says_that_there_is_more(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_ROWS", 1)
    assert shown(archive, "/questions/records", {"range": "all"}, LATER).values["more"] is True


def test_controls_that_are_off_are_those_since_the_policy_came_into_force(archive: Archive) -> None:
    html = seen(archive, "/policy")
    assert "the PSP limits on its own" in html
    assert datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%d %H:%M:%S") in html
