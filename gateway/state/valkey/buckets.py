"""Rates in the store: every limit of a request in one call, taken from all buckets or from none.

A bucket is one key. It is counted as `gateway/state/rates.py` counts, by the store's clock. All buckets of a route lie
in one slot, so that a Cluster can take from them at once: it spreads routes, not the callers of one route.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

from gateway.core.chain import RateLimit, RateState, RateTaken, Take, TakeRate
from gateway.core.counters import mark_of
from gateway.core.memo import Bounded
from gateway.state.rates import falls_below
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.places import Places, slot
from gateway.state.valkey.script import Script

_PLAIN = re.compile(rb"[A-Za-z0-9._:-]{1,130}\Z")


class Buckets:
    """Makes the calls; those that come again are written once."""

    def __init__(self, places: Places, script: Script) -> None:
        self._places = places
        self._script = script
        self._written = Bounded[int, tuple[TakeRate, int, bytes]](capacity=16_384, size=int.bit_length)
        """By the identity of the ask that is held with it: slot and command."""

    def take(self, ask: TakeRate) -> "Taking":
        """Give what is to be sent."""
        known = self._written.get(id(ask))
        if known is None:
            known = self._written.keep(id(ask), (ask, *self._write(ask)))
        return Taking(self._places, self._script, *known)

    def charge(self, takes: tuple[Take, ...]) -> "Taking":
        """Give what is to be sent to take what may not fit."""
        ask = TakeRate(takes)
        return Taking(self._places, self._script, ask, *self._write(ask, b"1"))

    def _write(self, ask: TakeRate, *forced: bytes) -> tuple[int, bytes]:
        if not ask.takes:
            raise ValueError("nothing to take")
        tag = tag_of(ask.takes[0].key)
        keys = tuple(key_of(tag, take) for take in ask.takes)
        arguments = [
            part
            for take in ask.takes
            for part in (
                b"%d" % take.limit.amount, b"%d" % take.limit.window, _kind(take.limit), b"%d" % take.cost
            )
        ]  # fmt: skip
        return slot(tag), self._script.call(keys, *arguments, *forced)


class Taking(Asked[RateTaken]):
    """Takes from all buckets, or from none."""

    __slots__ = ("_ask", "_command")

    def __init__(self, places: Places, script: Script, ask: TakeRate, at: int, written: bytes) -> None:
        super().__init__(places, at, script)
        self._ask = ask
        self._command = written

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        return self._command

    def decode(self, reply: Sequence[int]) -> RateTaken:
        """Read what the script replied."""
        all_fit, *numbers = reply
        takes = self._ask.takes
        if len(numbers) != 4 * len(takes):
            raise ValueError("another number of buckets")
        states = [_state(take, bool(all_fit), *numbers[4 * at : 4 * at + 4]) for at, take in enumerate(takes)]
        return RateTaken(bool(all_fit), tuple(states))


class Looking(Asked[list[int]]):
    """Tells what is used of some buckets, and changes nothing. Their keys have the same hash tag."""

    __slots__ = ("_takes",)

    def __init__(self, places: Places, script: Script, takes: Sequence[Take]) -> None:
        super().__init__(places, slot(tag_of(takes[0].key)), script)
        self._takes = takes

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        tag = tag_of(self._takes[0].key)
        arguments = [
            part
            for limit in (take.limit for take in self._takes)
            for part in (b"%d" % limit.window, _kind(limit) if limit.burst is None else b"b%d" % limit.amount)
        ]
        return self.script.call(tuple(key_of(tag, take) for take in self._takes), *arguments)

    def decode(self, reply: Sequence[int]) -> list[int]:
        """Read what the script replied."""
        return [int(used) for used in reply]


def _kind(limit: RateLimit) -> bytes:
    if limit.burst is not None:
        return b"b%d" % limit.burst
    return limit.calendar.encode() if limit.calendar else b"%d" % limit.sliding


def _state(take: Take, taken: bool, used: int, before: int, count: int, rest: int) -> RateState:
    limit = take.limit
    allowed = taken or used + take.cost <= limit.room
    if limit.burst is not None:
        return RateState(limit, allowed, max(limit.burst - used, 0), rest / 1_000)
    ends = min(rest / 1_000, limit.window)
    if limit.sliding:
        below = used if allowed else limit.amount - take.cost + 1
        ends = falls_below(below, limit.window, before, ends, count)
    elif not used and not limit.calendar:
        ends = 0.0  # it begins with its first request
    return RateState(limit, allowed, max(limit.amount - used, 0), ends)


def tag_of(key: Sequence[str]) -> bytes:
    """Give the hash tag of a bucket: policy and route, which come first in its key."""
    tag = ":".join(key[:2]).encode("utf-8", "surrogateescape")
    return tag if _PLAIN.match(tag) else blake2b(tag, digest_size=16).hexdigest().encode()


def key_of(tag: bytes, take: Take) -> bytes:
    """Give a bucket's key. What callers choose is in it as a digest only."""
    bucket = (take.limit.window, take.limit.kind, take.key)
    key = b"gw:{%b}:rate:%b" % (tag, blake2b(repr(bucket).encode(), digest_size=16).hexdigest().encode())
    if take.whose is None:
        return key
    return b"%b:%b" % (key, mark_of(take.key[0], take.key[1], take.whose).encode())
