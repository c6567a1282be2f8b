"""Velocity: how much may be moved, and how often, by one player, card or partner within a sliding time.

Amounts are counted in whole minor units, each currency for itself. They are reserved before the request is forwarded,
and given back where upstream refused.
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.core.chain import Answer, Ask, answered
from gateway.core.document import Number, Pointer, Value, kind_of
from gateway.core.holds import HeldAmounts, Reserve, Reserved, Spend, Statuses, SumLimit
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

type Subject = Literal["partner", "token.sub"] | Pointer

MAX_AMOUNT = 10**13
"""Minor units of one request at most: sums of a thousand of them are still exact in the doubles of a shared store."""

_MAJOR = re.compile(r"(?P<whole>0|[1-9][0-9]{0,14})(?:\.(?P<part>[0-9]{1,18}))?\Z")
_MINOR = re.compile(r"(?P<whole>0|[1-9][0-9]{0,14})(?P<part>)\Z")
_NEGATIVE = re.compile(r"-[0-9]+(?:\.[0-9]+)?\Z")


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its fixed code, or by a value of the body."""

    code: str | None = None
    pointer: Pointer | None = None

    def read(self, document: Value) -> str:
        """Give the code as received. Raises Denied: BODY_VALUE_MISSING, BODY_VALUE_TYPE, VELOCITY_CURRENCY."""
        if self.pointer is None:
            return self.code or ""
        if isinstance(self.pointer.find(document), Number):
            raise Denied(Reason.BODY_VALUE_TYPE, f"{self.pointer.text} is a number, expected a currency")
        return self.pointer.text_in(document, Reason.VELOCITY_CURRENCY)


@dataclass(frozen=True, slots=True)
class Amount:
    """Where a request has its amount, and how it is written."""

    pointer: Pointer
    currency: Currency
    minor: bool
    """Whether it is written in minor units (cents); otherwise in major ones, with decimals."""
    quoted: bool
    """Whether it is a string; otherwise a number."""

    def read(self, document: Value, digits: Mapping[str, int]) -> tuple[int, str]:
        """Give the amount in minor units, and its currency, one of `digits`: how many decimals each has.

        Raises Denied: BODY_VALUE_MISSING, BODY_VALUE_TYPE, VELOCITY_AMOUNT, VELOCITY_AMOUNT_NEGATIVE,
        VELOCITY_CURRENCY.
        """
        currency = self.currency.read(document)
        if currency not in digits:
            raise Denied(Reason.VELOCITY_CURRENCY, "the route states no limit for the currency of the request")
        return self._units(self.pointer.find(document), digits[currency]), currency

    def _units(self, value: Value, digits: int) -> int:
        where, expected = self.pointer.text, "a string" if self.quoted else "a number"
        if kind_of(value) != expected:
            raise Denied(Reason.BODY_VALUE_TYPE, f"{where} is {kind_of(value)}, the policy says {expected}")
        text = str(value)
        found = (_MINOR if self.minor else _MAJOR).match(text)
        if found is None:
            if _NEGATIVE.match(text):
                raise Denied(Reason.VELOCITY_AMOUNT_NEGATIVE, f"{where} is negative")
            how = "a whole number of minor units" if self.minor else "a number with decimals and no exponent"
            raise Denied(Reason.VELOCITY_AMOUNT, f"{where} is not {how}")
        part = (found["part"] or "").rstrip("0")
        if len(part) > digits:
            raise Denied(Reason.VELOCITY_AMOUNT, f"{where} has more decimals than its currency, which has {digits}")
        units = int(found["whole"]) if self.minor else int(found["whole"] + part.ljust(digits, "0"))
        if units > MAX_AMOUNT:
            raise Denied(Reason.VELOCITY_AMOUNT, f"{where} is larger than any amount that is counted")
        return units


@dataclass(frozen=True, slots=True)
class VelocityLimit:
    """A sum for each currency, or a count, within a sliding time, for each value of its subjects apart.

    All of it is counted for each partner apart: a player of one partner is not that of another.
    """

    name: str
    window: int
    by: tuple[Subject, ...]
    sums: Mapping[str, int] | None = None
    """Minor units by currency; None: requests are counted."""
    count: int = 0

    def spend(self, counted_by: tuple[str, ...], amount: tuple[int, str] | None) -> Spend:
        """Give what a request counts."""
        if self.sums is None:
            return Spend(SumLimit(self.name, self.count, self.window), (self.name, "", *counted_by), 1)
        if amount is None:
            raise RuntimeError("a sum needs an amount")
        units, currency = amount
        limit = SumLimit(self.name, self.sums[currency], self.window)
        return Spend(limit, (self.name, currency, *counted_by), units)


@dataclass(frozen=True, slots=True)
class Velocity:
    """Reserves what a request moves; denies or marks it where a limit is reached."""

    limits: tuple[VelocityLimit, ...]
    returned: Statuses
    """Statuses by which upstream refuses: nothing was moved."""
    amount: Amount | None = None
    digits: Mapping[str, int] | None = None
    """Decimals of each currency for which all sums have a limit; None where there is no sum."""
    marks: bool = False
    """Whether a request beyond a limit is marked and forwarded, rather than denied."""

    name: ClassVar[str] = "velocity"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Reserve the amounts until the request has ended.

        Raises Denied: VELOCITY_EXCEEDED, the reasons of `Amount.read`, VELOCITY_SUBJECT, and PARTNER_UNKNOWN or
        TOKEN_MISSING where a limit counts by what no earlier control verified.
        """
        partner, route = exchange.partner, exchange.route
        if partner is None or route is None:
            raise Denied(Reason.PARTNER_UNKNOWN, "amounts are counted for a partner, and none was identified")
        document = (yield from exchange.read_document()) if self._reads_body else None
        amount = None
        if self.amount is not None and self.digits is not None:
            amount = self.amount.read(document, self.digits)
        spends = tuple(
            limit.spend(tuple(_value(one, exchange, document) for one in limit.by), amount) for limit in self.limits
        )
        ask = Reserve(partner.name, route.name, spends, even_if_reached=self.marks)
        reserved = answered((yield ask), Reserved)
        names = ", ".join(limit.name for limit in reserved.reached)
        if names and not self.marks:
            raise Denied(Reason.VELOCITY_EXCEEDED, f"limit {names} is reached")
        if names:
            exchange.marks += tuple(f"velocity.{limit.name}" for limit in reserved.reached)
        exchange.holds += (HeldAmounts(ask, reserved.token, self.returned),)

    @property
    def _reads_body(self) -> bool:
        return self.amount is not None or any(isinstance(one, Pointer) for limit in self.limits for one in limit.by)


def _value(subject: Subject, exchange: "Exchange", document: Value) -> str:
    if isinstance(subject, Pointer):
        return subject.text_in(document, Reason.VELOCITY_SUBJECT)
    if subject == "partner":
        return exchange.partner.name if exchange.partner is not None else ""
    if exchange.claims is None:
        raise Denied(Reason.TOKEN_MISSING, "a limit counts by token subject, and no token was verified")
    return exchange.claims.subject
