"""Rate limits: `50/second per partner`, `9000/calendar-day per partner, address`, or a mapping, which can say more."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.controls.charged_rates import AnswerCost, charged
from gateway.controls.priced_rates import priced
from gateway.controls.rate_limit import Dimension, RateLimits, RouteLimit
from gateway.core.chain import RateLimit
from gateway.core.periods import DAY, Calendar
from gateway.policy.answer_costs import read_answer_cost
from gateway.policy.nodes import MappingNode, Node, SequenceNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.values import Unfit, field_name, name, whole_seconds

DIMENSIONS: tuple[Dimension, ...] = ("partner", "address", "token.sub", "route")
"""What requests can be counted by; `route` counts all callers of the route together."""

MAX_AMOUNT = 1_000_000_000
MAX_WINDOW = 31 * 86_400
"""Seconds."""

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_CALENDAR: dict[str, tuple[Calendar, int]] = {"calendar-day": ("day", DAY), "calendar-month": ("month", 31 * DAY)}
"""With the seconds that such a window has at most."""
_LIMIT = re.compile(r"(?P<amount>[0-9][0-9_]{0,14}) ?(?:/| per ) ?(?P<window>[0-9A-Za-z.-]+)\Z")
_SPLIT = re.compile(r"(?P<limit>.*?) per (?P<by>(?![0-9])(?!(?:second|minute|hour|day|calendar-(?:day|month))\b).*)\Z")
_EXPECTED = 'expected one such as "50/second per partner" or "100 per 10s per partner, address"'


def read_rates(reader: Reader, node: Node) -> RateLimits | None:
    """Read a route's list of limits."""
    items = reader.items(node, "limits")
    if items is None:
        return None
    limits: list[RouteLimit] = []
    names: dict[str, Node] = {}
    prices: dict[str, str] = {}
    charges: dict[str, AnswerCost] = {}
    errors = reader.errors
    for item in items:
        limit = _read_mapping(reader, item) if isinstance(item, MappingNode) else reader.value(item, _written)
        if limit is None:
            continue
        first = names.setdefault(limit.limit.name, item)
        if first is not item:
            hint = f"first in line {first.place.line}; give one a `name`"
            reader.error(item, f"a second limit {quoted(limit.limit.name)} on this route", hint)
        limits.append(limit)
        cost = item.values.get("cost") if isinstance(item, MappingNode) else None
        if isinstance(cost, MappingNode) and "answer" in cost.values:
            charge = read_answer_cost(reader, cost, limit)
            if charge is not None:
                charges[limit.limit.name] = charge
        elif isinstance(cost, MappingNode):
            prices[limit.limit.name] = _field(reader, cost) or ""
    if reader.errors > errors:
        return None
    return charged(priced(RateLimits(tuple(limits)), prices), charges)


def _written(text: str) -> RouteLimit:
    split = _SPLIT.match(text)
    if split is None:
        raise Unfit(f"{quoted(text)} does not say what is counted", _EXPECTED)
    return _route_limit(_limit(split["limit"]), _dimensions(split["by"].split(",")))


def _read_mapping(reader: Reader, node: MappingNode) -> RouteLimit | None:
    fields = reader.fields(node, required=("limit", "per"), optional=("window", "name", "cost", "burst"))
    if fields is None:
        return None
    limit = reader.value(fields.get("limit"), _limit)
    per = fields.get("per")
    by: Sequence[Dimension] | None
    if isinstance(per, SequenceNode):
        by = reader.values(per, _dimension, "what is counted by")
    else:
        by = reader.value(per, lambda text: _dimensions(text.split(",")))
    kind = reader.choice(fields.get("window"), ("sliding", "fixed")) or "sliding"
    named = reader.value(fields.get("name"), name)
    if limit is None or by is None:
        return None
    if limit.calendar and "window" in fields:
        reader.error(fields["window"], "a window of the calendar is neither sliding nor fixed", "remove it")
        return None
    if "burst" in fields:
        burst = _burst(reader, limit, fields)
        if burst is None:
            return None
        limit, kind = replace(limit, burst=burst), "steady"
    cost = _cost(reader, fields.get("cost"), limit.room)
    made = _route_limit(limit, tuple(by), sliding=kind == "sliding", named=named)
    return replace(made, cost=cost)


def _burst(reader: Reader, limit: RateLimit, fields: Mapping[str, Node]) -> int | None:
    """Read how many may come at once, where the rate is a steady one."""
    if limit.calendar:
        reader.error(fields["burst"], "a quota of the calendar has no burst", "write a second limit, such as 50/second")
        return None
    if "window" in fields:
        reader.error(fields["window"], "a limit with a burst has no window: it is refilled steadily", "remove it")
        return None
    return reader.whole_number(fields["burst"], 1, MAX_AMOUNT)


def _cost(reader: Reader, node: Node | None, most: int) -> int:
    """Read what a request takes before it is forwarded: so much, at most so much, or so much at least."""
    if not isinstance(node, MappingNode):
        return reader.whole_number(node, 1, most) or 1
    if "answer" in node.values:
        return reader.whole_number(node.values.get("least"), 1, most) or 1
    fields = reader.fields(node, required=("header", "most")) or {}
    return reader.whole_number(fields.get("most"), 1, most) or 1


def _field(reader: Reader, node: MappingNode) -> str | None:
    return reader.value(node.values.get("header"), field_name)


def _route_limit(
    limit: RateLimit, by: tuple[Dimension, ...], *, sliding: bool = True, named: str | None = None
) -> RouteLimit:
    name = named or f"{'-'.join(by)}-{limit.name}"
    return RouteLimit(replace(limit, name=name, sliding=sliding and not limit.calendar), by)


def _limit(text: str) -> RateLimit:
    """Read amount and window; its name is that of the window."""
    match = _LIMIT.match(text)
    if match is None:
        raise Unfit(f"{quoted(text)} is no limit", 'expected one such as "50/second" or "100 per 10s"')
    amount = int(match["amount"].replace("_", ""))
    if not 1 <= amount <= MAX_AMOUNT:
        raise Unfit(f"a limit of {amount:,}", f"expected 1 to {MAX_AMOUNT:,} requests")
    if match["window"] in _CALENDAR:
        calendar, longest = _CALENDAR[match["window"]]
        return RateLimit(match["window"], amount, longest, sliding=False, calendar=calendar)
    window = _window(match["window"])
    return RateLimit(f"{window}s", amount, window, sliding=True)


def _window(text: str) -> int:
    if text in _UNITS:
        return _UNITS[text]
    if text[0].isdigit():
        seconds = whole_seconds(text)
        if seconds > MAX_WINDOW:
            raise Unfit(f"{quoted(text)} is too long for a rate", "at most 31d")
        return seconds
    expected = "expected second, minute, hour, day, calendar-day, calendar-month or a duration such as 10s"
    raise Unfit(f"no unit {quoted(text)}", suggestion(text, (*_UNITS, *_CALENDAR), expected))


def _dimensions(texts: Sequence[str]) -> tuple[Dimension, ...]:
    found = tuple(_dimension(text.strip()) for text in texts)
    if len(set(found)) < len(found):
        raise Unfit("counts by the same thing twice")
    return found


def _dimension(text: str) -> Dimension:
    for known in DIMENSIONS:
        if known == text:
            return known
    raise Unfit(f"nothing is counted by {quoted(text)}", suggestion(text, DIMENSIONS))
