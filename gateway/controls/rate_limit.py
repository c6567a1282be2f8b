"""Rate limits: so many requests in so much time, told to the caller as the IETF draft on RateLimit fields has it."""

from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.core.chain import Answer, Ask, RateLimit, RateState, RateTaken, Take, TakeRate, answered
from gateway.core.forwarding import field_text
from gateway.core.memo import Bounded, Memo
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

type Dimension = Literal["partner", "address", "token.sub", "route"]

_CHALLENGE = ("www-authenticate", 'Bearer realm="gateway"')

_IPV6_PREFIX = 64
"""Bits of an IPv6 address that count: whoever has one address has its whole /64 (RFC 4291 2.5.1, RFC 6177)."""


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """A limit of a route, counted for each value of its dimensions apart; `route` alone counts all callers together.

    Every limit belongs to its route: the same words on two routes are two limits.
    """

    limit: RateLimit
    by: tuple[Dimension, ...]
    cost: int = 1
    """What a request of the route takes of it."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Takes a request from every limit of a route, or from none.

    Both answers carry RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11). Its partition key
    `pk` is left out: it would tell callers how they are told apart.
    """

    limits: tuple[RouteLimit, ...]

    name: ClassVar[str] = "rate_limit"

    _policy: tuple[str, str] = field(init=False, repr=False, compare=False)
    """The RateLimit-Policy field, which is the same in every answer."""
    _asks: Bounded[tuple[str, ...], TakeRate] = field(init=False, repr=False, compare=False)
    """What was asked for callers that come again, by the values they are counted by."""

    def __post_init__(self) -> None:
        """Raise ValueError where no limit is named, two by the same name, or where one takes no request at all."""
        names = [each.limit.name for each in self.limits]
        if any(not 1 <= each.cost <= each.limit.room for each in self.limits):
            raise ValueError("a request must cost something, and no more than the limit holds")
        if not names or len(set(names)) < len(names):
            raise ValueError("rate limits must be named, each by a name of its own")
        items = ", ".join([_policy_item(each.limit) for each in self.limits])
        object.__setattr__(self, "_policy", ("ratelimit-policy", items))
        object.__setattr__(self, "_asks", Bounded(longest=512, size=lambda values: sum(map(len, values))))

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Take the request's cost from each limit.

        Raises Denied(RATE_EXCEEDED) with Retry-After where one of them is reached, and PARTNER_UNKNOWN or
        TOKEN_MISSING where a limit counts by what no earlier control verified.
        """
        ask = self._ask(exchange)
        taken = answered((yield ask), RateTaken)
        if len(taken.states) != len(ask.takes):
            raise RuntimeError(f"asked for {len(ask.takes)} limits, answered for {len(taken.states)}")
        reached = [state for state in taken.states if not state.allowed]
        # What was not reached is left out of a refusal: its window may end after Retry-After, which would contradict.
        items = ", ".join([_item(state) for state in reached or taken.states])
        exchange.response_fields += self._policy, ("ratelimit", items)
        if reached or not taken.allowed:
            wait = max((state.reset_after for state in reached), default=0.0)
            names = ", ".join(state.limit.name for state in reached) or "unnamed"
            detail = f"limit {names} is reached; the next is taken in {_seconds(wait)} s"
            raise Denied(Reason.RATE_EXCEEDED, detail, (("retry-after", str(_seconds(wait))),))

    def _ask(self, exchange: "Exchange") -> TakeRate:
        """Give what to ask for: each limit is counted under policy, route, its name and its dimensions' values."""
        policy, route = exchange.policy.name, exchange.route.name if exchange.route is not None else ""
        values = [_value(one, each.limit, exchange) for each in self.limits for one in each.by]
        known = self._asks.get(key := (policy, route, *values))
        if known is not None:
            return known
        left = iter(values)
        takes = [
            Take(
                each.limit,
                (policy, route, each.limit.name, *islice(left, len(each.by))),
                each.cost,
                _whose(each, exchange),
            )
            for each in self.limits
        ]
        return self._asks.keep(key, TakeRate(tuple(takes)))


def _whose(one: RouteLimit, exchange: "Exchange") -> str | None:
    mixed = "partner" in one.by and len(one.by) > 1
    return exchange.partner.name if mixed and exchange.partner is not None else None


def _value(dimension: Dimension, limit: RateLimit, exchange: "Exchange") -> str:
    match dimension:
        case "partner":
            if exchange.partner is None:
                raise Denied(Reason.PARTNER_UNKNOWN, f"limit {limit.name} counts by partner, and none was identified")
            return exchange.partner.name
        case "token.sub":
            if exchange.claims is None:
                detail = f"limit {limit.name} counts by token subject, and no token was verified"
                raise Denied(Reason.TOKEN_MISSING, detail, (_CHALLENGE,))
            return exchange.claims.subject
        case "address":
            return _NETWORKS[exchange.client_address.packed]
        case "route":
            return ""  # every key names the route


def _network(packed: bytes) -> str:
    address = ip_address(packed)
    if isinstance(address, IPv6Address):
        return f"{int(address) >> (128 - _IPV6_PREFIX):x}::/{_IPV6_PREFIX}"
    return str(address)


_NETWORKS = Memo(_network)


def _policy_item(limit: RateLimit) -> str:
    """Write a quota policy item (draft 3.1); `burst` is a parameter of our own, as earlier drafts had in examples."""
    burst = "" if limit.burst is None else f";burst={limit.burst}"
    return f"{_sf_string(limit.name)};q={limit.amount};w={limit.window}{burst}"


def _item(state: RateState) -> str:
    """Write a service limit item (draft 4.1). No window is longer than the limit's, for whoever divides r by t."""
    wait = _seconds(state.reset_after)
    if wait > state.limit.window and state.limit.burst is None:
        wait = state.limit.window
    return f"{_SF_STRINGS[state.limit.name]};r={max(state.remaining, 0)};t={wait}"


def _seconds(seconds: float) -> int:
    """Round up to whole seconds, at least 1 (RFC 9110 10.2.3)."""
    return max(ceil(seconds), 1)


def _sf_string(text: str) -> str:
    """Write a structured-field string (RFC 9651 3.3.3); what is not printable ASCII is percent-encoded."""
    printable = "".join(char if " " <= char <= "~" else field_text(char) for char in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


_SF_STRINGS = Memo(_sf_string)
