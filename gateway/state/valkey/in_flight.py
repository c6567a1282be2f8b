"""Requests in flight, in the store: one sorted set for each partner on each route, by the end of each lease."""

import os
from hashlib import blake2b
from typing import cast

from gateway.core.holds import Enter, Entered, Leave
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.buckets import tag_of
from gateway.state.valkey.places import Places, slot
from gateway.state.valkey.script import Script

TOKEN_BYTES = 12
"""Chance that two of all requests ever have the same: none."""


class InFlight:
    """Makes the calls."""

    def __init__(self, places: Places, enter: Script, leave: Script) -> None:
        self._places = places
        self._enter = enter
        self._leave = leave

    def enter(self, ask: Enter) -> "Entering":
        """Give what is to be sent to take a place."""
        return Entering(self._places, self._enter, ask)

    def leave(self, leave: Leave) -> "Leaving":
        """Give what is to be sent to free it."""
        return Leaving(self._places, self._leave, leave)


class Entering(Asked[Entered]):
    """Takes a place."""

    __slots__ = ("_ask", "_token")

    def __init__(self, places: Places, script: Script, ask: Enter) -> None:
        super().__init__(places, slot(_tag(ask)), script)
        self._ask = ask
        self._token = os.urandom(TOKEN_BYTES)

    @property
    def undone(self) -> Leave:
        """Give what frees the place, should it have been taken."""
        return Leave(self._ask, self._token)

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        return self.script.call((key_of(self._ask),), b"%d" % self._ask.most, b"%d" % self._ask.lease, self._token)

    def decode(self, reply: int) -> Entered:
        """Read what the script replied."""
        if reply not in (0, 1):
            raise ValueError("neither taken nor refused")
        return Entered(True, self._token) if reply else Entered(False)


class Leaving(Asked[None]):
    """Frees a place."""

    __slots__ = ("_leave",)

    def __init__(self, places: Places, script: Script, leave: Leave) -> None:
        super().__init__(places, slot(_tag(leave.ask)), script)
        self._leave = leave

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        return self.script.call((key_of(self._leave.ask),), cast("bytes", self._leave.token))

    def decode(self, reply: int) -> None:
        """Read what the script replied: nothing follows from it."""
        if reply not in (0, 1):
            raise ValueError("neither freed nor free")


def _tag(ask: Enter) -> bytes:
    return tag_of((ask.policy, ask.route))


def key_of(ask: Enter) -> bytes:
    """Give the key of a partner's places on a route."""
    digest = blake2b(ask.partner.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest().encode()
    return b"gw:{%b}:flight:%b" % (_tag(ask), digest)
