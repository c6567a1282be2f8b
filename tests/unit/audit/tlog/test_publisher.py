import shutil
from pathlib import Path

import pytest

from gateway.audit.files import log_files
from gateway.audit.tlog.lines import RecordsLostError
from gateway.audit.tlog.publisher import Publisher, TlogError, checkpoint_of
from tests.unit.audit import spec
from tests.unit.audit.examples import NOW
from tests.unit.audit.published import ORIGIN, Published, published, signer, stranger, verified, whole


def test_the_log_is_the_tree_of_its_lines(tmp_path: Path) -> None:
    log = published(tmp_path, 3, 300, 1)
    entries = log.lines()
    assert spec.open_checkpoint(log.note, signer().public) == (ORIGIN, 304, spec.mth(entries))
    files, wanted = spec.files_of(log.tlog), spec.tiles(entries)
    assert {path: files[path] for path in wanted} == wanted
    assert all(".p/" in path for path in files.keys() - wanted)  # those of the checkpoints before
    whole(tmp_path)


def test_nothing_new_makes_no_checkpoint(tmp_path: Path) -> None:
    log = Published(tmp_path)
    assert log.publish() is None
    log.add(2)
    assert log.publish() == log.note
    assert log.publish() is None
    log.close()


def test_only_what_is_on_the_disk_is_published(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.add(2)
    log.log.sync()
    log.add(2)
    log.publisher.publish(log.log.synced, NOW)
    assert log.publisher.checkpoint is not None
    assert log.publisher.checkpoint.size == 2
    log.close()


def test_it_says_how_far_it_is(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.add(100)
    log.log.sync()
    sizes: list[int] = []
    publisher = Publisher(tmp_path, signer(), progress=sizes.append)
    publisher.publish(log.log.synced, NOW)
    assert len(sizes) > 1
    assert sizes[-1] == 100
    log.close()


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    published(tmp_path, 300)
    published(tmp_path, 300, 5)
    assert whole(tmp_path).size == 605


def test_records_that_an_earlier_run_did_not_publish(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.grow(10)
    log.add(10)
    log.close()
    assert whole(tmp_path).size == 10
    published(tmp_path, 2)
    assert whole(tmp_path).size == 22


def test_a_log_that_was_there_before_it_was_published(tmp_path: Path) -> None:
    log = Published(tmp_path, max_bytes=20_000)
    log.add(100)
    log.close()
    assert len(log_files(tmp_path)) > 5
    published(tmp_path, 1)
    assert whole(tmp_path).size == 101


@pytest.mark.parametrize("lost", ["tile", "tile/0", "tile/entries/000", "tile/0/001.p", "tile/1"])
def test_tiles_that_are_missing_are_made_anew(tmp_path: Path, lost: str) -> None:
    log = published(tmp_path, 300)
    before = spec.files_of(log.tlog)
    path = log.tlog / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = Published(tmp_path)
    again.close()
    assert spec.files_of(log.tlog) == before
    whole(tmp_path)


def test_a_partial_tile_that_is_torn_is_made_anew(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    path = log.tlog / "tile/0/001.p/44"
    data = path.read_bytes()
    path.write_bytes(data[:40])
    published(tmp_path, 1)
    whole(tmp_path)


def test_files_that_do_not_give_the_tree_that_was_signed_are_not_signed(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    shutil.rmtree(log.tlog / "tile")
    (file,) = log_files(tmp_path)
    file.path.write_bytes(file.path.read_bytes().replace(b"r-3", b"r-4"))
    with pytest.raises(TlogError, match=r"the log's files do not give the tree of tlog/checkpoint \(300 entries\)"):
        Publisher(tmp_path, signer()).resume()
    assert not (log.tlog / "tile").exists()


def test_a_record_that_is_not_the_one_that_was_published_stops_it(tmp_path: Path) -> None:
    published(tmp_path, 300)
    (file,) = log_files(tmp_path)
    lines = file.path.read_bytes().splitlines(keepends=True)
    lines[280] = lines[280].replace(b"acme", b"emca")
    file.path.write_bytes(b"".join(lines))
    with pytest.raises(TlogError, match="record 281 is not the one that was published"):
        Publisher(tmp_path, signer()).resume()


def test_another_key_does_not_go_on_with_a_log(tmp_path: Path) -> None:
    published(tmp_path, 3)
    with pytest.raises(TlogError, match=r"not signed by this log's key.*begin a new log"):
        Publisher(tmp_path, stranger()).resume()
    assert checkpoint_of(tmp_path, signer()) is not None


def test_a_checkpoint_of_another_log(tmp_path: Path) -> None:
    log = published(tmp_path, 3)
    (log.tlog / "checkpoint").write_text(signer().sign(f"elsewhere\n3\n{'A' * 43}=\n"))
    with pytest.raises(TlogError, match=f"is of elsewhere, not of {ORIGIN}"):
        checkpoint_of(tmp_path, signer())


def test_a_checkpoint_that_was_removed(tmp_path: Path) -> None:
    log = published(tmp_path, 3)
    (log.tlog / "checkpoint").unlink()
    with pytest.raises(TlogError, match="checkpoint was removed: put back the last one of tlog/checkpoints"):
        checkpoint_of(tmp_path, signer())


def test_a_crash_before_the_first_checkpoint(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    (log.tlog / "checkpoint").unlink()
    shutil.rmtree(log.tlog / "checkpoints")
    published(tmp_path, 1)
    assert whole(tmp_path).size == 301


def test_records_that_were_published_and_are_gone_keep_their_numbers(tmp_path: Path) -> None:
    published(tmp_path, 20)
    (file,) = log_files(tmp_path)
    file.path.write_bytes(b"".join(file.path.read_bytes().splitlines(keepends=True)[:15]))
    published(tmp_path, 1)
    assert [file.first for file in log_files(tmp_path)] == [1, 21]
    problems = [str(problem) for problem in verified(tmp_path).problems]
    assert problems[0] == "record 16: missing before audit-2026-11-22_000000000021.jsonl, up to 20"
    assert problems[1] == "record 16: it was published, and is not in the log's files"
    assert len(problems) == 6


def test_records_that_were_lost_before_they_were_published_leave_their_places(tmp_path: Path) -> None:
    log = Published(tmp_path, max_bytes=20_000)
    log.grow(2)
    log.add(30)
    log_files(tmp_path)[1].path.unlink()
    log.publish()
    log.close()
    found = verified(tmp_path)
    assert found.size == 32
    assert [problem.what.partition(" ")[0] for problem in found.problems] == ["missing"]


def test_records_that_no_file_has_are_waited_for(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.grow(2)
    with pytest.raises(RecordsLostError):
        log.publisher.publish(3, NOW)
    log.grow(1)
    log.close()
    assert whole(tmp_path).size == 3


def test_a_disk_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Published(tmp_path)
    log.grow(300)
    log.add(300)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("gateway.audit.tlog.tiles._write", full)
        with pytest.raises(OSError, match="No space"):
            log.publish()
    assert whole(tmp_path).size == 300
    log.publish()
    log.close()
    assert whole(tmp_path).size == 600
