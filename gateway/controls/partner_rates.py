"""Rate limits that are not the same for every partner: by the tier that a partner is in, or its very own."""

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from gateway.controls.rate_limit import RateLimits
from gateway.core.chain import Answer, Ask, Take
from gateway.core.counters import PartnerCounters
from gateway.core.policy import Policy, Route

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

    @property
    def all(self) -> tuple[RateLimits, ...]:
        """Every list of limits, whosever it is."""
        return (self.default, *self.tiers.values(), *self.partners.values())

    def of(self, partner: str | None) -> RateLimits:
        """Give the limits of a partner."""
        return self.default if partner is None else self.partners.get(partner, self.default)


def counters_of(policy: Policy, partner: str, routes: Collection[str] = ()) -> list[PartnerCounters]:
    """Give a partner's rate counters, on these routes or on all that it may call, whatever tier it is or was in."""
    return [
        _counters(policy.name, route, partner)
        for route in policy.routes
        if (not routes or route.name in routes) and (route.partners is None or partner in route.partners)
    ]


def _counters(policy: str, route: Route, partner: str) -> PartnerCounters:
    takes: dict[Take, None] = {}
    mixed = False
    for control in route.chain:
        lists = control.all if isinstance(control, PartnerRates) else (control,)
        for each in [one for rates in lists if isinstance(rates, RateLimits) for one in rates.limits]:
            if each.by == ("partner",):
                takes[Take(each.limit, (policy, route.name, each.limit.name, partner))] = None
            mixed = mixed or ("partner" in each.by and len(each.by) > 1)
    return PartnerCounters(policy, route.name, partner, tuple(takes), mixed)
