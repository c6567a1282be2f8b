from pathlib import Path

import pytest

from gateway.audit.files import file_name
from gateway.audit.verify.files import Tiles, logs, segments, tile_name
from tests.unit.audit import spec
from tests.unit.audit.published import published


def test_the_logs_own_files_in_their_order(tmp_path: Path) -> None:
    for first in (5, 1, 1_000_000_000_000):
        (tmp_path / file_name("2026-11-22", first)).touch()
    (tmp_path / "notes.jsonl").touch()
    assert [file.first for file in segments(tmp_path)] == [1, 5, 1_000_000_000_000]


def test_the_logs_of_workers(tmp_path: Path) -> None:
    assert logs(tmp_path) == [tmp_path]
    for number in (10, 2):
        (tmp_path / f"worker-{number}").mkdir()
    (tmp_path / "worker-3").touch()
    (tmp_path / "worker-04").mkdir()
    workers = [tmp_path / "worker-2", tmp_path / "worker-10"]
    assert logs(tmp_path) == workers
    (tmp_path / file_name("2026-11-22", 1)).touch()
    assert logs(tmp_path) == [tmp_path, *workers]


@pytest.mark.parametrize(
    ("level", "index", "width", "name"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 1_234_067, 5, "tile/1/x001/x234/067.p/5"),
        ("entries", 1000, 256, "tile/entries/x001/000"),
    ],
)
def test_the_name_of_a_tile(level: int | str, index: int, width: int, name: str) -> None:
    assert tile_name(level, index, width) == name


def test_what_the_tiles_hold(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    tiles, lines = Tiles(log.tlog), log.lines()
    hashes = [spec.mth([line]) for line in lines]
    assert tiles.entries(0, 256) == lines[:256]
    assert tiles.entries(1, 44) == lines[256:]
    assert tiles.entries(0, 100) == lines[:100]
    assert tiles.hashes(0, 1, 44) == hashes[256:]
    assert tiles.hashes(1, 0, 1) == [spec.mth(lines[:256])]
    leaves = [b"\0" + line for line in lines[:256]]
    assert tiles.holds(0, leaves, hashes[:256])
    assert tiles.holds(0, [memoryview(leaf) for leaf in leaves], hashes[:256])
    assert tiles.holds(0, leaves[:100], hashes[:100])
    for other in (b"\0x", leaves[0] + b"x", leaves[0][:-1], b"\0" + b"x" * (len(leaves[0]) - 1), None):
        assert not tiles.holds(0, [other, *leaves[1:]], hashes[:256])
        assert not tiles.holds(0, [*leaves[:-1], other], hashes[:256])
    assert not tiles.holds(0, leaves, [b"x" * 32, *hashes[1:256]])
    # What a larger bundle has left in memory is no part of a smaller one.
    assert not tiles.holds(1, leaves, hashes[:256])


def test_what_they_do_not_hold(tmp_path: Path) -> None:
    log = published(tmp_path, 3)
    tiles = Tiles(log.tlog)
    assert tiles.text("none") is None
    assert tiles.hashes(0, 0, 4) is None
    assert tiles.entries(0, 4) is None
    assert not tiles.holds(7, [b"\0"], [b""])
    bundle = log.tlog / "tile/entries/000.p/3"
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert tiles.entries(0, 3) is None
    (log.tlog / "tile/0/000.p/3").write_bytes(b"short")
    assert tiles.hashes(0, 0, 3) is None
