from pathlib import Path
from typing import Any

import pytest

from gateway.audit.query import database as module
from gateway.audit.query.database import Database, QuestionError
from gateway.audit.reader import UNFINISHED
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests.unit.audit.examples import DAY, DENIED, EVENTS, NOW, answered_before, changed, decided, finished, refused
from tests.unit.audit.query.logs import asked, database, written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two days: a part of the index, and what is read from the newest file."""
    events = list(EVENTS.values())
    return written(tmp_path / "audit", [*events, changed(DENIED, at=Instant(NOW + DAY))])


@pytest.fixture
def opened(directory: Path) -> Any:
    with database(directory) as found:
        yield found


def test_records_are_those_of_the_index_and_of_the_newest_file(opened: Database) -> None:
    assert list(opened.ask("SELECT count(*), count(DISTINCT file) FROM records").rows) == [(len(EVENTS) + 1, 2)]


def test_a_request_counts_once_as_it_ended(tmp_path: Path) -> None:
    failed = finished(reason=Reason.UPSTREAM_TIMEOUT, status=504)
    events = [
        decided(), finished(),
        decided(request_id="cut-off"),
        decided(request_id="failed"), failed._replace(request_id="failed"),
        DENIED._replace(request_id="denied"), answered_before(request_id="again"), refused(), EVENTS["start"],
    ]  # fmt: skip
    rows = asked(written(tmp_path / "audit", events), "SELECT reason, success FROM requests ORDER BY sequence")
    assert rows == [
        ("allowed", True),
        (UNFINISHED, None),
        ("upstream.timeout", False),
        ("token.expired", False),
        ("idempotency.answered", True),
        ("tls.certificate_untrusted", False),
    ]


def test_answers_have_the_names_of_their_columns(opened: Database) -> None:
    assert opened.ask("SELECT 1 AS one, kind FROM records").columns == ("one", "kind")


def test_parameters_are_values(opened: Database) -> None:
    sql = "SELECT count(*) FROM records WHERE partner = $partner"
    assert list(opened.ask(sql, {"partner": "x' OR '1'='1"}).rows) == [(0,)]
    assert list(opened.ask(sql, {"partner": "acme-casino"}).rows) != [(0,)]


def test_more_rows_than_are_fetched_at_once(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 2)
    assert len(list(opened.ask("SELECT 1 FROM records").rows)) == len(EVENTS) + 1


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "COPY records TO '{target}'",
        "CREATE TABLE copy AS SELECT * FROM records",
        "DROP VIEW records",
        "ATTACH '{target}'",
        "EXPORT DATABASE '{target}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET threads = 1",
        "SET enable_external_access = true",
        "EXPLAIN ANALYZE SELECT 1",
        "WITH written AS (COPY (SELECT 1) TO '{target}') SELECT * FROM records",
        "WITH written AS (COPY (SELECT 1) TO '{part}' (USE_TMP_FILE false)) SELECT * FROM records",
        "WITH written AS (INSERT INTO tail0 SELECT * FROM tail0 RETURNING 1) SELECT * FROM written",
        "WITH written AS (DELETE FROM tail0 RETURNING 1) SELECT * FROM written",
        "SELECT 1) AS a, (SELECT 2",
        "SELECT 1 /*",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('{log}')",
        "SELECT * FROM read_json('{log}')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
        "SELECT getenv('HOME')",
        "SELECT * FROM query('COPY records TO ''{target}''')",
        "SELECT * FROM events",
        "SELECT nothing FROM records",
        "SELEC",
    ],
)
def test_nothing_but_a_question_about_the_log_is_answered(opened: Database, directory: Path, sql: str) -> None:
    events = object()  # DuckDB would look for a variable of this name
    part = next(path for path in directory.with_name("index").iterdir())
    before, target = part.read_bytes(), directory.with_name("written")
    log = next(directory.glob("*.jsonl"))
    with pytest.raises(QuestionError):
        list(opened.ask(sql.format(target=target, part=part, log=log)).rows)
    assert (part.read_bytes(), target.exists(), events is None) == (before, False, False)
    assert list(opened.ask("SELECT count(*) FROM records").rows) == [(len(EVENTS) + 1,)]


def test_an_answer_that_fails_on_its_way(opened: Database) -> None:
    with pytest.raises(QuestionError, match="Could not convert string"):
        list(opened.ask("SELECT kind::INTEGER FROM records").rows)


@pytest.mark.parametrize(
    "sql",
    ["FROM records LIMIT 1", "SUMMARIZE records", "DESCRIBE requests", "WITH a AS (SELECT 1) SELECT * FROM a -- x"],
)
def test_questions_in_the_forms_that_duckdb_has(opened: Database, sql: str) -> None:
    assert list(opened.ask(sql).rows)


def test_progress_is_told_and_an_interrupt_ends_the_question(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    endless = "SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b"
    with pytest.raises(KeyboardInterrupt):
        opened.ask(endless, None, interrupt)
    assert list(opened.ask("SELECT 1").rows) == [(1,)]
