import pytest

from gateway.audit.tlog.merkle import EMPTY, leaf_hashes, node_hash, root_of
from tests.unit.audit import spec


def hashes(entries: list[bytes]) -> bytes:
    return leaf_hashes([b"\0" + entry for entry in entries])


@pytest.mark.parametrize("count", range(1, 9))
def test_the_published_roots(count: int) -> None:
    assert root_of(hashes(spec.INPUTS[:count])).hex() == spec.ROOTS[count - 1]


def test_the_tree_without_entries() -> None:
    assert root_of(b"") == EMPTY == spec.mth([])


@pytest.mark.parametrize("count", [9, 255, 256, 257, 300])
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    entries = [b"%d" % number for number in range(count)]
    assert root_of(hashes(entries)) == spec.mth(entries)


def test_leaves_and_nodes_are_told_apart() -> None:
    left, right = hashes([b"l"]), hashes([b"r"])
    assert hashes([left + right]) != node_hash(left, right)
