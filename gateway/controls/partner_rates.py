"""Rate limits that are not the same for every partner: by the tier that a partner is in, or its very own."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gateway.controls.rate_limit import RateLimits
from gateway.core.chain import Answer, Ask

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class PartnerRates:
    """Chooses among the limits of a route by the partner that calls.

    Limits of the same name and window count in one bucket, whoever's they are: a partner that changes its tier keeps
    what it has used, and what counts by route counts all callers.
    """

    default: RateLimits
    """For everyone without limits of its own, and for whoever is not identified."""
    tiers: Mapping[str, RateLimits] = field(default_factory=dict)
    """As the route has them."""
    partners: Mapping[str, RateLimits] = field(default_factory=dict)
    """By the name of the partner, whether by its tier or its own."""

    name: ClassVar[str] = "rate_limit"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Take the request's cost from each limit of its partner. Raises as RateLimits does."""
        return self.of(None if exchange.partner is None else exchange.partner.name).check(exchange)

    def of(self, partner: str | None) -> RateLimits:
        """Give the limits of a partner."""
        return self.default if partner is None else self.partners.get(partner, self.default)
