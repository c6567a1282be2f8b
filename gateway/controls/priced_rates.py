"""Rate limits of which a request takes what a header field says, within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.controls.rate_limit import RateLimits
from gateway.core.chain import TakeRate
from gateway.core.memo import Bounded
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

_DIGITS = 10
"""More than any limit has."""


@dataclass(frozen=True, slots=True)
class PricedRates(RateLimits):
    """As RateLimits; where a limit is named in `prices`, its cost is the most that a request can take of it."""

    prices: Mapping[str, str]
    """Names of header fields, in lower case, by the name of their limit."""

    _priced: Bounded[TakeRate, TakeRate] = field(init=False, repr=False, compare=False)
    """What was asked for before: stores know an ask that comes again by its identity."""

    def __post_init__(self) -> None:
        """Raise ValueError as RateLimits does."""
        RateLimits.__post_init__(self)
        object.__setattr__(self, "_priced", Bounded(longest=512, size=_characters))

    def _ask(self, exchange: "Exchange") -> TakeRate:
        """Give what to ask for. Raises Denied(RATE_COST) beside what RateLimits raises."""
        ask = RateLimits._ask(self, exchange)  # noqa: SLF001 - of its own class
        made = TakeRate(
            tuple(
                take._replace(cost=_cost(exchange, self.prices[take.limit.name], take.cost))
                if take.limit.name in self.prices
                else take
                for take in ask.takes
            )
        )
        return self._priced.get(made) or self._priced.keep(made, made)


def priced(rates: RateLimits, prices: Mapping[str, str]) -> RateLimits:
    """Give limits with prices, or as they are where there are none."""
    return PricedRates(rates.limits, prices) if prices else rates


def _characters(ask: TakeRate) -> int:
    return sum(len(value) for take in ask.takes for value in take.key)


def _cost(exchange: "Exchange", name: str, most: int) -> int:
    """Read a cost; a request that states none takes the most."""
    written = exchange.request.headers.single(name)
    if written is None:
        return most
    digits = written.isascii() and written.isdecimal() and len(written) <= _DIGITS
    if not digits or not 1 <= int(written) <= most:
        raise Denied(Reason.RATE_COST, f"{name} is no whole number from 1 to {most}")
    return int(written)
