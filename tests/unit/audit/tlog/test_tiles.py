import os
from pathlib import Path

import pytest

from gateway.audit.tlog.tiles import Tiles
from gateway.audit.tlog.tree import Edge, Tile


def grown(directory: Path, *counts: int) -> tuple[Tiles, Edge]:
    tiles, edge = Tiles(directory), Edge()
    for count in counts:
        filled = [tile for number in range(count) for tile in edge.extend([b"\0entry %d" % number])]
        for tile in (*filled, *edge.partial()):
            tiles.write(tile)
        tiles.publish(f"checkpoint of {edge.size}\n", "2026-11-22")
        tiles.drop_partial(filled)
    return tiles, edge


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_what_stands_there(tmp_path: Path) -> None:
    tiles, _ = grown(tmp_path / "tlog", 300)
    assert names(tiles.directory) == [
        "checkpoint",
        "checkpoints/2026-11-22.txt",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ]
    assert tiles.checkpoint() == "checkpoint of 300\n"


def test_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    tiles, _ = grown(tmp_path / "tlog", 2)
    assert tiles.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in tiles.directory.rglob("*") if path.is_file()} == {0o600}


def test_partial_tiles_stay_until_the_full_one_is_there(tmp_path: Path) -> None:
    grown(tmp_path / "tlog", 100, 100)
    assert "tile/0/000.p/100" in names(tmp_path / "tlog")
    grown(tmp_path / "more", 100, 100, 100)
    assert [name for name in names(tmp_path / "more") if "tile/0" in name] == ["tile/0/000", "tile/0/001.p/44"]


def test_every_checkpoint_is_kept(tmp_path: Path) -> None:
    tiles, _ = grown(tmp_path / "tlog", 1, 2)
    history = tiles.directory / "checkpoints" / "2026-11-22.txt"
    assert history.read_text() == "checkpoint of 1\n\ncheckpoint of 3\n\n"
    assert tiles.has_history()
    assert not Tiles(tmp_path / "none").has_history()


@pytest.mark.parametrize("torn", ["", "a", "a\n2\nroot\n", "a\n2\nroot\n\n", "a\n2\nroot\n\n— a sig", "a\n\n— a sig\n"])
@pytest.mark.parametrize("before", ["", "a\n1\nroot\n\n— a sig\n\n"])
def test_a_checkpoint_that_a_crash_left_torn_among_those_kept(tmp_path: Path, before: str, torn: str) -> None:
    history = tmp_path / "checkpoints" / "2026-11-22.txt"
    history.parent.mkdir()
    history.write_text(before + torn)
    tiles = Tiles(tmp_path)
    tiles.publish("new\n", "2026-11-22")
    tiles.publish("newer\n", "2026-11-22")
    assert history.read_text() == f"{before}new\n\nnewer\n\n"


def test_there_is_no_checkpoint_before_the_first(tmp_path: Path) -> None:
    assert Tiles(tmp_path).checkpoint() is None


@pytest.mark.parametrize("counts", [(1,), (255,), (256,), (300,), (100, 100, 100), (65_537,)])
def test_the_edge_is_read_again(tmp_path: Path, counts: tuple[int, ...]) -> None:
    tiles, edge = grown(tmp_path, *counts)
    again = tiles.edge(edge.size)
    assert again.root() == edge.root()
    assert again.partial() == edge.partial()
    assert tiles.missing(edge.size) is None


def test_the_edge_of_an_earlier_checkpoint_is_read_from_full_tiles(tmp_path: Path) -> None:
    tiles, _ = grown(tmp_path, 600)
    again = Edge()
    for number in range(100):
        again.extend([b"\0entry %d" % number])
    assert tiles.edge(100).root() == again.root()
    assert tiles.bundle(0, 100) == again.partial()[0].data


@pytest.mark.parametrize("lost", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
def test_a_partial_tile_that_is_not_there(tmp_path: Path, lost: str) -> None:
    tiles, edge = grown(tmp_path, 300)
    (tmp_path / lost).unlink()
    with pytest.raises(FileNotFoundError, match="is not there"):
        tiles.edge(edge.size)


@pytest.mark.parametrize(("torn", "told"), [("tile/0/001.p/44", "too short"), ("tile/entries/001.p/44", "too short")])
def test_a_partial_tile_that_is_torn(tmp_path: Path, torn: str, told: str) -> None:
    tiles, edge = grown(tmp_path, 300)
    os.truncate(tmp_path / torn, 33)
    with pytest.raises(ValueError, match=told):
        tiles.edge(edge.size)


def test_a_bundle_with_too_few_entries(tmp_path: Path) -> None:
    tiles, edge = grown(tmp_path, 2)
    tiles.write(Tile(None, 0, 2, b"\0\1a"))
    with pytest.raises(ValueError, match="too short"):
        tiles.edge(edge.size)


@pytest.mark.parametrize("lost", ["tile/0/000", "tile/entries/000"])
def test_a_full_tile_that_is_not_there_is_missed(tmp_path: Path, lost: str) -> None:
    tiles, edge = grown(tmp_path, 300)
    (tmp_path / lost).unlink()
    assert tiles.missing(edge.size) == lost
    assert tiles.missing(edge.size, first=1) is None
    (tmp_path / lost).write_bytes(b"torn")
    assert tiles.missing(edge.size) == lost


def test_a_tile_is_on_the_disk_before_the_checkpoint_that_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def sync(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        synced.append(str(path.relative_to(tmp_path)))
        assert path.is_dir() or path.name.startswith((".checkpoint", "2026")) or not (tmp_path / "checkpoint").exists()

    monkeypatch.setattr(os, "fsync", sync)
    grown(tmp_path, 2)
    assert set(synced[:2]) == {"tile/0/000.p/2", "tile/entries/000.p/2"}
    assert synced.index("tile/0/000.p") < synced.index("tile/0") < synced.index("tile") < synced.index(".")
    assert synced.index(".checkpoint.new") < synced.index("checkpoints/2026-11-22.txt")


def test_the_public_key_lies_beside(tmp_path: Path) -> None:
    tiles = Tiles(tmp_path / "tlog")
    tiles.introduce("a+b+c")
    tiles.introduce("another")
    assert (tmp_path / "tlog" / "log.vkey").read_text() == "a+b+c\n"
