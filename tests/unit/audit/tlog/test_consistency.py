from pathlib import Path

import pytest

from gateway.audit.tlog.consistency import consistency_proof
from gateway.audit.tlog.tiles import Tiles
from gateway.audit.tlog.tree import Edge
from tests.unit.audit import spec
from tests.unit.audit.witness import goes_on


def tree(directory: Path, count: int) -> tuple[Tiles, list[bytes]]:
    tiles, edge = Tiles(directory), Edge()
    entries = [b"%d" % number for number in range(count)]
    for tile in edge.extend([b"\0" + entry for entry in entries]):
        tiles.write(tile)
    for tile in edge.partial():
        tiles.write(tile)
    return tiles, entries


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 20, 255, 256, 257, 600])
def test_a_tree_goes_on_from_every_earlier_one(tmp_path: Path, new: int) -> None:
    tiles, entries = tree(tmp_path, new)
    for old in {1, 2, 3, 4, 6, 7, 8, 19, 255, 256, 257, 511, 512, new - 1, new} & set(range(1, new + 1)):
        proof = consistency_proof(tiles, old, new)
        assert goes_on(old, new, spec.mth(entries[:old]), spec.mth(entries), proof)
        assert not goes_on(old, new, spec.mth([b"x", *entries[1:old]]), spec.mth(entries), proof)


def test_nothing_is_to_be_proven_of_the_empty_tree_or_the_same(tmp_path: Path) -> None:
    assert consistency_proof(Tiles(tmp_path), 0, 9) == []
    assert consistency_proof(Tiles(tmp_path), 9, 9) == []


def test_the_published_proofs_of_eight_leaves(tmp_path: Path) -> None:
    """Those of Certificate Transparency's tests."""
    tiles, edge = Tiles(tmp_path), Edge()
    edge.extend([b"\0" + entry for entry in spec.INPUTS])
    for tile in edge.partial():
        tiles.write(tile)
    assert [digest.hex()[:8] for digest in consistency_proof(tiles, 6, 8)] == ["0ebc5d34", "ca854ea1", "d37ee418"]
    assert [digest.hex()[:8] for digest in consistency_proof(tiles, 1, 8)] == ["96a296d2", "5f083f0a", "6b47aaf2"]


def test_tiles_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        consistency_proof(Tiles(tmp_path), 3, 9)
