from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.folders import log_folders, read_folders
from gateway.audit.log import AuditLog
from gateway.audit.reader import Damage, Entry, Query
from gateway.core.message import Instant
from tests.unit.audit.examples import NOW, decided


def write(directory: Path, seconds: Sequence[float]) -> Path:
    """Write a log of decisions at these seconds."""
    with AuditLog(directory) as log:
        for second in seconds:
            log.append(decided()._replace(at=Instant(NOW + second)))
    return directory


def read(folders: list[Path], query: Query | None = None) -> list[tuple[str, object]]:
    """Give folder and second of each record, and folder and words of damage."""
    return [
        (folder.name, round(item.at - NOW) if isinstance(item, Entry) else item.what)
        for folder, item in read_folders(folders, query)
    ]


# Which folders


def test_the_log_of_one_process_stands_in_the_folder_itself(tmp_path: Path) -> None:
    assert log_folders(write(tmp_path, [0])) == [tmp_path]


def test_workers_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folders = [write(tmp_path / f"worker-{number}", [0]) for number in (10, 2, 1)]
    assert log_folders(tmp_path) == folders[::-1]


def test_what_was_written_before_there_were_workers_counts_too(tmp_path: Path) -> None:
    write(tmp_path, [0])
    worker = write(tmp_path / "worker-1", [1])
    assert log_folders(tmp_path) == [tmp_path, worker]


@pytest.mark.parametrize("name", ["worker-", "worker-0", "worker-01", "worker-1.old", "worker-x", "old-worker-1"])
def test_other_folders_are_no_workers(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, [0])
    assert log_folders(tmp_path) == [tmp_path]


def test_a_file_is_no_worker(tmp_path: Path) -> None:
    (tmp_path / "worker-1").write_text("")
    assert log_folders(tmp_path) == [tmp_path]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        log_folders(tmp_path / "gone")


# Reading


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, times) for name, times in (("a", [1, 4, 5]), ("b", [2, 3, 6]))]
    assert read(folders) == [("a", 1), ("b", 2), ("b", 3), ("a", 4), ("a", 5), ("b", 6)]


def test_each_log_keeps_its_order_where_a_clock_was_set_back(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, times) for name, times in (("a", [5, 1, 6]), ("b", [2, 7]))]
    found = read(folders)
    assert [second for folder, second in found if folder == "a"] == [5, 1, 6]
    assert [second for folder, second in found if folder == "b"] == [2, 7]


def test_records_of_one_time_come_in_the_order_of_the_folders(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, [1, 1]) for name in ("a", "b")]
    assert read(folders) == [("a", 1), ("a", 1), ("b", 1), ("b", 1)]


def test_a_query_is_for_every_log(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, times) for name, times in (("a", [1, 4]), ("b", [2, 3]))]
    assert read(folders, Query(since=Instant(NOW + 3))) == [("b", 3), ("a", 4)]


def test_damage_comes_with_its_folder_after_the_record_before_it(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, times) for name, times in (("a", [1, 2, 5]), ("b", [3]))]
    (file,) = folders[0].glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"{}\n" + lines[2])
    assert read(folders) == [("a", 1), ("a", "not a record"), ("b", 3), ("a", 5)]
    (_, damage) = next(item for item in read_folders(folders) if isinstance(item[1], Damage))
    assert str(damage) == f"{file.name}:2: not a record"


def test_every_line_counts_as_progress(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, [1, 2]) for name in ("a", "b")]
    sizes: list[int] = []
    list(read_folders(folders, progress=sizes.append))
    assert sum(sizes) == sum(file.stat().st_size for folder in folders for file in folder.glob("*.jsonl"))
