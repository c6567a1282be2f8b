import pytest

from gateway.audit.verify.tree import EMPTY_ROOT, Peaks, leaf, root_from_path, subtree
from tests.unit.audit import spec


@pytest.mark.parametrize("count", range(1, 9))
def test_the_published_roots(count: int) -> None:
    peaks = Peaks()
    for entry in spec.INPUTS[:count]:
        peaks.push(leaf(entry))
    assert peaks.root().hex() == spec.ROOTS[count - 1]
    assert peaks.size == count


def test_the_tree_without_leaves() -> None:
    assert Peaks().root() == EMPTY_ROOT == spec.mth([])


def test_leaves_that_are_not_added() -> None:
    entries = [b"%d" % number for number in range(20)]
    peaks = Peaks()
    for count, entry in enumerate(entries):
        assert peaks.root_with([leaf(one) for one in entries[count:]]) == spec.mth(entries)
        peaks.push(leaf(entry))
        assert peaks.root() == spec.mth(entries[: count + 1])


def test_whole_subtrees_are_pushed_at_once() -> None:
    entries = [b"%d" % number for number in range(21)]
    peaks = Peaks()
    for start in (0, 8):
        peaks.push(subtree([leaf(entry) for entry in entries[start : start + 8]]), 3)
    for entry in entries[16:]:
        peaks.push(leaf(entry))
    assert peaks.root() == spec.mth(entries)


@pytest.mark.parametrize("size", range(1, 20))
def test_every_path_comes_to_the_root(size: int) -> None:
    entries = [b"%d" % number for number in range(size)]
    for index, entry in enumerate(entries):
        path = spec.path(index, entries)
        assert root_from_path(leaf(entry), index, size, path) == spec.mth(entries)
        assert root_from_path(leaf(entry), index + 1, size, path) != spec.mth(entries)
        assert root_from_path(leaf(entry), index, size, [*path, b"x" * 32]) is None
        if path:
            assert root_from_path(leaf(entry), index, size, path[:-1]) is None


def test_an_index_beyond_the_tree() -> None:
    assert root_from_path(leaf(b""), 1, 1, []) is None
