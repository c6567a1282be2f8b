"""What a request holds in the store, settled once it has ended; and upstream's answer, kept for it while it passes."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

from gateway.core.exchange import failure
from gateway.core.forwarding import HOP_BY_HOP
from gateway.core.holds import Ended, Hold, Settlement, StoredAnswer
from gateway.core.reasons import Unavailable

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange
    from gateway.engine.gate import Gate

logger = logging.getLogger(__name__)


class Capture:
    """Takes note of an answer while it passes; keeps of it what the holds of its request want."""

    __slots__ = ("_fields", "_kept", "_left", "_parts", "_whole", "status")

    def __init__(self, holds: Iterable[Hold]) -> None:
        limits = [hold.wants for hold in holds if hold.wants is not None]
        self.status: int | None = None
        """Upstream's, once its head was read."""
        self._left = max(limits, default=-1)
        """Bytes that may still be kept; less than none where nothing is, or it was too long."""
        self._fields = frozenset[str]().union(*(hold.fields for hold in holds))
        self._kept: tuple[tuple[str, str], ...] = ()
        self._parts: list[bytes] = []
        self._whole = False

    def head(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Note the head."""
        self.status = status
        if self._fields:
            decoded = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields]
            self._kept = tuple(one for one in decoded if one[0] in self._fields and one[0] not in HOP_BY_HOP)

    def body(self, data: bytes) -> None:
        """Note a part of the body."""
        if self._left >= 0:
            self._left -= len(data)
            self._parts.append(data)
            if self._left < 0:
                self._parts = []

    def end(self) -> None:
        """Note that the answer was whole."""
        self._whole = True

    def ended(self, *, sent: bool) -> Ended:
        """Tell how the request ended; `sent` where any byte of it may have reached upstream."""
        answer = None
        if self.status is not None and self._whole and self._left >= 0:
            answer = StoredAnswer(self.status, self._kept, b"".join(self._parts))
        return Ended(sent, self.status, answer, self._kept)


NOT_SENT = Ended(sent=False)


def settle(gate: "Gate", exchange: "Exchange", ended: Ended) -> None:
    """Settle all that a request holds; never raises."""
    for hold in exchange.holds:
        give(gate, hold.settle(ended))


def give(gate: "Gate", settlement: Settlement | None) -> None:
    """Give the store a settlement, where there is one. Where it fails, that is recorded, and what is held denies."""
    if settlement is None:
        return
    try:
        waiting = gate.state.settle(settlement, gate.clock.now())
    except Exception as error:  # noqa: BLE001 - a store that fails in any way
        _failed(gate, error)
        return
    if waiting is not None:
        task = asyncio.ensure_future(_wait(gate, waiting))
        gate.settling.add(task)
        task.add_done_callback(gate.settling.discard)


async def _wait(gate: "Gate", waiting: Awaitable[None]) -> None:
    try:
        await waiting
    except Exception as error:  # noqa: BLE001 - as above
        _failed(gate, error)


def _failed(gate: "Gate", error: Exception) -> None:
    detail = error.detail if isinstance(error, Unavailable) else failure(error).detail
    gate.health.failed("state", f"settling: {detail}", gate.clock.now(), gate.in_force.facts)
