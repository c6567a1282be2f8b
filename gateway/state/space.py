"""The claims of one space, packed: twelve bytes for each, and little beside.

Linear hashing (W. Litwin, 1980): a table of buckets of which one, the next in turn, is split as records are added, and
one is joined again as they are forgotten. So it is never built anew, and no claim waits for that.

A record is a fingerprint and the second in which its time ends. A bucket is one `bytes` of records, searched at the
speed of C. They lie in it in the order in which they came, and that is mostly the order in which they end.

Nothing here makes fingerprints. They MUST be spread evenly even where somebody chooses what they are made of: that
alone bounds a bucket.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import compress
from struct import Struct

FINGERPRINT_BYTES = 8

RECORD_BYTES = FINGERPRINT_BYTES + 4
"""A fingerprint, and its end in seconds since 1970 less `Space.prolonged`, in the byte order of the machine."""

FULL = 48
"""Records for each bucket from which on buckets are split. More cost time to search, fewer cost memory."""

SPARSE = 16
"""Records for each bucket below which buckets are joined: so far from `FULL` that neither undoes the other."""

NEVER = float("-inf")

_number = int.from_bytes

pack_end = Struct("I").pack
"""Write an end as a record has it. Raises struct.error where that is before 1970 or after 2106."""

_IS_SET = [bytes(byte >> bit & 1 for byte in range(256)) for bit in range(8)]
_IS_CLEAR = [bytes(1 - each for each in table) for table in _IS_SET]
"""For `bytes.translate`: each byte becomes 1 where a bit of it is set, or clear."""


class Space:
    """Records by fingerprint, and the latest end of those that were forgotten."""

    __slots__ = ("_counted", "_hand", "buckets", "forgotten", "mask", "prolonged", "rest")

    def __init__(self, buckets: Iterable[bytes] = (b"",), forgotten: float = NEVER, prolonged: int = 0) -> None:
        self.buckets = list(buckets)
        """At least one. The last bits of a fingerprint number its bucket: see `place`."""
        if not self.buckets:
            raise ValueError("a space without buckets")
        self.mask = 0
        self.forgotten = forgotten
        """The latest end of a record that was forgotten."""
        self.prolonged = prolonged
        """Seconds by which every record ends later than it says."""
        self.rest = 0
        """Records that may be held before the space has to be tended."""
        self._counted = sum(map(len, self.buckets)) // RECORD_BYTES
        """`count` and `rest` together, so that holding changes but one number."""
        self._hand = 0
        """The bucket that is tended next."""
        self._resized()

    @property
    def count(self) -> int:
        """How many records are held, those included whose time is over."""
        return self._counted - self.rest

    def allow(self, records: int) -> None:
        """Have the space tended once so many more records are held."""
        self._counted += records - self.rest
        self.rest = records

    def place(self, fingerprint: bytes) -> int:
        """Give the number of a fingerprint's bucket: the same until the space is tended."""
        index = _number(fingerprint) & self.mask
        return index if index < len(self.buckets) else index & self.mask >> 1

    def end(self, index: int, fingerprint: bytes) -> int | None:
        """Give when a record of a bucket ends, its time over or not; None where it is not held."""
        bucket = self.buckets[index]
        at = bucket.find(fingerprint)
        while at > 0 and at % RECORD_BYTES:  # it lies across two others
            at = bucket.find(fingerprint, at + 1)
        return None if at < 0 else _ends(bucket)[at // RECORD_BYTES] + self.prolonged

    def hold(self, index: int, fingerprint: bytes, ends: int) -> None:
        """Hold what is not held, in its bucket, until the second `ends` begins. `rest` MUST be more than 0."""
        self.buckets[index] += fingerprint + pack_end(ends - self.prolonged)
        self.rest -= 1

    def tend(self, now: float) -> tuple[int, int]:
        """Look after the next bucket: forget what is over; split or join one where there are too few or too many.

        Gives how many records were forgotten, and how many are left in the bucket. Where records of one bucket end
        in another order than they came in, some that are over may stay until a later turn.
        """
        buckets, index = self.buckets, self._next()
        bucket = buckets[index]
        ends = _ends(bucket)
        over = bisect_right(ends, now - self.prolonged)
        if over:
            latest = max(ends[:over]) + self.prolonged
            if latest <= now:
                buckets[index] = bucket[over * RECORD_BYTES :]
                self._counted -= over
                self.forgotten = max(self.forgotten, latest)
            else:
                over = self.forget(index, now)
        count = self._counted - self.rest
        if count > len(buckets) * FULL:
            self._split()
        elif count < len(buckets) * SPARSE and len(buckets) > 1:
            self._join()
        return over, len(ends) - over

    def search(self, now: float) -> int:
        """Forget all that is over in the next bucket, at several times the cost; give how many records."""
        return self.forget(self._next(), now)

    def forget(self, index: int, now: float) -> int:
        """Forget all that is over in one bucket; give how many records."""
        bucket, due = self.buckets[index], now - self.prolonged
        ends = _ends(bucket)
        over = [end for end in ends if end <= due]
        if over:
            self.buckets[index] = _only(bucket, [end > due for end in ends])
            self._counted -= len(over)
            self.forgotten = max(self.forgotten, max(over) + self.prolonged)
        return len(over)

    def _next(self) -> int:
        index = self._hand if self._hand < len(self.buckets) else 0
        self._hand = index + 1
        return index

    def _split(self) -> None:
        """Add a bucket, and move to it what belongs there."""
        new = len(self.buckets)
        bit = new.bit_length() - 1
        old = new - (1 << bit)
        bucket = self.buckets[old]
        column = bucket[FINGERPRINT_BYTES - 1 - bit // 8 :: RECORD_BYTES]
        self.buckets.append(_only(bucket, column.translate(_IS_SET[bit % 8])))
        self.buckets[old] = _only(bucket, column.translate(_IS_CLEAR[bit % 8]))
        self._resized()

    def _join(self) -> None:
        """Take the last bucket back into the one that it was split from."""
        last = self.buckets.pop()
        self.buckets[len(self.buckets) & self.mask >> 1] += last
        self._resized()

    def _resized(self) -> None:
        self.mask = (1 << (len(self.buckets) - 1).bit_length()) - 1


def _ends(bucket: bytes) -> "array[int]":
    return array("I", bucket)[2::3]


def _only(bucket: bytes, which: Iterable[object]) -> bytes:
    return b"".join(compress(_cutter(len(bucket))(bucket), which))


@lru_cache(maxsize=1024)
def _cutter(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Give what cuts a bucket of so many bytes into records."""
    return Struct(f"{RECORD_BYTES}s" * (size // RECORD_BYTES)).unpack
