"""What many records share is made and serialised once: the log's speed comes from here, and from nowhere else."""

from collections.abc import Callable


class Once[K, V]:
    """A function of one frozen object that is asked about again and again, as a policy, a route or a peer is.

    Objects count as the same by identity: such objects are costly to hash, or cannot be hashed at all. An entry holds
    its object, so that no other one can have its identity. Where there would be more than `capacity`, all are
    forgotten: what is in use comes back at once. Not for threads.
    """

    __slots__ = ("_capacity", "_made", "make")

    def __init__(self, make: Callable[[K], V], capacity: int) -> None:
        self.make = make
        """The function itself."""
        self._capacity = capacity
        self._made: dict[int, tuple[K, V]] = {}

    def __call__(self, key: K) -> V:
        """Give what `make` gives."""
        known = self._made.get(id(key))
        if known is not None:
            return known[1]
        made = self.make(key)
        if len(self._made) >= self._capacity:
            self._made.clear()
        self._made[id(key)] = key, made
        return made


def once[K, V](capacity: int) -> Callable[[Callable[[K], V]], Once[K, V]]:
    """Make a function remember what it gave for the last objects, some `capacity` at most."""
    return lambda make: Once(make, capacity)
