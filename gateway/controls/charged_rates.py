"""Rate limits of which a request takes what upstream's answer says it cost.

Before it is forwarded a request takes the least that it can cost, which must fit. Once it has ended, what the answer
says beyond that is taken as well, whether it fits or not: a limit may be gone beyond by what was in flight, and takes
nothing more until there is room again. What upstream may have done and did not say costs the most.
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RateLimits
from gateway.core.chain import Answer, Ask, Take
from gateway.core.document import Pointer, read_document
from gateway.core.holds import Charge, Ended
from gateway.core.reasons import Denied

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

_WHOLE = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
"""No limit has more digits."""

ANSWER_BYTES = 65_536
"""Of an answer that are kept to be read, at most."""


@dataclass(frozen=True, slots=True)
class AnswerCost:
    """What an answer says that its request cost: in a field, in its JSON, or by its status."""

    most: int
    field: str | None = None
    """In lower case."""
    pointer: Pointer | None = None
    statuses: Mapping[int, int] | None = None
    """Those that cost more than the least."""

    def of(self, ended: Ended, least: int) -> int:
        """Give what a request cost that was sent."""
        if ended.status is None:
            return self.most
        if self.statuses is not None:
            return max(self.statuses.get(ended.status, least), least)
        written = self._written(ended)
        if not _WHOLE.match(written) or int(written) > self.most:
            return self.most
        return max(int(written), least)

    def _written(self, ended: Ended) -> str:
        """Give what is written where the cost stands; empty where it is not one text."""
        if self.pointer is None:
            values = [value for name, value in ended.fields if name == self.field]
            return values[0] if len(values) == 1 else ""
        if ended.answer is None:
            return ""
        try:
            value = self.pointer.find(read_document(ended.answer.body))
        except Denied:
            return ""
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class HeldCost:
    """What a request took, until its answer says what it cost."""

    costs: tuple[tuple[Take, AnswerCost], ...]
    wants: int | None
    fields: frozenset[str]

    def settle(self, ended: Ended) -> Charge | None:
        """Give what is taken beside."""
        if not ended.sent:
            return None
        owed = [take._replace(cost=cost.of(ended, take.cost) - take.cost) for take, cost in self.costs]
        more = tuple(take for take in owed if take.cost > 0)
        return Charge(more) if more else None


@dataclass(frozen=True, slots=True)
class ChargedRates(PricedRates):
    """As PricedRates; where a limit is named in `charges`, its cost is the least that a request takes of it."""

    charges: Mapping[str, AnswerCost]

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Take the least, and have the rest taken once the request has ended. Raises as PricedRates does."""
        yield from RateLimits.check(self, exchange)
        takes = PricedRates._ask(self, exchange).takes  # noqa: SLF001 - of its own class; remembered
        charges = self.charges
        costs = tuple((take, charges[take.limit.name]) for take in takes if take.limit.name in charges)
        wants = ANSWER_BYTES if any(cost.pointer is not None for _, cost in costs) else None
        fields = frozenset(cost.field for _, cost in costs if cost.field is not None)
        exchange.holds += (HeldCost(costs, wants, fields),)


def charged(rates: RateLimits, charges: Mapping[str, AnswerCost]) -> RateLimits:
    """Give limits that are charged by the answer, or as they are where none is."""
    if not charges:
        return rates
    return ChargedRates(rates.limits, rates.prices if isinstance(rates, PricedRates) else {}, charges)
