"""Requests in flight: how many of a partner's a route has at work at the same time."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import Answer, Ask, answered
from gateway.core.holds import Enter, Entered, HeldPlace
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Takes a place for the request, which is free again once the request has ended, however it did."""

    most: int
    """Requests of one partner."""
    lease: int
    """Seconds after which a place is free whatever became of its request: the process may be gone."""

    name: ClassVar[str] = "concurrency"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Take a place. Raises Denied: CONCURRENCY_REACHED with Retry-After, or PARTNER_UNKNOWN."""
        partner, route = exchange.partner, exchange.route
        if partner is None or route is None:
            raise Denied(Reason.PARTNER_UNKNOWN, "requests in flight are counted by partner, and none was identified")
        ask = Enter(partner.name, exchange.policy.name, route.name, self.most, self.lease)
        entered = answered((yield ask), Entered)
        if not entered.allowed:
            detail = f"{self.most} requests of {partner.name} are in flight"
            raise Denied(Reason.CONCURRENCY_REACHED, detail, (("retry-after", "1"),))
        exchange.holds += (HeldPlace(ask, entered.token),)
