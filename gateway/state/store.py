"""Where counters and nonces live: what the engine asks of it."""

from collections.abc import Awaitable
from typing import Protocol

from gateway.core.chain import Claim, ClaimOnce, RateTaken, TakeRate
from gateway.core.holds import Enter, Entered, Remember, Remembered, Reserve, Reserved, Settlement
from gateway.core.message import Instant
from gateway.core.reasons import Reason

FULL = frozenset({Reason.REPLAY_MEMORY_FULL, Reason.IDEMPOTENCY_FULL, Reason.VELOCITY_FULL})
"""Reasons of a store that works, and has no more room."""


class Store(Protocol):
    """Answers for rates and claims, at once or, where another process keeps them, after a round trip.

    A store that cannot answer MUST raise, `Unavailable` where it knows why, and MUST NOT guess: the engine denies.
    """

    def take(self, ask: TakeRate, now: Instant) -> RateTaken | Awaitable[RateTaken]:
        """Take from every bucket that is asked for, or from none. MUST give one state for each, in their order."""
        ...

    def claim(self, ask: ClaimOnce, now: Instant) -> Claim | Awaitable[Claim]:
        """Claim a key. MUST answer NEW at most once for it until `ask.until` has passed, restarts included."""
        ...

    def remember(self, ask: Remember, now: Instant) -> Remembered | Awaitable[Remembered]:
        """Take an idempotency key into flight, or tell what is known of it. MUST take it for one of all that ask."""
        ...

    def reserve(self, ask: Reserve, now: Instant) -> Reserved | Awaitable[Reserved]:
        """Count against every limit, or against none. MUST NOT let what is counted go beyond any of them."""
        ...

    def enter(self, ask: Enter, now: Instant) -> Entered | Awaitable[Entered]:
        """Take a place among requests in flight. MUST free it when its lease is over."""
        ...

    def settle(self, settlement: Settlement, now: Instant) -> Awaitable[None] | None:
        """Note what became of a hold. Lost, it MUST leave the key unknown or the amount counted."""
        ...

    def close(self) -> None:
        """Let go of threads and connections."""
        ...
