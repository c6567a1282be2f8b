import tempfile
from pathlib import Path

import pytest

from gateway.audit.query.opening import index_place, open_log, size_of
from gateway.audit.reader import Query
from tests.unit.audit.examples import DENIED, decided
from tests.unit.audit.query.logs import written
from tests.unit.audit.query.test_index import days


def test_the_index_stands_beside_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert index_place(Path("var/audit")) == tmp_path / "var" / "audit-index"


def test_workers_are_told_apart(tmp_path: Path) -> None:
    for number, event in ((1, decided()), (2, DENIED)):
        written(tmp_path / f"worker-{number}", [event])
    with open_log(tmp_path, tmp_path / "index", Query()) as database:
        rows = list(database.ask("SELECT worker, denied FROM records ORDER BY worker").rows)
    assert rows == [("worker-1", False), ("worker-2", True)]


def test_without_a_place_the_index_is_made_for_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = written(tmp_path / "audit", days(3))
    (tmp_path / "index").write_text("in the way")
    (tmp_path / "passing").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "passing"))
    told: list[str] = []
    with open_log(directory, tmp_path / "index", Query(), None, told.append) as database:
        assert list(database.ask("SELECT count(*) FROM records").rows) == [(3,)]
    assert told == [f"the index cannot be kept, and is made anew for each question: {tmp_path / 'index'}: File exists"]
    assert list((tmp_path / "passing").iterdir()) == []


def test_size(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", days(3))
    assert size_of(directory, Query()) == sum(path.stat().st_size for path in directory.glob("*.jsonl"))
