import pytest

from gateway.audit.query.database import Database
from gateway.audit.query.questions import BY_NAME, QUESTIONS, Question, compiled, timestamp
from gateway.audit.reader import Query
from gateway.core.message import Instant
from gateway.core.policy import Partner
from gateway.core.reasons import Reason
from tests.unit.audit.examples import EVENTS, NOW, REQUEST_ID, allowed, changed, decided, finished
from tests.unit.audit.query.logs import HOUR, database, written


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Every kind of record, a second partner two hours later, a failure and its end, and a request cut off."""
    other = allowed(partner=Partner("bet-nord"))
    late = Instant(NOW + 2 * HOUR)
    failed = changed(EVENTS["control.failed"], control="audit", at=NOW)
    events = [
        *EVENTS.values(),
        failed,
        changed(decided(other), at=late, request_id="r-2"),
        changed(finished(), at=late, request_id="r-2", decision=other, reason=Reason.UPSTREAM_TIMEOUT, status=504),
        changed(decided(other), at=late, request_id="r-3"),
    ]
    return database(written(tmp_path_factory.mktemp("log") / "audit", events))


def rows(opened: Database, name: str, **filters: object) -> list[dict[str, object]]:
    answer = opened.ask(*compiled(BY_NAME[name], Query(**filters)))  # type: ignore[arg-type]
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_every_question_has_an_answer(opened: Database, question: Question) -> None:
    assert rows(opened, question.name)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_every_question_takes_every_filter(opened: Database, question: Question) -> None:
    none = Query("nobody", "none", "x*", True, NOW, Instant(NOW + 1), "no-request")
    assert list(opened.ask(*compiled(question, none, 5)).rows) == []


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"partner": "acme-casino"}, 2),
        ({"reason": "upstream.*"}, 1),
        ({"denied": True}, 3),
        ({"since": Instant(NOW + HOUR)}, 2),
        ({"until": Instant(NOW + HOUR)}, 4),
        ({"request": REQUEST_ID, "denied": False}, 1),
        ({"route": "deposit", "partner": "bet-nord"}, 2),
    ],
)
def test_filters(opened: Database, filters: dict[str, object], count: int) -> None:
    assert len(rows(opened, "requests", **filters)) == count


def test_traffic_by_partner_and_hour(opened: Database) -> None:
    found = [(row["partner"], row["requests"], row["refused"]) for row in rows(opened, "hours")]
    assert found == [("(none)", 1, 1), ("acme-casino", 2, 1), ("bet-nord", 2, 0)]


def test_a_failure_and_its_end(opened: Database) -> None:
    found = {row["control"]: (row["seconds"], row["denied_meanwhile"]) for row in rows(opened, "failures")}
    assert found == {"audit": (12.5, 3), "token.keys:operator": (None, None)}


def test_requests_without_an_outcome(opened: Database) -> None:
    assert [row["request_id"] for row in rows(opened, "unfinished")] == ["r-3"]


def test_failures_after_the_allow_count_as_refusals_do(opened: Database) -> None:
    assert {row["reason"]: row["number"] for row in rows(opened, "reasons")}["upstream.timeout"] == 1


def test_controls_that_were_off(opened: Database) -> None:
    assert [(row["control"], row["because"], row["requests"]) for row in rows(opened, "controls-off")] == [
        ("rate_limit", "the PSP limits on its own", 4)
    ]


def test_clocks(opened: Database) -> None:
    assert {row["partner"]: row["median_s"] for row in rows(opened, "clocks")}["acme-casino"] == pytest.approx(1.13)


def test_a_limit(opened: Database) -> None:
    assert len(list(opened.ask(*compiled(BY_NAME["records"], Query(), 2)).rows)) == 2


def test_names_tell_questions_apart() -> None:
    assert len(BY_NAME) == len(QUESTIONS)


def test_times_have_no_zone() -> None:
    assert (timestamp(None), str(timestamp(NOW))) == (None, "2026-11-22 13:00:00.125000")
