"""Claims in the store: nothing is claimed twice, and what the store may have forgotten is not guessed.

The spaces of a policy (its partners) live in a fixed number of houses. A house is a hash tag, so that it lies on one
server, and has an epoch, which says for which run of that server it was opened, and what is not known of before:

- a house without epoch was flushed, or never was: it is opened, and requests dated up to then are unknowable
- a house that was opened for another run has come from another server, or through a restart: some of what was
  confirmed last may be gone. It is opened anew likewise, unless the store is known to keep all that it confirms
- who has come from another server opens the houses of the new one likewise, whoever opened them before

A claim carries the run of the server that it was sent to, and a house that was not opened for it answers nothing. The
rules of a claim are those of `gateway/state/nonces.py`, kept by `claim.lua`.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.memo import Memo
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.places import Places, slot
from gateway.state.valkey.script import Script
from gateway.state.valkey.wire import Reply

HOUSES = 16
"""Of each policy. A Cluster spreads partners over so many places."""

_ANSWERS = {0: Claim.NEW, 1: Claim.SEEN, 2: Claim.UNKNOWABLE}
_UNOPENED = 3
_FULL = 4

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class House(NamedTuple):
    """A part of the claims."""

    number: int
    tag: bytes
    slot: int
    epoch: bytes
    """Key of its epoch."""


class Bounds(NamedTuple):
    """What claims are held by, of the policy in force."""

    capacity: int
    """Claims of a space at most."""
    max_age: float
    """Seconds from their date for which dated claims are held at least."""
    max_ahead: float
    """Seconds that dates may lie ahead."""


class Houses:
    """The houses of a policy, by name."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace if _PLAIN.match(namespace) else _digest(namespace)
        self.all = tuple(map(self._house, range(HOUSES)))
        self._spaces = Memo(self._space)

    def of(self, space: str) -> tuple[House, bytes]:
        """Give the house of a space, and the key of its claims."""
        return self._spaces[space]

    def house(self, partner: str) -> House:
        """Give the house of a partner."""
        return self._spaces[partner][0]

    def name(self, partner: str) -> bytes:
        """Give a partner's name as it stands in keys."""
        return self._spaces[partner][1].rpartition(b":")[2]

    def _space(self, space: str) -> tuple[House, bytes]:
        house = self.all[blake2b(space.encode("utf-8", "surrogateescape"), digest_size=1).digest()[0] % HOUSES]
        name = space if _PLAIN.match(space) else _digest(space)
        return house, b"gw:{%b}:claims:%b" % (house.tag, name.encode())

    def _house(self, number: int) -> House:
        tag = f"{self._namespace}:{number}".encode()
        return House(number, tag, slot(tag), b"gw:{%b}:epoch" % tag)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


class Claiming(Asked[Claim]):
    """Claims a key. `unopened` is called where its house must be opened first, and sends it again then."""

    __slots__ = ("_bounds", "_claim", "_key", "_now", "_unopened", "house")

    def __init__(
        self, places: Places, script: Script, houses: Houses, claim: ClaimOnce, now: Instant, bounds: Bounds,
        unopened: "Unopened",
    ) -> None:  # fmt: skip
        self.house, self._key = houses.of(claim.space)
        super().__init__(places, self.house.slot, script)
        self._claim = claim
        self._now = now
        self._bounds = bounds
        self._unopened = unopened

    def command(self, run: bytes) -> bytes:
        """Give the command for this run of the server."""
        _, key, dated, until = self._claim
        bounds = self._bounds
        return self.script.call(
            (self.house.epoch, self._key),
            run,
            b"%r" % bounds.max_age,
            b"%d" % bounds.capacity,
            blake2b(key, digest_size=16).digest(),
            b"" if dated is None else b"%.6f" % dated,
            b"%.6f" % (until if dated is not None else until - self._now),
        )

    def answered(self, reply: Reply | Exception) -> None:
        """Give the answer, or have the house opened."""
        if reply == _UNOPENED:
            self._unopened(self.house, self)
        elif reply == _FULL:
            detail = f"{self._bounds.capacity} nonces of {self._claim.space} are remembered"
            self.future.set_exception(Unavailable(Reason.REPLAY_MEMORY_FULL, detail))
        else:
            super().answered(reply)

    def decode(self, reply: int) -> Claim:
        """Read what the script replied."""
        return _ANSWERS[reply]


type Unopened = Callable[[House, Claiming], None]
