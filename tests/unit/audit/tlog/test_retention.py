import gzip
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.events import Event, LogDeleted
from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.reader import Entry, read
from gateway.audit.tlog import retention
from gateway.audit.tlog.publisher import FOLDER, Publisher
from gateway.audit.tlog.retention import DAY, OldFiles
from gateway.core.message import Instant
from gateway.core.publication import Retention
from tests.unit.audit.examples import NOW, POLICY, changed
from tests.unit.audit.published import Published, events, published, signer, verified, whole

AGE = Retention(at_hand=2 * DAY, keep=5 * DAY)


class Old:
    """A log of ten days, with so many records each, all of them published."""

    def __init__(self, directory: Path, each: int = 100) -> None:
        self.directory = directory
        self.now = Instant(NOW + 9 * DAY)
        self.log = AuditLog(directory)
        self.publisher = Publisher(directory, signer())
        for day in range(10):
            self.append([changed(event, at=Instant(event.at + day * DAY)) for event in events(each, 1 + day * each)])
        self.files = OldFiles(directory, directory / FOLDER)

    def append(self, more: Sequence[Event]) -> None:
        for event in more:
            self.log.append(event)
        self.log.sync()
        self.publisher.publish(self.log.synced, Instant(self.now))

    def keep(self, age: Retention = AGE) -> None:
        sealed, deleted = self.files.due(age, self.log.synced, self.now)
        for due in sealed:
            self.files.seal(due)
        for due in deleted:
            self.append([LogDeleted(self.now, POLICY, due.file.path.name, due.file.first, due.last, "5d")])
            self.files.delete(due)
        self.files.prune()

    def names(self) -> list[str]:
        return [file.path.name[6:].replace("00000000", "…") for file in log_files(self.directory)]


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path / "log")


def test_files_are_compressed_and_deleted_by_their_age(old: Old) -> None:
    old.keep()
    assert old.names() == [
        "2026-11-25_…0301.jsonl.gz", "2026-11-26_…0401.jsonl.gz", "2026-11-27_…0501.jsonl.gz",
        "2026-11-28_…0601.jsonl", "2026-11-29_…0701.jsonl", "2026-11-30_…0801.jsonl", "2026-12-01_…0901.jsonl",
    ]  # fmt: skip


def test_what_remains_is_verified(old: Old) -> None:
    old.keep()
    old.log.close()
    found = whole(old.directory)
    first = log_files(old.directory)[0].first
    assert first > 256
    assert found.records == old.log.sequence - first + 1
    assert f"records 1 to {first - 1} were deleted, as the policy says and the log records" in found.notices
    entries = list(read(old.directory))
    assert all(isinstance(entry, Entry) for entry in entries)
    assert len(entries) == found.records


def test_the_log_goes_on(old: Old) -> None:
    old.keep()
    old.log.close()
    again = Published(old.directory)
    again.grow(300)
    again.close()
    whole(old.directory)


def test_only_what_no_tree_needs_any_more_is_deleted(old: Old) -> None:
    old.keep()
    first = log_files(old.directory)[0].first
    kept = (first - 1) // 256
    tiles = old.directory / FOLDER / "tile"
    assert min(path.name for path in (tiles / "entries").iterdir()) == f"{kept:03}"
    assert min(path.name for path in (tiles / "0").iterdir()) == f"{kept:03}"
    assert (tiles / "1").exists()


def test_a_deletion_that_the_log_does_not_tell_of_is_a_problem(old: Old) -> None:
    _, deleted = old.files.due(AGE, old.log.synced, old.now)
    old.files.delete(deleted[0])
    old.files.prune()
    old.log.close()
    assert str(verified(old.directory).first) == (
        f"record 1: it and those up to {deleted[0].last} are in no file, and the log does not say why"
    )


def test_a_file_that_is_missing_behind_those_that_were_deleted(old: Old) -> None:
    old.keep()
    old.log.close()
    gone = log_files(old.directory)[0]
    gone.path.unlink()
    found = verified(old.directory)
    assert found.first is not None
    assert found.first.sequence == gone.first


