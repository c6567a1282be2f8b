"""What an operator asks of the store, beside the requests: what is used, and that it begins anew."""

import asyncio
from collections.abc import Sequence

from gateway.core.chain import Take
from gateway.core.counters import PartnerCounters
from gateway.core.holds import Enter
from gateway.core.reasons import Reason, Unavailable
from gateway.state.valkey.asked import Asked
from gateway.state.valkey.buckets import Looking, key_of, tag_of
from gateway.state.valkey.in_flight import key_of as places_of
from gateway.state.valkey.node import text
from gateway.state.valkey.places import Places, slot
from gateway.state.valkey.script import Script, command
from gateway.state.valkey.wire import LostError, Reply

KEYS = 500
"""That are deleted with one call at most; of those that a search looks at, about as many."""


class Operator:
    """Makes the calls. Each raises Unavailable(STATE_UNAVAILABLE), here or when it is awaited."""

    def __init__(self, places: Places, clock: str | None = None) -> None:
        self._places = places
        self._look = Script.read("look", clock)
        self._flight = Script.read("flight", clock)
        self._forget = Script.read("forget", clock)

    def look(self, takes: Sequence[Take]) -> asyncio.Future[list[int]]:
        """Tell what is used of the buckets of one route, and change nothing."""
        return Looking(self._places, self._look, takes).go()

    def in_flight(self, ask: Enter) -> asyncio.Future[int]:
        """Tell how many requests of a partner are in flight on a route, and change nothing."""
        return _Keys(self._places, self._flight, tag_of((ask.policy, ask.route)), (places_of(ask),)).go()

    async def forget(self, counters: PartnerCounters) -> int:
        """Have a partner's counters on a route begin anew; gives how many there were."""
        tag = tag_of((counters.policy, counters.route))
        keys = [key_of(tag, take) for take in counters.takes]
        if counters.mixed:
            keys += await self._found(b"gw:{%b}:rate:*:%b" % (tag, counters.mark.encode()))
        gone = 0
        for at in range(0, len(keys), KEYS):
            gone += await _Keys(self._places, self._forget, tag, tuple(keys[at : at + KEYS])).go()
        return gone

    async def _found(self, pattern: bytes) -> list[bytes]:
        """Look through all keys of all servers. Takes a second for each million."""
        found: set[bytes] = set()
        for node in self._places.nodes:
            cursor = b"0"
            while True:
                try:
                    if node.wire is None:
                        raise LostError(node.because)  # noqa: TRY301
                    reply = await node.wire.ask(command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % KEYS))
                    cursor, keys = _page(reply)
                except LostError as error:
                    raise Unavailable(Reason.STATE_UNAVAILABLE, f"{node}: {error}") from None
                found.update(keys)
                if cursor == b"0":
                    break
        return sorted(found)


def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    """Read what SCAN replies. Raises LostError."""
    match reply:
        case [bytes(cursor), list(keys)]:
            return cursor, [key for key in keys if isinstance(key, bytes)]
    text(reply)
    raise LostError("an unexpected answer")


class _Keys(Asked[int]):
    """Calls a script that takes keys of one tag, and gives a number."""

    __slots__ = ("_keys",)

    def __init__(self, places: Places, script: Script, tag: bytes, keys: tuple[bytes, ...]) -> None:
        super().__init__(places, slot(tag), script)
        self._keys = keys

    def command(self, run: bytes) -> bytes:
        """Give the command."""
        del run
        return self.script.call(self._keys)

    def decode(self, reply: int) -> int:
        """Read what the script replied."""
        return int(reply)
