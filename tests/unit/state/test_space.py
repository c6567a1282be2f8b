import struct
import sys
from hashlib import blake2b

import pytest

from gateway.state.space import FINGERPRINT_BYTES, FULL, NEVER, RECORD_BYTES, SPARSE, Space

NOW = 1_795_352_400


def fingerprint(index: int) -> bytes:
    return blake2b(b"%d" % index, digest_size=FINGERPRINT_BYTES).digest()


def hold(space: Space, key: bytes, ends: int = NOW, *, tend: bool = True) -> None:
    """Hold a key as the memory of nonces does, tending the space at a time when nothing is over."""
    if tend:
        space.tend(0.0)
    space.allow(1)
    space.hold(space.place(key), key, ends)


def filled(records: int, ends: int = NOW) -> Space:
    space = Space()
    for index in range(records):
        hold(space, fingerprint(index), ends)
    return space


def end(space: Space, key: bytes) -> int | None:
    return space.end(space.place(key), key)


def misplaced(space: Space) -> list[bytes]:
    """Give the records that are not in their bucket."""
    return [
        bucket[at : at + FINGERPRINT_BYTES]
        for index, bucket in enumerate(space.buckets)
        for at in range(0, len(bucket), RECORD_BYTES)
        if space.place(bucket[at : at + FINGERPRINT_BYTES]) != index
    ]


def test_what_is_held_is_found_with_its_end() -> None:
    space = filled(3, NOW + 7)
    assert [end(space, fingerprint(index)) for index in range(4)] == [NOW + 7] * 3 + [None]
    assert space.count == 3


def test_a_fingerprint_that_lies_across_two_records_is_not_found() -> None:
    one, two = b"\x00" * 7 + b"\x01", b"abcdefgh"
    space = Space()
    hold(space, one, 0x41424344)
    hold(space, two, 0x41424344)
    across = space.buckets[0][6 : 6 + FINGERPRINT_BYTES]
    assert space.buckets[0].find(across) == 6
    assert space.end(0, across) is None
    hold(space, across, NOW)
    assert space.end(0, across) == NOW
    assert [space.end(0, one), space.end(0, two)] == [0x41424344] * 2


def test_an_end_is_kept_in_four_bytes_until_2106() -> None:
    space = Space()
    hold(space, fingerprint(0), 2**32 - 1)
    assert end(space, fingerprint(0)) == 2**32 - 1
    for ends in (-1, 2**32):
        with pytest.raises(struct.error):
            hold(space, fingerprint(1), ends)
    assert (space.count, len(space.buckets[0])) == (1 + 1 - space.rest, RECORD_BYTES)


def test_what_is_prolonged_ends_later_and_so_does_what_comes_after() -> None:
    space = filled(2)
    space.prolonged += 100
    hold(space, fingerprint(2), NOW + 5)
    assert [end(space, fingerprint(index)) for index in range(3)] == [NOW + 100, NOW + 100, NOW + 5]
    space.forget(0, NOW + 99)
    assert (space.count, space.forgotten) == (2, NOW + 5)
    assert space.tend(NOW + 100) == (2, 0)
    assert space.forgotten == NOW + 100


def test_a_search_goes_from_bucket_to_bucket_and_finds_all_that_is_over() -> None:
    space = Space()
    for index in range(20 * FULL):
        hold(space, fingerprint(index), NOW + (9 if index % 10 else 1))
    assert len({space.search(0.0) for _ in space.buckets}) == 1
    found = [space.search(NOW + 5) for _ in space.buckets]
    assert sum(found) == 2 * FULL
    assert space.count == 18 * FULL


# Growing and shrinking


def test_a_space_grows_by_a_bucket_at_a_time_and_finds_everything_all_the_while() -> None:
    space, buckets = Space(), 1
    for index in range(40 * FULL):
        hold(space, fingerprint(index))
        assert len(space.buckets) - buckets in {0, 1}
        buckets = len(space.buckets)
        if index % 97 == 0:
            assert not misplaced(space)
            assert all(end(space, fingerprint(each)) == NOW for each in range(0, index, 13))
    assert space.count == 40 * FULL
    assert buckets in {39, 40}


def test_a_space_shrinks_by_a_bucket_at_a_time_down_to_one() -> None:
    space = Space()
    for index in range(40 * FULL):
        hold(space, fingerprint(index), NOW + index)
    buckets = len(space.buckets)
    for later in range(40 * FULL):
        space.tend(NOW + later)
        assert buckets - len(space.buckets) in {0, 1}
        buckets = len(space.buckets)
        if later % 97 == 0:
            assert not misplaced(space)
            assert all(end(space, fingerprint(each)) == NOW + each for each in range(later + 1, 40 * FULL, 13))
    space.tend(NOW + 40 * FULL)
    assert (space.count, space.buckets, space.mask) == (0, [b""], 0)