def test_what_is_not_published_is_neither_compressed_nor_deleted(old: Old) -> None:
    assert old.files.due(AGE, 0, old.now) == ([], [])
    sealed, deleted = old.files.due(AGE, 150, old.now)
    assert [due.last for due in (*deleted, *sealed)] == [100]


def test_the_newest_file_stays_however_old(old: Old) -> None:
    sealed, deleted = old.files.due(AGE, 10_000, Instant(old.now + 1_000 * DAY))
    assert sealed == []
    assert [due.last for due in deleted] == list(range(100, 1_000, 100))


def test_a_sealed_file_holds_the_same(old: Old) -> None:
    (first, *_), _ = old.files.due(AGE, 10_000, old.now)
    data = first.file.path.read_bytes()
    assert old.files.seal(first) == hashlib.sha256(data).hexdigest()
    sealed = first.file.path.with_name(f"{first.file.path.name}.gz")
    assert gzip.decompress(sealed.read_bytes()) == data
    assert sealed.stat().st_mode & 0o777 == 0o400
    assert not first.file.path.exists()
    old.log.close()
    whole(old.directory)


def test_a_crash_between_the_two_leaves_the_file(old: Old) -> None:
    (first, *_), _ = old.files.due(AGE, 10_000, old.now)
    kept = old.directory / "kept"
    shutil.copy(first.file.path, kept)
    old.files.seal(first)
    shutil.move(kept, first.file.path)
    assert log_files(old.directory)[first.file.first // 100].path == first.file.path
    whole(old.directory)
    (again, *_), _ = old.files.due(AGE, 10_000, old.now)
    assert again == first
    first.file.path.with_name(f".{first.file.path.name}.gz.new").touch(mode=0o400)
    old.files.seal(again)
    assert not first.file.path.exists()
    old.log.close()


def test_what_was_compressed_wrongly_takes_no_files_place(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_), _ = old.files.due(AGE, 10_000, old.now)
    monkeypatch.setattr(retention.gzip.GzipFile, "write", lambda *_: None)
    with pytest.raises(OSError, match="what was compressed is not what the file holds"):
        old.files.seal(first)
    assert first.file.path.exists()
    old.log.close()


def test_a_sealed_file_that_was_damaged_is_named(old: Old) -> None:
    (first, *_), _ = old.files.due(AGE, 10_000, old.now)
    old.files.seal(first)
    old.log.close()
    sealed = first.file.path.with_name(f"{first.file.path.name}.gz")
    data = sealed.read_bytes()
    sealed.chmod(0o600)
    sealed.write_bytes(data[: len(data) // 2])
    found = verified(old.directory)
    assert f"{sealed.name} cannot be decompressed" in str(found.problems)


def test_nothing_is_pruned_of_a_log_that_is_whole(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    OldFiles(tmp_path, log.tlog).prune()
    OldFiles(tmp_path / "tlog", log.tlog).prune()
    whole(tmp_path)


def test_tiles_far_on_are_pruned(tmp_path: Path) -> None:
    """By numbers of more than three digits."""
    tiles = tmp_path / "tlog" / "tile"
    for name in (
        "entries/x001/x234/066",
        "entries/x001/x234/067",
        "0/x001/x234/066",
        "1/x004/819",
        "1/x004/820",
        "2/018",
    ):
        (tiles / name).parent.mkdir(parents=True, exist_ok=True)
        (tiles / name).touch()
    (tmp_path / f"audit-2026-11-22_{1_234_067 * 256 + 5:012}.jsonl").touch()
    OldFiles(tmp_path, tmp_path / "tlog").prune()
    left = sorted(str(path.relative_to(tiles)) for path in tiles.rglob("*") if path.is_file())
    assert left == ["1/x004/820", "2/018", "entries/x001/x234/067"]
