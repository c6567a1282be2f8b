import os
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.engine import watch as watch_module
from gateway.engine.watch import Watch

PAST = 1_700_000_000
"""When the files were written, in seconds."""
LATER = Instant(PAST + 10.0)


def write(path: Path, text: str = "a", at: float = PAST) -> None:
    path.write_text(text)
    os.utime(path, ns=(int(at * 1e9), int(at * 1e9)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    write(path)
    return path


def looks(watch: Watch, count: int) -> list[bool]:
    return [watch.changed() for _ in range(count)]


def test_what_stays_as_it_is_did_not_change(file: Path) -> None:
    assert looks(Watch([file], LATER), 3) == [False, False, False]


def test_a_change_is_told_once_it_has_settled_and_once_only(file: Path) -> None:
    watch = Watch([file], LATER)
    write(file, "b", PAST + 20)
    assert looks(watch, 4) == [False, True, False, False]


def test_a_file_that_still_moves_has_not_settled(file: Path) -> None:
    watch = Watch([file], LATER)
    for text in ("b", "bb", "bbb"):
        write(file, text, PAST + 20)
        assert not watch.changed()
    assert watch.changed()


def test_a_change_that_is_taken_back_is_none(file: Path) -> None:
    watch = Watch([file], LATER)
    write(file, "bb")
    assert not watch.changed()
    write(file, "a")
    assert looks(watch, 3) == [False, False, False]


def test_each_change_is_told(file: Path) -> None:
    watch = Watch([file], LATER)
    told = []
    for second in (20, 30):
        write(file, "b", PAST + second)
        told += looks(watch, 2)
    assert told == [False, True, False, True]


@pytest.mark.parametrize("at", [PAST, PAST + 1])
def test_what_changed_since_the_files_were_read_counts(file: Path, at: int) -> None:
    write(file, "b", at)
    assert looks(Watch([file], Instant(float(PAST))), 3) == [False, True, False]


def test_a_change_while_files_were_read_anew_counts(file: Path) -> None:
    before = Watch([file], LATER).look()
    write(file, "b", PAST + 20)
    assert looks(Watch([file], LATER, before), 3) == [False, True, False]


def test_a_file_dated_in_the_future_is_read_anew_once_at_most(file: Path) -> None:
    write(file, "b", PAST + 1_000_000)
    first = Watch([file], LATER)
    assert looks(first, 2) == [False, True]
    assert looks(Watch([file], LATER, first.look()), 3) == [False, False, False]


def test_a_file_that_is_gone_counts(file: Path) -> None:
    watch = Watch([file], LATER)
    file.unlink()
    assert looks(watch, 3) == [False, True, False]


def test_a_file_that_appears_counts(tmp_path: Path) -> None:
    file = tmp_path / "partners-ca.pem"
    watch = Watch([file], LATER)
    assert not watch.changed()
    write(file)
    assert looks(watch, 3) == [False, True, False]


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_counts(file: Path, tmp_path: Path) -> None:
    watch = Watch([file], LATER)
    write(tmp_path / "new", "b")
    (tmp_path / "new").replace(file)
    assert looks(watch, 2) == [False, True]


def test_a_file_that_comes_into_a_folder_counts(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    os.utime(folder, (PAST, PAST))
    watch = Watch([folder], LATER)
    write(folder / "routes.yaml")
    assert looks(watch, 3) == [False, True, False]


def test_many_files_are_looked_at_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "AT_ONCE", 2)
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        write(file)
    watch = Watch(files, LATER)
    write(files[4], "b", PAST + 20)
    # two, two, the one that changed, and a look whether it has settled
    assert looks(watch, 6) == [False, False, False, True, False, False]
    write(files[0], "b", PAST + 20)
    assert sorted(looks(watch, 4)) == [False, False, False, True]
