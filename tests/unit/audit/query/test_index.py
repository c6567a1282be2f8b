import os
import shutil
import stat
from pathlib import Path

import pytest

from gateway.audit.events import Event
from gateway.audit.files import log_files
from gateway.audit.query import index as module
from gateway.audit.query.database import Database
from gateway.audit.query.index import Index, IndexUnusableError, Source
from gateway.audit.reader import Query
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, DENIED, NOW, changed, decided
from tests.unit.audit.query.logs import compressed, written


def days(number: int) -> list[Event]:
    """A denial a day: each day is a file."""
    return [changed(DENIED, at=Instant(NOW + day * DAY)) for day in range(number)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "index"


def source(directory: Path, place: Path, query: Query | None = None) -> Source:
    return Index(place, {directory: ""}).bring_up_to_date(query or Query())


def sequences(found: Source) -> list[object]:
    with Database(found) as database:
        return [row[0] for row in database.ask("SELECT sequence FROM records ORDER BY sequence").rows]


def test_files_that_are_finished_become_parts_and_the_newest_is_read(directory: Path, place: Path) -> None:
    found = source(written(directory, days(3)), place)
    assert [len(found.parts), len(found.tails)] == [2, 1]
    assert sequences(found) == [1, 2, 3]


def test_parts_are_made_once(directory: Path, place: Path) -> None:
    first = source(written(directory, days(3)), place)
    times = [path.stat().st_mtime_ns for path in first.parts]
    again = source(directory, place)
    assert ([path.stat().st_mtime_ns for path in again.parts], again) == (times, first)


def test_a_part_that_was_removed_is_made_anew(directory: Path, place: Path) -> None:
    source(written(directory, days(3)), place).parts[0].unlink()
    assert sequences(source(directory, place)) == [1, 2, 3]


def test_only_what_is_asked_for_is_indexed(directory: Path, place: Path) -> None:
    found = source(
        written(directory, days(9)), place, Query(since=Instant(NOW + 6 * DAY), until=Instant(NOW + 7 * DAY))
    )
    assert sequences(found) == [7, 8, 9]


def test_the_newest_file_is_indexed_as_it_grows(directory: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_BYTES", 2 * log_line(directory.with_name("other")))
    counts = []
    for _ in range(5):
        found = source(written(directory, [DENIED]), place)
        assert sequences(found) == list(range(1, len(counts) + 2))
        counts.append((len(found.parts), len(found.tails)))
    assert counts == [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def log_line(directory: Path) -> int:
    return log_files(written(directory, [DENIED]))[0].path.stat().st_size


def test_a_file_that_is_finished_is_indexed_behind_its_parts(
    directory: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(module, "TAIL_BYTES", 1)
        source(written(directory, [DENIED]), place)
    written(directory, [DENIED, *days(2)[1:]])
    found = source(directory, place)
    assert [path.name.partition(".")[2].endswith("w.parquet") for path in found.parts] == [False, True]
    assert sequences(found) == [1, 2, 3]


def test_another_log_of_the_same_names_is_another_log(directory: Path, place: Path) -> None:
    source(written(directory, days(3)), place)
    shutil.rmtree(directory)
    events = [changed(decided(), at=Instant(NOW + day * DAY)) for day in range(3)]
    with Database(source(written(directory, events), place)) as database:
        assert list(database.ask("SELECT DISTINCT denied FROM records").rows) == [(False,)]


def test_an_index_with_other_columns_is_made_anew(
    directory: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(module, "selection", lambda: "make_timestamp_ms(time) AS time")
        source(written(directory, days(3)), place)
    found = source(directory, place)
    assert (sequences(found), sorted(place.iterdir())) == ([1, 2, 3], sorted(found.parts))


def test_a_file_that_became_shorter_is_indexed_anew(directory: Path, place: Path) -> None:
    written(directory, [DENIED, *days(2)])
    source(directory, place)
    path = log_files(directory)[0].path
    os.truncate(path, path.read_bytes().index(b"\n") + 1)
    assert sequences(source(directory, place)) == [1, 3]


def test_what_the_log_keeps_no_longer_its_index_does_not_keep(directory: Path, place: Path) -> None:
    source(written(directory, days(3)), place)
    log_files(directory)[0].path.unlink()
    source(directory, place)
    assert [path.name.partition(".")[0] for path in place.iterdir()] == ["audit-2026-11-23_000000000002"]


def test_a_torn_line_at_the_end_is_left_for_later(directory: Path, place: Path) -> None:
    written(directory, [DENIED])
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b'{"time":17')
    with Database(source(directory, place)) as database:
        assert (database.unreadable, list(database.ask("SELECT sequence FROM records").rows)) == (0, [(1,)])


def test_lines_that_are_no_records_are_counted(directory: Path, place: Path) -> None:
    written(directory, days(2))
    for file in log_files(directory):
        with file.path.open("ab") as opened:
            opened.write(b"not a record\n[]\n")
    found = source(directory, place)
    with Database(found) as database:
        assert database.unreadable == 4
    assert sequences(found) == [1, 2]


def test_a_log_without_records(directory: Path, place: Path) -> None:
    written(directory, [])
    (directory / "audit-2026-11-22_000000000001.jsonl").touch()
    assert sequences(source(directory, place)) == []


def test_only_its_owner_reads_the_index(directory: Path, place: Path) -> None:
    part = source(written(directory, days(2)), place).parts[0]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, part)] == [0o700, 0o600]


def test_nothing_else_is_left_in_the_index(directory: Path, place: Path) -> None:
    found = source(written(directory, days(4)), place)
    assert sorted(place.iterdir()) == sorted(found.parts)


def test_an_index_that_cannot_be_written(directory: Path, place: Path) -> None:
    place.write_text("in the way")
    with pytest.raises(IndexUnusableError, match="index: File exists"):
        source(written(directory, days(2)), place)


def test_progress_counts_the_bytes_that_were_indexed(directory: Path, place: Path) -> None:
    written(directory, days(3))
    for expected in ([file.path.stat().st_size for file in log_files(directory)[:2]], [0, 0]):
        told: list[int] = []
        Index(place, {directory: ""}).bring_up_to_date(Query(), told.append)
        assert told == expected


def test_a_quote_in_a_path_is_no_end_of_it(tmp_path: Path) -> None:
    assert sequences(source(written(tmp_path / "o'neill", days(2)), tmp_path / "it's")) == [1, 2]


@pytest.mark.parametrize("indexed", [True, False])
def test_compressed_files(directory: Path, place: Path, indexed: bool) -> None:
    written(directory, days(3))
    before = source(directory, place).parts if indexed else ()
    for file in log_files(directory)[:2]:
        compressed(file.path)
    found = source(directory, place)
    assert sequences(found) == [1, 2, 3]
    assert not indexed or found.parts == before


def test_a_file_that_was_compressed_after_some_of_it_was_indexed(
    directory: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(module, "TAIL_BYTES", 1)
        source(written(directory, [DENIED]), place)
    written(directory, [DENIED, *days(2)[1:]])
    compressed(log_files(directory)[0].path)
    assert sequences(source(directory, place)) == [1, 2, 3]
