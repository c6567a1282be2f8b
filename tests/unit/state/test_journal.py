import asyncio
import os
from pathlib import Path

import pytest

from gateway.core.reasons import Reason, Unavailable
from gateway.state import journal as under_test
from gateway.state.journal import DamagedError, Entry, Journal


def journal(folder: Path) -> Journal:
    made = Journal(folder, "test")
    made.first = ["first"]
    return made


def read(folder: Path) -> list[Entry]:
    return [entry for _, entry in Journal(folder, "test").read()]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("test-*.journal"))


def written(folder: Path, *entries: Entry) -> Path:
    one = journal(folder)
    list(one.read())
    for entry in entries:
        one.append(entry, 10.0)
    one.close()
    return files(folder)[-1]


def test_nothing_is_written_before_there_is_something_to_write(tmp_path: Path) -> None:
    journal(tmp_path).close()
    assert files(tmp_path) == []


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    written(tmp_path, ["a", 1], ["b"])
    written(tmp_path, ["c"])
    assert read(tmp_path) == [["first"], ["a", 1], ["b"], ["first"], ["c"]]
    assert [file.name for file in files(tmp_path)] == ["test-00000001.journal", "test-00000002.journal"]
    assert files(tmp_path)[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tail", [b"1", b"00000000 [1,2]\n", b"not a line\n", b"0000"])
def test_an_end_that_a_crash_left_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    file = written(tmp_path, ["a"])
    whole = file.read_bytes()
    file.write_bytes(whole + tail)
    assert read(tmp_path) == [["first"], ["a"]]
    assert file.read_bytes() == whole


def test_what_still_counts_takes_the_place_of_all_before(tmp_path: Path) -> None:
    written(tmp_path, ["a"], ["b"])
    written(tmp_path, ["c"])
    one = journal(tmp_path)
    list(one.read())
    one.replace([(["b"], 10.0), (["c"], 20.0)])
    assert [file.name for file in files(tmp_path)] == ["test-00000003.journal"]
    one.append(["d"], 30.0)
    one.close()
    assert read(tmp_path) == [["first"], ["b"], ["c"], ["d"]]


def test_where_nothing_was_written_nothing_is_replaced(tmp_path: Path) -> None:
    one = journal(tmp_path)
    one.replace([])
    assert files(tmp_path) == []


def test_a_crash_before_the_old_files_are_deleted_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise OSError(5, "crash")

    written(tmp_path, ["a", 1])
    one = journal(tmp_path)
    list(one.read())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", crash)
        with pytest.raises(OSError, match="crash"):
            one.replace([(["a", 1], 10.0)])
    one.close()
    assert read(tmp_path) == [["first"], ["a", 1], ["first"], ["a", 1]]


@pytest.mark.parametrize("length", range(1, 30))
def test_wherever_the_last_line_ends_those_before_it_stand(tmp_path: Path, length: int) -> None:
    file = written(tmp_path, ["a"], ["the last one"])
    file.write_bytes(file.read_bytes()[:-length])
    assert read(tmp_path) == [["first"], ["a"]]


@pytest.mark.parametrize("place", [0, 9, 20, 40])
def test_damage_within_is_an_error(tmp_path: Path, place: int) -> None:
    file = written(tmp_path, ["a"], ["b"], ["c"], ["d"])
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedError, match="was damaged"):
        read(tmp_path)


def test_another_version_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_FORMAT", 99)
    written(tmp_path, ["a"])
    monkeypatch.undo()
    with pytest.raises(DamagedError, match="another version"):
        read(tmp_path)


def test_a_full_file_is_followed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "FULL", 40)
    written(tmp_path, ["a"], ["b"], ["c"])
    assert len(files(tmp_path)) > 1
    assert [entry for entry in read(tmp_path) if entry != ["first"]] == [["a"], ["b"], ["c"]]


def test_files_are_deleted_once_all_that_they_say_is_over(tmp_path: Path) -> None:
    written(tmp_path, ["a"])
    written(tmp_path, ["b"])
    one = journal(tmp_path)
    list(one.read())
    one.append(["c"], 30.0)
    one.tidy(9.0)
    assert len(files(tmp_path)) == 3
    one.tidy(10.0)
    assert [file.name for file in files(tmp_path)] == ["test-00000003.journal"]
    one.close()


@pytest.mark.parametrize("taken", [0, 5])
def test_a_line_that_was_written_in_part_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    one = journal(tmp_path)
    one.append(["a"], 10.0)
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(under_test.os, "write", lambda descriptor, line: write(descriptor, line[:taken]))
        with pytest.raises(Unavailable, match="no space left"):
            one.append(["b"], 10.0)
    one.append(["c"], 10.0)
    one.close()
    assert read(tmp_path) == [["first"], ["a"], ["c"]]


async def test_lines_that_come_while_the_disk_works_share_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(under_test.os, "fdatasync", synced.append)
    one = journal(tmp_path)

    async def write(number: int) -> None:
        one.append([number], 10.0)
        await one.synced()

    await asyncio.gather(*(write(number) for number in range(20)))
    assert 1 <= len(synced) <= 2
    await write(20)
    assert 2 <= len(synced) <= 3
    one.close()


async def test_a_full_file_is_synced_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "FULL", 1)
    one = journal(tmp_path)
    one.append(["a"], 10.0)
    one.append(["b"], 10.0)
    await one.synced()
    one.append(["c"], 10.0)
    one.append(["d"], 10.0)
    one.close()
    assert [entry for entry in read(tmp_path) if entry != ["first"]] == [["a"], ["b"], ["c"], ["d"]]


async def test_a_disk_that_fails_is_told_to_all_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    one = journal(tmp_path)
    one.append(["a"], 10.0)
    with monkeypatch.context() as patched:
        patched.setattr(under_test.os, "fdatasync", fail)
        failed = await asyncio.gather(one.synced(), one.synced(), return_exceptions=True)
    assert all(isinstance(error, Unavailable) and error.reason is Reason.STATE_UNAVAILABLE for error in failed)
    await one.synced()
    one.close()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="journal cannot be written"):
        journal(tmp_path / "gone").append(["a"], 1.0)
