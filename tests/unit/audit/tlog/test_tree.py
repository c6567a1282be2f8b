from itertools import batched

import pytest

from gateway.audit.tlog.tree import Edge, Tile, entries_of, tile_path, widths
from tests.unit.audit import spec


def leaves(first: int, end: int) -> list[bytes]:
    return [b"\0entry %d" % number for number in range(first, end)]


def grown(count: int, at_once: int = 1_000_000) -> tuple[Edge, dict[str, bytes]]:
    edge, filled = Edge(), {}
    for some in batched(leaves(0, count), at_once):
        filled |= {tile.path: tile.data for tile in edge.extend(some)}
    return edge, filled


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 42, 256, "tile/1/042"),
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (None, 1000, 256, "tile/entries/x001/000"),
        (63, 273, 112, "tile/63/273.p/112"),
    ],
)
def test_the_path_of_a_tile(level: int | None, index: int, width: int, path: str) -> None:
    assert tile_path(level, index, width) == path
    assert Tile(level, index, width, b"").path == path


@pytest.mark.parametrize("at_once", [1, 100, 256, 1_000])
@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 511, 512, 1000])
def test_the_tiles_are_those_of_the_specification(count: int, at_once: int) -> None:
    edge, filled = grown(count, at_once)
    entries = [b"entry %d" % number for number in range(count)]
    assert filled | {tile.path: tile.data for tile in edge.partial()} == spec.tiles(entries)
    assert edge.root() == spec.mth(entries)


def test_a_tree_with_three_levels() -> None:
    edge, filled = grown(65_536 + 256 + 1)
    paths = [*filled, *(tile.path for tile in edge.partial())]
    assert "tile/1/000" in paths
    assert [path for path in paths if ".p/" in path] == [
        "tile/entries/257.p/1", "tile/0/257.p/1", "tile/1/001.p/1", "tile/2/000.p/1",
    ]  # fmt: skip
    assert widths(edge.size) == [1, 1, 1]


def test_the_example_of_the_specification() -> None:
    assert widths(70_000) == [112, 17, 1]
    assert widths(256) == [0, 1]


def test_an_edge_goes_on_where_another_one_stood() -> None:
    whole, _ = grown(300)
    half, filled = grown(290)
    levels = {tile.level: tile.data for tile in half.partial()}
    again = Edge(290, levels[None], [levels[0], levels[1]])
    again.extend(leaves(290, 300))
    assert again.root() == whole.root()
    assert again.partial() == whole.partial()
    assert "tile/0/000" in filled


def test_entries_of_a_bundle() -> None:
    assert entries_of(b"\x00\x01a\x00\x00\x00\x02bc") == [b"a", b"", b"bc"]
    with pytest.raises(ValueError, match="ends within"):
        entries_of(b"\x00\x01a\x00\x02b")
