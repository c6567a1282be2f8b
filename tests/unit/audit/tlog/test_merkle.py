import pytest

from gateway.audit.tlog.merkle import EMPTY, leaf_hash, node_hash, root_of
from tests.unit.audit import spec


@pytest.mark.parametrize("count", range(1, 9))
def test_the_published_roots(count: int) -> None:
    assert root_of([leaf_hash(entry) for entry in spec.INPUTS[:count]]).hex() == spec.ROOTS[count - 1]


def test_the_tree_without_entries() -> None:
    assert root_of([]) == EMPTY == spec.mth([])


@pytest.mark.parametrize("count", [9, 255, 256, 257, 300])
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    entries = [b"%d" % number for number in range(count)]
    assert root_of([leaf_hash(entry) for entry in entries]) == spec.mth(entries)


def test_leaves_and_nodes_are_told_apart() -> None:
    left, right = leaf_hash(b"l"), leaf_hash(b"r")
    assert leaf_hash(left + right) != node_hash(left, right)
