"""Remembering what was worked out before, for values that come again with nearly every request."""

from collections.abc import Callable
from typing import Any


class Bounded[K, V](dict[K, V]):
    """What was worked out for some keys: `capacity` of them at most, and none whose `size` exceeds `longest`.

    Callers of the gate choose the keys. Full, it is emptied: who fills it on purpose costs the others one more round of
    working things out, and no memory. Neither keys nor values may be secrets.
    """

    __slots__ = ("_capacity", "_longest", "_size")

    def __init__(self, *, capacity: int = 4_096, longest: int = 128, size: Callable[[Any], int] = len) -> None:
        super().__init__()
        self._capacity = capacity
        self._longest = longest
        self._size = size

    def keep(self, key: K, value: V) -> V:
        """Remember a value, and give it back."""
        if self._size(key) <= self._longest:
            if len(self) >= self._capacity:
                self.clear()
            self[key] = value
        return value

    def __repr__(self) -> str:
        """Without the entries: they may be personal data, such as the path of a player."""
        return f"{type(self).__name__}({len(self)} of {self._capacity})"


class Memo[K, V](Bounded[K, V]):
    """A pure function: `memo[key]` calls it the first time only.

    Twice as fast as `functools.lru_cache`, which counts where a hit is all there is to do. What the function raises is
    raised each time.
    """

    __slots__ = ("_function",)

    def __init__(
        self, function: Callable[[K], V], *, capacity: int = 4_096, longest: int = 128, size: Callable[[Any], int] = len
    ) -> None:
        super().__init__(capacity=capacity, longest=longest, size=size)
        self._function = function

    def __missing__(self, key: K) -> V:
        return self.keep(key, self._function(key))
