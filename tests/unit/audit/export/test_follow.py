import shutil
from pathlib import Path

import pytest

from gateway.audit.export import follow
from gateway.audit.export.follow import Follower, Loss, Position, PositionError, read_positions, write_positions
from gateway.audit.files import log_files
from gateway.audit.reader import Entry
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, DENIED, NOW, changed, decided
from tests.unit.audit.query.logs import compressed, written
from tests.unit.audit.query.test_index import days


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def taken(follower: Follower) -> list[int | str]:
    return [item.sequence if isinstance(item, Entry) else item.what for item in follower.take().items]


def test_reading_goes_on_where_it_ended(directory: Path) -> None:
    written(directory, days(2))
    follower = Follower(directory, None)
    assert taken(follower) == [1, 2]
    assert (taken(follower), follower.behind()) == ([], 0)
    written(directory, [changed(DENIED, at=Instant(NOW + 2 * DAY))])
    assert follower.behind() > 0
    assert taken(follower) == [3]
    assert taken(Follower(directory, follower.position)) == []


def test_a_batch_is_bounded_and_has_the_position_behind_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "BATCH_BYTES", 1)
    written(directory, days(3))
    follower = Follower(directory, None)
    batches = [follower.take() for _ in range(4)]
    assert [len(batch.items) for batch in batches] == [1, 1, 1, 0]
    assert batches[0].position is not None
    assert taken(Follower(directory, batches[0].position)) == [2]


def test_a_line_that_is_just_being_written_is_left_for_later(directory: Path) -> None:
    path = log_files(written(directory, [DENIED, DENIED]))[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    follower = Follower(directory, None)
    assert taken(follower) == [1]
    path.write_bytes(whole)
    assert taken(follower) == [2]


def test_lines_that_are_no_records_are_told_of_once(directory: Path) -> None:
    path = log_files(written(directory, [DENIED]))[0].path
    path.write_bytes(path.read_bytes() + b"no record\n")
    follower = Follower(directory, None)
    assert taken(follower) == [1, f"{path.name}: a line of 10 bytes is no record"]
    assert taken(follower) == []


def test_missing_records_are_told_of(directory: Path) -> None:
    path = log_files(written(directory, [DENIED] * 4))[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[3]]))
    assert taken(Follower(directory, None)) == [1, "sequence 4 where 2 should follow", 4]


def test_files_that_are_gone_are_told_of(directory: Path) -> None:
    follower = Follower(directory, None)
    written(directory, days(2))
    taken(follower)
    written(directory, [changed(DENIED, at=Instant(NOW + day * DAY)) for day in (3, 4)])
    for file in log_files(directory)[:3]:
        file.path.unlink()
    assert taken(follower) == ["sequence 4 where 3 should follow", 4]


def test_a_file_that_is_compressed_meanwhile(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "BATCH_BYTES", 1)
    written(directory, [DENIED, *days(2)])
    follower = Follower(directory, None)
    assert taken(follower) == [1]
    compressed(log_files(directory)[0].path)
    assert follower.behind() > log_files(directory)[1].path.stat().st_size
    assert [taken(follower), taken(Follower(directory, follower.position))] == [[2], [3]]
    assert follower.behind() == log_files(directory)[1].path.stat().st_size


def test_a_log_that_begins_later_lacks_nothing(directory: Path) -> None:
    written(directory, days(2))
    log_files(directory)[0].path.unlink()
    assert taken(Follower(directory, None)) == [2]


def test_another_log_begins_anew(directory: Path) -> None:
    written(directory, [DENIED])
    follower = Follower(directory, None)
    taken(follower)
    shutil.rmtree(directory)
    written(directory, [decided()])
    told = taken(Follower(directory, follower.position))
    assert (len(told), "begins anew" in str(told[0]), told[1]) == (2, True, 1)


def test_positions_outlive(tmp_path: Path) -> None:
    path = tmp_path / "forward.json"
    assert read_positions(path) == {}
    positions = {"worker-1": Position("audit-x.jsonl", 1, 2, 3, "u:3")}
    write_positions(path, positions)
    assert read_positions(path) == positions


@pytest.mark.parametrize("text", ["", "[]", "{", '{"": {"file": "x"}}', '{"": 5}'])
def test_positions_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "forward.json"
    path.write_text(text)
    with pytest.raises(PositionError, match="remove it to begin anew"):
        read_positions(path)


def test_losses_say_what() -> None:
    assert Loss("x").what == "x"
