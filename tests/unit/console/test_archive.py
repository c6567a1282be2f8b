from pathlib import Path

from gateway.audit.reader import Query
from gateway.console.archive import FRESH, Archive
from tests.unit.audit.examples import DENIED, NOW, decided
from tests.unit.audit.query.logs import written


def count(archive: Archive) -> object:
    with archive.read() as reading:
        return reading.ask("SELECT count(*) AS n FROM records")[0]["n"]


def test_a_log_that_grew_is_opened_anew_after_a_while(tmp_path: Path) -> None:
    time = [0.0]
    directory = written(tmp_path / "audit", [decided()])
    with Archive(directory, tmp_path / "index", lambda: time[0]) as archive:
        assert count(archive) == 1
        written(directory, [DENIED])
        assert count(archive) == 1
        time[0] += FRESH
        assert count(archive) == 2
        time[0] += FRESH
        assert count(archive) == 2


def test_preparing_tells_how_far_it_is(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [DENIED])
    next(directory.glob("*.jsonl")).rename(directory / "audit-2026-11-21_000000000001.jsonl")
    written(directory, [decided()])
    told: list[int] = []
    with Archive(directory, tmp_path / "index", lambda: 0.0) as archive:
        archive.prepare(told.append)
        assert (len(told), count(archive)) == (1, 2)


def test_usual_questions_and_ends(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [DENIED])
    with Archive(directory, tmp_path / "index", lambda: 0.0) as archive, archive.read() as reading:
        assert [row["reason"] for row in reading.usual("reasons", Query())] == ["token.expired"]
        assert reading.ends() == (NOW, NOW)


def test_a_log_without_records_has_no_ends(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [])
    with Archive(directory, tmp_path / "index", lambda: 0.0) as archive, archive.read() as reading:
        assert reading.ends() is None
