import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gateway.audit.files import log_files
from gateway.audit.record import MAX_LINE
from gateway.audit.segment import LostError, Segment, Tail, read_tail

DATE = "2026-11-22"


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment.create(tmp_path, DATE, 1)
    yield made
    made.close()


def lines(*sequences: int) -> bytes:
    return b"".join(
        orjson.dumps({"time": sequence * 1000, "metadata": {"sequence": sequence}}) + b"\n" for sequence in sequences
    )


def tail_of(tmp_path: Path, text: bytes, first: int = 1) -> Tail:
    path = tmp_path / f"audit-{DATE}_{first:012}.jsonl"
    path.write_bytes(text)
    return read_tail(log_files(tmp_path)[-1])


def failing(monkeypatch: pytest.MonkeyPatch, name: str, *errors: int) -> None:
    """Let a system call fail with these errors, one each call, and work from then on."""
    real, left = getattr(os, name), list(errors)

    def call(*args: object) -> object:
        if left and (error := left.pop(0)):
            raise OSError(error, os.strerror(error))
        return real(*args)

    monkeypatch.setattr(os, name, call)


def test_the_file_is_its_owners_alone(segment: Segment) -> None:
    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("segment")
def test_a_file_of_its_name_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Segment.create(tmp_path, DATE, 1)


def test_a_file_whose_entry_cannot_be_synced_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        Segment.create(tmp_path, DATE, 1)
    assert log_files(tmp_path) == []


def test_what_is_written_stands_at_once(segment: Segment) -> None:
    segment.write(b"one\n")
    segment.write(b"two\n")
    assert (segment.path.read_bytes(), segment.size) == (b"one\ntwo\n", 8)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_write_that_fails_leaves_nothing(segment: Segment, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    segment.write(b"one\n")
    failing(monkeypatch, "write", error)
    with pytest.raises(OSError, match=os.strerror(error)):
        segment.write(b"two\n")
    assert (segment.path.read_bytes(), segment.size) == (b"one\n", 4)


def test_a_partial_write_is_taken_back(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    segment.write(b"one\n")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:2]))
    with pytest.raises(OSError, match="only 2 of 4 bytes"):
        segment.write(b"two\n")
    assert segment.path.read_bytes() == b"one\n"


def test_a_partial_write_that_cannot_be_taken_back_is_before_the_next_one(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment.write(b"one\n")
    real = os.write
    failing(monkeypatch, "ftruncate", errno.EIO, errno.EIO)
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:2]))
    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - first the write, then the cut
            segment.write(b"two\n")
    monkeypatch.setattr(os, "write", real)
    segment.write(b"two\n")
    assert segment.path.read_bytes() == b"one\ntwo\n"


def test_a_file_in_its_place_passes_the_check(segment: Segment) -> None:
    segment.write(b"one\n")
    segment.check()
    assert segment.path.read_bytes() == b"one\n"


def test_a_removed_file_is_found_by_the_check(segment: Segment) -> None:
    segment.path.unlink()
    with pytest.raises(LostError, match="was removed"):
        segment.check()


@pytest.mark.parametrize("text", [b"", b"one\nforged\n"])
def test_a_file_that_somebody_changed_is_not_written(segment: Segment, text: bytes) -> None:
    segment.write(b"one\n")
    segment.path.write_bytes(text)
    with pytest.raises(LostError, match="was changed by somebody else"):
        segment.write(b"two\n")


def test_sync_brings_the_file_to_the_disk(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    segment.sync()
    assert synced == [segment.path.stat().st_ino]


def test_a_failed_sync_loses_the_file(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(LostError, match="could not be synced: Input/output error"):
        segment.sync()


def test_sync_finds_that_the_file_was_moved(segment: Segment, tmp_path: Path) -> None:
    segment.path.rename(tmp_path / "moved")
    with pytest.raises(LostError, match="No such file"):
        segment.sync()


def test_sync_finds_that_another_file_took_its_place(segment: Segment, tmp_path: Path) -> None:
    segment.path.rename(tmp_path / "moved")
    segment.path.touch()
    with pytest.raises(LostError, match="another file took the place"):
        segment.sync()


def test_a_closed_file_needs_no_sync(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    segment.close()
    failing(monkeypatch, "fsync", errno.EIO)
    segment.sync()
    segment.close()
    assert segment.size == 0


def test_the_tail_of_a_whole_file(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, lines(1, 2, 3))
    assert (tail.sequence, tail.time, tail.size, tail.torn, tail.damaged) == (3, 3.0, len(lines(1, 2, 3)), 0, 0)


def test_the_tail_of_an_empty_file(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b"", first=8)
    assert (tail.sequence, tail.time, tail.size) == (7, None, 0)


@pytest.mark.parametrize("torn", [b"{", lines(3)[:-1], b"\x00" * 4096, b"x" * 1_000_000])
def test_the_tail_of_a_torn_file(tmp_path: Path, torn: bytes) -> None:
    tail = tail_of(tmp_path, lines(1, 2) + torn)
    assert (tail.sequence, tail.size, tail.torn) == (2, len(lines(1, 2)), len(torn))


def test_the_tail_of_a_file_that_is_one_torn_line(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b'{"time":1', first=5)
    assert (tail.sequence, tail.size, tail.torn) == (4, 0, 9)


@pytest.mark.parametrize("damage", [b"\n", b"{}\n", b"[1]\n", b'{"time":"1","metadata":{"sequence":3}}\n'])
def test_damaged_lines_at_the_end_used_up_a_sequence_each(tmp_path: Path, damage: bytes) -> None:
    tail = tail_of(tmp_path, lines(1, 2) + damage + b"x\n")
    assert (tail.sequence, tail.damaged, tail.torn) == (4, 2, 0)


def test_the_tail_of_a_file_without_a_record(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b"x\ny\n", first=5)
    assert (tail.sequence, tail.time, tail.damaged) == (6, None, 2)


def test_a_long_last_line_is_read_whole(tmp_path: Path) -> None:
    long = orjson.dumps({"time": 1000, "metadata": {"sequence": 2}, "text": "a" * 20 * MAX_LINE}) + b"\n"
    assert tail_of(tmp_path, lines(1) + long).sequence == 2


def test_a_file_is_gone_on_with_and_its_torn_end_cut_off(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, lines(1) + b"{torn")
    segment = Segment.reopen(log_files(tmp_path)[-1], tail)
    segment.write(lines(2))
    segment.close()
    assert segment.path.read_bytes() == lines(1, 2)