def test_between_sparse_and_full_nothing_is_split_or_joined() -> None:
    space = filled(20 * FULL)
    buckets = len(space.buckets)
    kept = [bucket[: SPARSE * RECORD_BYTES + RECORD_BYTES] for bucket in space.buckets]
    thin = Space(kept)
    for _ in range(2 * buckets):
        thin.tend(0.0)
    assert len(thin.buckets) == buckets


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16])
def test_a_split_tells_by_the_bit_that_is_next(bits: int) -> None:
    """A table so large that the bit is in another byte of the fingerprint."""
    space = Space([b""] * (1 << bits))
    zero = (0).to_bytes(FINGERPRINT_BYTES)
    one = (1 << bits).to_bytes(FINGERPRINT_BYTES)
    for key in (zero, one):
        hold(space, key, tend=False)
    assert space.place(zero) == space.place(one) == 0
    space._split()
    assert (space.place(zero), space.place(one)) == (0, 1 << bits)
    assert not misplaced(space)
    assert [end(space, zero), end(space, one)] == [NOW, NOW]
    space._join()
    assert not misplaced(space)
    assert [end(space, zero), end(space, one)] == [NOW, NOW]


# Forgetting


def test_what_is_over_is_forgotten_and_the_latest_end_kept() -> None:
    space = Space()
    for index in range(10):
        hold(space, fingerprint(index), NOW + index)
    assert space.tend(NOW + 4.5) == (5, 5)
    assert (space.count, space.forgotten) == (5, NOW + 4)
    assert [end(space, fingerprint(index)) for index in (4, 5)] == [None, NOW + 5]


def test_what_ends_now_is_over() -> None:
    assert filled(1).tend(NOW) == (1, 0)
    assert filled(1).tend(NOW - 0.001) == (0, 1)


@pytest.mark.parametrize("ends", [[9, 1, 2, 3], [1, 9, 2, 3], [3, 2, 1, 9], [9, 9, 1, 1], [1, 9, 9, 9], [1, 1, 1, 9]])
def test_what_is_over_is_forgotten_in_whatever_order_it_came(ends: list[int]) -> None:
    space = Space()
    for index, each in enumerate(ends):
        hold(space, fingerprint(index), NOW + each)
    left = [index for index, each in enumerate(ends) if each > 5]
    assert space.forget(0, NOW + 5) == 4 - len(left)
    assert [index for index in range(4) if end(space, fingerprint(index))] == left
    assert space.forgotten == NOW + max(each for each in ends if each <= 5)
    assert space.forget(0, NOW + 5) == 0


def test_a_turn_forgets_nothing_that_is_not_over_in_whatever_order_it_came() -> None:
    orders = [[9, 1, 9, 1], [1, 9, 1, 9], [9, 9, 9, 1], [1, 1, 9, 1], [9, 1, 1, 1]]
    for ends in orders:
        space = Space()
        for index, each in enumerate(ends):
            hold(space, fingerprint(index), NOW + each)
        over, left = space.tend(NOW + 5)
        assert over + left == 4
        assert space.count == left
        assert all(end(space, fingerprint(index)) for index, each in enumerate(ends) if each > 5)


def test_nothing_is_forgotten_where_nothing_is_over() -> None:
    space = filled(3)
    assert space.tend(NOW - 1) == (0, 3)
    assert space.forgotten == NEVER


def test_the_latest_end_does_not_go_back() -> None:
    space = filled(1, NOW)
    space.tend(NOW)
    hold(space, fingerprint(1), NOW - 100)
    space.tend(NOW)
    hold(space, fingerprint(2), NOW - 100)
    space.forget(0, NOW)
    assert (space.count, space.forgotten) == (0, NOW)


# Counting


def test_what_may_be_held_is_counted_down() -> None:
    space = Space()
    space.allow(5)
    space.hold(0, fingerprint(0), NOW)
    assert (space.count, space.rest) == (1, 4)
    space.allow(2)
    assert (space.count, space.rest) == (1, 2)
    space.forget(0, NOW)
    assert (space.count, space.rest) == (0, 2)


def test_a_space_of_buckets_is_as_it_was() -> None:
    space = filled(7 * FULL)
    again = Space(space.buckets, space.forgotten, space.prolonged)
    assert (again.count, again.mask, again.rest) == (7 * FULL, space.mask, 0)
    assert all(end(again, fingerprint(index)) == NOW for index in range(7 * FULL))


def test_a_space_without_buckets_is_an_error() -> None:
    with pytest.raises(ValueError, match="without buckets"):
        Space([])


def test_a_space_with_little_in_it_is_small() -> None:
    space = filled(5)
    assert sum(map(sys.getsizeof, (space, space.buckets, *space.buckets))) < 350
