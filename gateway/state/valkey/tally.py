"""Failed authentications in the store: counted over all gates, and who is locked out by them.

All of a policy lies in one slot: a count that is spread cannot lock out exactly once. Callers are known by a digest;
the event of a lock-out names its caller, so that every gate can list it.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, cast

from gateway.core.barred import MOST_LOCKED, Caller
from gateway.core.lockout import MOST_COUNTED, Lockout
from gateway.state.lockouts import Event, What
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.buckets import tag_of
from gateway.state.valkey.places import Places, slot
from gateway.state.valkey.script import Script
from gateway.state.valkey.wire import Reply

SCRIPTS = ("fail", "clear", "lift", "news")

MOST_NEWS = 500
"""Callers and events of one answer."""


class Failed(NamedTuple):
    """What a failure came to."""

    lock: str | None
    """Name of the lock-out that the caller is under; None: it may fail again."""
    began: bool = False
    """Whether it began with this failure."""
    left: float = 0.0
    """Seconds until it is over."""


class Since(NamedTuple):
    """Up to where the news are known."""

    epoch: str = ""
    number: int = 0
    time: float = 0.0


class News(NamedTuple):
    """What happened since the last look."""

    failed: Sequence[bytes]
    """Callers, as `caller_key` names them."""
    events: Sequence[Event]
    since: Since
    more: bool
    """Whether there is more than one answer holds."""


class Tally:
    """Makes the calls. Each raises Unavailable(STATE_UNAVAILABLE), here or when it is awaited."""

    def __init__(self, places: Places, policy: str, fail: Script, clear: Script, lift: Script, news: Script) -> None:
        tag = tag_of((policy, "lockout"))
        names = ("failures", "failing", "locks", "lockouts", "lockout")
        self._failures, self._failing, self._locks, self._events, self._meta = (
            b"gw:{%b}:%b" % (tag, name.encode()) for name in names
        )
        self._places = places
        self._slot = slot(tag)
        self._fail, self._clear, self._lift, self._news = fail, clear, lift, news

    def fail(self, what: What, lockout: Lockout) -> "Failing":
        """Count a failure; where it is the last one, every gate hears `what`."""
        keys = (self._failures, self._failing, self._locks, self._events, self._meta)
        arguments = (
            caller_key(what.caller), b"%d" % lockout.after, b"%r" % lockout.within, b"%r" % lockout.seconds,
            b"%d" % MOST_COUNTED, b"%d" % MOST_LOCKED, _new_epoch(), what.pack(),
        )  # fmt: skip
        return Failing(self._places, self._slot, self._fail, self._fail.call(keys, *arguments))

    def clear(self, caller: bytes) -> "Telling":
        """Begin the count of a caller anew."""
        return self._tell(self._clear, (self._failures, self._failing), caller)

    def lift(self, lock: str, what: What) -> "Telling":
        """Lift a lock-out by its name, for all gates."""
        keys = (self._locks, self._events, self._meta)
        return self._tell(self._lift, keys, caller_key(what.caller), lock.encode(), _new_epoch(), what.pack())

    def news(self, since: Since) -> "Hearing":
        """Tell what happened since the last look."""
        keys = (self._failing, self._events, self._meta)
        arguments = (since.epoch.encode(), b"%d" % since.number, b"%.3f" % since.time, b"%d" % MOST_NEWS)
        return Hearing(self._places, self._slot, self._news, self._news.call(keys, *arguments), since)

    def _tell(self, script: Script, keys: tuple[bytes, ...], *arguments: bytes) -> "Telling":
        return Telling(self._places, self._slot, script, script.call(keys, *arguments))


class _Written[T](Asked[T]):
    """A call that is the same on any run of a server."""

    __slots__ = ("_command",)

    def __init__(self, places: Places, at: int, script: Script, written: bytes) -> None:
        super().__init__(places, at, script)
        self._command = written

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        return self._command


class Failing(_Written[Failed]):
    """Counts a failure."""

    __slots__ = ()

    def decode(self, reply: Sequence[Reply]) -> Failed:
        """Read what the script replied."""
        if list(reply) == [0]:
            return Failed(None)
        kind, lock, left = reply
        if kind not in (1, 2):
            raise ValueError("neither counted nor locked out")
        return Failed(cast("bytes", lock).decode("ascii"), kind == 1, cast("int", left) / 1_000)


class Telling(_Written[None]):
    """Tells the store something from which nothing follows here."""

    __slots__ = ()

    def decode(self, reply: int) -> None:
        """Read what the script replied."""
        if reply not in (0, 1):
            raise ValueError("neither done nor in vain")


class Hearing(_Written[News]):
    """Hears what happened."""

    __slots__ = ("_since",)

    def __init__(self, places: Places, at: int, script: Script, written: bytes, since: Since) -> None:
        super().__init__(places, at, script, written)
        self._since = since

    def decode(self, reply: Sequence[Reply]) -> News:
        """Read what the script replied."""
        epoch, now, failed, found = cast("tuple[bytes, bytes, list[bytes], list[bytes]]", reply)
        named, time = epoch.decode("ascii"), float(now)
        pairs = zip(found[::2], found[1::2], strict=True)
        events = [_event(int(float(number)), time, written) for number, written in pairs]
        since = self._since
        last = events[-1].number if events else since.number if since.epoch == named else 0
        return News(failed, events, Since(named, last, time), more=len(events) == MOST_NEWS)


def _new_epoch() -> bytes:
    """Name a time that begins where nothing was counted before: a store that lost its memory counts from 1 again."""
    return os.urandom(6).hex().encode()


def _event(number: int, now: float, written: bytes) -> Event:
    until, action, lock, _, what = written.split(b" ", 4)
    return Event(number, lock.decode("ascii"), action == b"lift", float(until) - now, What.unpack(what))


def caller_key(caller: Caller) -> bytes:
    """Give a caller's name in the store."""
    text = f"{caller.thing.value}:{caller.value}"
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest().encode()
