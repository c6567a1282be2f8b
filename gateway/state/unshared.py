"""No state at all: what a worker has as long as there is no store that workers share."""

from typing import NoReturn

from gateway.core.chain import ClaimOnce, TakeRate
from gateway.core.holds import Enter, Remember, Reserve, Settlement
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

_DETAIL = "several workers, and no store that they share"


class Unshared:
    """Denies whatever is asked of it (`Store`).

    A policy whose own controls would ask is refused before; a third party's control is found out by its asking. Were
    it answered, each worker would count for itself, and take a nonce that another one has seen.
    """

    def take(self, ask: TakeRate, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del ask, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def claim(self, ask: ClaimOnce, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del ask, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def remember(self, ask: Remember, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del ask, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def reserve(self, ask: Reserve, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del ask, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def enter(self, ask: Enter, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del ask, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def settle(self, settlement: Settlement, now: Instant) -> NoReturn:
        """Raise Unavailable(STATE_UNAVAILABLE)."""
        del settlement, now
        raise Unavailable(Reason.STATE_UNAVAILABLE, _DETAIL)

    def close(self) -> None:
        """Do nothing."""
