import gzip
import shutil
from pathlib import Path

import pytest

from gateway.audit.tlog.note import Signer
from gateway.audit.verify.check import check
from gateway.audit.verify.files import Segment, Tiles
from gateway.audit.verify.notes import Key
from tests.unit.audit.published import ORIGIN, Published, many, published, signer, verified, whole


@pytest.mark.parametrize("counts", [(1,), (255,), (256,), (257,), (3, 500, 9), (100, 156, 256)])
def test_a_log_that_is_whole(tmp_path: Path, counts: tuple[int, ...]) -> None:
    log = published(tmp_path, *counts, max_bytes=50_000)
    found = whole(tmp_path, [log.note])
    assert found.records == found.size == sum(counts)
    assert found.signed == len(counts)
    assert found.signer == ORIGIN
    assert found.notices == (
        [f"1 allowed requests at the end have no outcome yet, the first by record {sum(counts)}"]
        if sum(counts) % 2
        else []
    )


def test_a_tree_with_a_full_tile_above_the_leaves(tmp_path: Path) -> None:
    log = many(tmp_path, 66_000)
    assert whole(tmp_path).size == 66_000
    tile = log.tlog / "tile/1/000"
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    assert [str(one) for one in verified(tmp_path).problems] == [
        "tile 0 of level 1 does not hold the hashes of those below it"
    ]


def test_records_behind_the_last_checkpoint(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.grow(300)
    log.add(20)
    log.close()
    found = whole(tmp_path)
    assert (found.records, found.size) == (320, 300)
    assert found.notices == ["20 records at the end are in no checkpoint yet"]


def test_a_log_that_is_being_written(tmp_path: Path) -> None:
    log = Published(tmp_path)
    for count in (5, 300, 300):
        log.grow(count)
        log.add(1)
        whole(tmp_path)
    log.close()


def test_an_empty_folder(tmp_path: Path) -> None:
    assert [str(one) for one in verified(tmp_path).problems] == ["tlog/checkpoint is not there"]


def test_a_log_that_was_never_published(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.add(4)
    log.close()
    found = verified(tmp_path)
    assert [str(one) for one in found.problems] == ["tlog/checkpoint is not there"]
    assert found.records == 4


def test_an_earlier_checkpoint_that_the_log_goes_on_from(tmp_path: Path) -> None:
    log = Published(tmp_path)
    log.grow(100)
    first = log.note
    log.grow(100)
    log.close()
    (log.tlog / "checkpoints" / "2026-11-22.txt").unlink()
    assert whole(tmp_path).signed == 1
    assert whole(tmp_path, [first]).signed == 2


def test_a_checkpoint_of_another_tree(tmp_path: Path) -> None:
    log = published(tmp_path, 100)
    other = signer().sign(f"{ORIGIN}\n50\n{'A' * 43}=\n")
    assert str(verified(tmp_path, [other]).first) == (
        "record 1: one of it to 50 is not what was signed: the checkpoint of 50 entries is of another tree"
    )
    assert verified(tmp_path, [log.note, other]).count == 1


def test_a_checkpoint_of_another_log_by_the_same_key(tmp_path: Path) -> None:
    published(tmp_path, 3)
    other = signer().sign(f"elsewhere\n3\n{'A' * 43}=\n")
    assert str(verified(tmp_path, [other]).first) == f"a checkpoint given is of the log elsewhere, not of {ORIGIN}"


def test_a_checkpoint_in_the_history_that_is_torn_was_never_published(tmp_path: Path) -> None:
    log = published(tmp_path, 3)
    with (log.tlog / "checkpoints" / "2026-11-22.txt").open("a") as history:
        history.write(f"{ORIGIN}\n7\nroot\n\n")
    whole(tmp_path)


def test_the_history_without_the_checkpoint(tmp_path: Path) -> None:
    log = published(tmp_path, 3)
    (log.tlog / "checkpoint").unlink()
    assert [str(one) for one in verified(tmp_path).problems] == [
        "tlog/checkpoint is not there", "the checkpoint of 3 entries is there, and tlog/checkpoint is not",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tile/0/000", "record 1: its tile of hashes is not there, or too short"),
        ("tile/entries/000", "record 1: its bundle of entries is not there, or too short"),
        ("tile/0/001.p/44", "record 257: its tile of hashes is not there, or too short"),
        ("tile/entries/001.p/44", "record 257: its bundle of entries is not there, or too short"),
        ("tile/1/000.p/1", "tile 0 of level 1 does not hold the hashes of those below it"),
    ],
)
def test_a_tile_that_is_not_there(tmp_path: Path, name: str, told: str) -> None:
    log = published(tmp_path, 300)
    (log.tlog / name).unlink()
    assert [str(one) for one in verified(tmp_path).problems] == [told]


def test_a_log_without_its_first_files(tmp_path: Path) -> None:
    log = published(tmp_path, 300, 400, max_bytes=100_000)
    files = sorted(tmp_path.glob("*.jsonl"))
    for file in files[:10]:
        file.unlink()
    found = verified(tmp_path)
    assert found.signed == 2  # the tiles still tell what was before
    first = int(files[10].stem.partition("_")[2])
    assert first > 300
    assert [str(one) for one in found.problems] == [
        f"record 1: it and those up to {first - 1} are in no file, and the log does not say why"
    ]
    shutil.rmtree(log.tlog / "tile/1")
    assert "hashes of the records before it are not there" in str(verified(tmp_path).problems)


def test_any_of_several_keys(tmp_path: Path) -> None:
    published(tmp_path, 3)
    keys = [Key.parse(Signer.generate("other").public), Key.parse(signer().public)]
    assert check(tmp_path, keys).count == 0


@pytest.mark.parametrize("root", ["A" * 43 + "=", "/" * 42 + "8="])
def test_two_checkpoints_of_one_size(tmp_path: Path, root: str) -> None:
    """Whichever is looked at first: what differs lies behind the one before."""
    published(tmp_path, 100, 100)
    other = signer().sign(f"{ORIGIN}\n200\n{root}\n")
    assert str(verified(tmp_path, [other]).first) == (
        "record 101: one of it to 200 is not what was signed: the checkpoint of 200 entries is of another tree"
    )


def test_a_checkpoint_that_comes_while_the_log_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no older state that was put back, nor an end that was cut off."""
    log = Published(tmp_path, max_bytes=20_000)
    log.grow(300)
    read = Tiles.text

    def grows(tiles: Tiles, name: str) -> str | None:
        log.grow(50)
        return read(tiles, name)

    monkeypatch.setattr(Tiles, "text", grows)
    whole(tmp_path)
    log.close()


def test_a_file_that_is_sealed_while_the_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "audit-2026-11-22_000000000001.jsonl"
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(b"a\n"))
    with Segment(path, 1).open() as opened:
        assert opened.read() == b"a\n"
