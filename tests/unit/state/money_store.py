"""Asks of money routes, for tests of any store."""

import inspect
from typing import Any

from gateway.core.holds import (
    KeyState,
    Remember,
    Remembered,
    Reserve,
    Reserved,
    SettleKey,
    Settlement,
    Spend,
    StoredAnswer,
    SumLimit,
)
from gateway.core.message import Instant
from gateway.state.store import Store
from tests.world import NOW

ANSWER = StoredAnswer(201, (("content-type", "application/json"), ("x-text", "\xe9")), b'{"balance":\xff}')


def key(name: bytes = b"op-1", **changes: Any) -> Remember:
    valid = Remember("acme", "debit", name, b"s" * 32, Instant(NOW + 100), Instant(NOW + 1_000))
    return valid._replace(**changes)


def spend(amount: int = 1, *, most: int = 10, window: int = 60, name: str = "day", player: str = "p-1") -> Spend:
    return Spend(SumLimit(name, most, window), (name, "EUR", player), amount)


def reserve(*spends: Spend, **changes: Any) -> Reserve:
    return Reserve("acme", "debit", spends or (spend(),))._replace(**changes)


class Asking:
    """A store, asked as the engine does it, at a time that is moved by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW

    def move(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)

    async def remember(self, ask: Remember | None = None) -> Remembered:
        found = self.store.remember(ask or key(), self.now)
        return found if isinstance(found, Remembered) else await found

    async def reserve(self, ask: Reserve | None = None) -> Reserved:
        found = self.store.reserve(ask or reserve(), self.now)
        return found if isinstance(found, Reserved) else await found

    async def settle(self, settlement: Settlement) -> None:
        waiting = self.store.settle(settlement, self.now)
        if inspect.isawaitable(waiting):
            await waiting

    async def done(
        self, ask: Remember | None = None, state: KeyState = KeyState.ANSWERED, **changes: Any
    ) -> Remembered:
        """Take a key, and settle it."""
        ask = ask or key()
        taken = await self.remember(ask)
        answer = ANSWER if state is KeyState.ANSWERED else None
        await self.settle(SettleKey(ask, taken.token, state, **{"answer": answer, **changes}))
        return taken
