from pathlib import Path

import pytest

from gateway.audit.files import file_name
from gateway.audit.tlog import lines
from gateway.audit.tlog.lines import Lines, RecordsLostError


def write(directory: Path, first: int, *records: bytes, end: bytes = b"\n") -> Path:
    path = directory / file_name("2026-11-22", first)
    path.write_bytes(b"\n".join(records) + end)
    return path


def entries(read: Lines, last: int) -> list[bytes]:
    leaves = [bytes(leaf) for some in read.up_to(last) for leaf in some]
    assert all(leaf[:1] == b"\0" for leaf in leaves)
    return [leaf[1:] for leaf in leaves]


def taken(directory: Path, first: int, last: int) -> list[bytes]:
    return entries(Lines(directory, first), last)


def test_lines_go_on_across_files(tmp_path: Path) -> None:
    write(tmp_path, 1, b"a", b"b")
    write(tmp_path, 3, b"c", b"d")
    assert taken(tmp_path, 1, 4) == [b"a", b"b", b"c", b"d"]
    assert taken(tmp_path, 2, 3) == [b"b", b"c"]
    assert taken(tmp_path, 4, 3) == []


def test_no_line_beyond_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, 1, b"a", b"not acknowledged")
    read = Lines(tmp_path, 1)
    assert entries(read, 1) == [b"a"]
    path.write_bytes(b"a\nanother one\n")  # cut off, and written anew
    assert entries(read, 2) == [b"another one"]


def test_lines_that_come_later(tmp_path: Path) -> None:
    path = write(tmp_path, 1, b"a")
    read = Lines(tmp_path, 1)
    assert entries(read, 1) == [b"a"]
    path.write_bytes(b"a\nb\nc\n")
    write(tmp_path, 4, b"d")
    assert entries(read, 4) == [b"b", b"c", b"d"]


def test_records_that_were_lost_between_files_leave_their_places(tmp_path: Path) -> None:
    write(tmp_path, 1, b"a")
    write(tmp_path, 4, b"d")
    assert taken(tmp_path, 1, 4) == [b"a", b"", b"", b"d"]


def test_a_torn_line_is_none(tmp_path: Path) -> None:
    write(tmp_path, 1, b"a", b"tor", end=b"")
    write(tmp_path, 2, b"b")
    assert taken(tmp_path, 1, 2) == [b"a", b"b"]


def test_a_file_that_was_removed(tmp_path: Path) -> None:
    write(tmp_path, 1, b"a")
    with pytest.raises(RecordsLostError, match="records 2 to 5 are in no file"):
        taken(tmp_path, 1, 5)
    with pytest.raises(RecordsLostError, match="records 1 to 1 are in no file"):
        taken(tmp_path / "..", 1, 1)


def test_lost_records_that_another_file_follows_later(tmp_path: Path) -> None:
    write(tmp_path, 1, b"a")
    read = Lines(tmp_path, 1)
    with pytest.raises(RecordsLostError):
        entries(read, 2)
    write(tmp_path, 3, b"c")
    assert entries(read, 3) == [b"", b"c"]


def test_a_file_that_does_not_belong_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_GAP", 5)
    write(tmp_path, 1, b"a")
    write(tmp_path, 8, b"h")
    with pytest.raises(RecordsLostError, match="records 2 to 7 are in no file: too many to go on"):
        taken(tmp_path, 1, 8)


@pytest.mark.parametrize(
    ("length", "taken_as"),
    [(65_535, b"x" * 65_535), (65_536, b""), (131_071, b""), (131_072, b""), (200_000, b""), (500_000, b"")],
)
def test_the_longest_line(tmp_path: Path, length: int, taken_as: bytes) -> None:
    write(tmp_path, 1, b"x" * length, b"b")
    assert taken(tmp_path, 1, 2) == [taken_as, b"b"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_much_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(lines, "CHUNK", chunk)
    monkeypatch.setattr(lines, "MAX_ENTRY", 9)
    write(
        tmp_path,
        1,
        b"a",
        b"",
        b"123456789",
        b"1234567890",
        b"a longer one that is too long",
        b"b",
        b"c",
        b"tor",
        end=b"",
    )
    write(tmp_path, 8, b"d")
    wanted = [b"a", b"", b"123456789", b"", b"", b"b", b"c", b"d"]
    assert taken(tmp_path, 1, 8) == wanted
    read = Lines(tmp_path, 1)
    assert [entry for last in range(1, 9) for entry in entries(read, last)] == wanted
