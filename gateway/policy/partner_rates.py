"""Which rate limits a partner has on a route: its own there, those of its tier, or those of everyone else.

partners:
  acme-casino: {tier: gold, limits: {withdraw: ["5/second per partner"]}}
routes:
  - name: deposit
    rate_limit: {default: ["50/second per partner"], gold: ["200/second per partner"]}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.controls.partner_rates import PartnerRates
from gateway.controls.rate_limit import RateLimits
from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode
from gateway.policy.problem import quoted
from gateway.policy.rates import read_rates
from gateway.policy.reader import Reader, suggestion
from gateway.policy.values import name

DEFAULT = "default"
"""Stands for the limits of partners without a tier that the route names."""


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """What a partner's definition says of its limits."""

    tier: str | None = None
    tier_node: Node | None = None
    limits: Mapping[str, RateLimits] = field(default_factory=dict)
    """By the name of the route."""
    listed: Mapping[str, tuple[ScalarNode, Node]] = field(default_factory=dict)
    """Where each route's name and its list stand."""


def read_own_limits(reader: Reader, tier: Node | None, limits: Node | None) -> OwnLimits:
    """Read `tier` and `limits` of a partner."""
    named = reader.value(tier, name)
    if named == DEFAULT and tier is not None:
        reader.error(tier, f"{quoted(DEFAULT)} is what partners without a tier have", "remove it, or name a tier")
    mapping = reader.mapping(limits, "a mapping from routes to lists of limits")
    if mapping is not None and not mapping.values:
        reader.error(mapping, "names no route", 'expected {ROUTE: ["50/second per partner"]}')
    values = {} if mapping is None else mapping.values
    read = {route: read_rates(reader, node) for route, node in values.items()}
    return OwnLimits(
        named,
        tier,
        {route: rates for route, rates in read.items() if rates is not None},
        {} if mapping is None else {route: (mapping.keys[route], node) for route, node in values.items()},
    )


def read_route_rates(reader: Reader, node: Node) -> RateLimits | PartnerRates | None:
    """Read a route's limits: a list for all partners, or lists by tier."""
    if not isinstance(node, MappingNode):
        return read_rates(reader, node)
    errors = reader.errors
    if DEFAULT not in node.values:
        hint = f'expected a list of limits, or {{{DEFAULT}: ["50/second per partner"], TIER: [...]}}'
        reader.error(node, f"`{DEFAULT}` is missing", hint)
    for key in node.keys.values():
        reader.value(key, name)
    tiers = {tier: read_rates(reader, listed) for tier, listed in node.values.items()}
    if reader.errors > errors:
        return None
    read = {tier: rates for tier, rates in tiers.items() if rates is not None}
    return PartnerRates(read.pop(DEFAULT), read)


def chosen(rates: object, route: str, own: Mapping[str, OwnLimits]) -> RateLimits | PartnerRates | None:
    """Give the limits of a route for these partners, as the chain asks them; None where it has none."""
    if not isinstance(rates, RateLimits | PartnerRates):
        return None
    tiers = rates.tiers if isinstance(rates, PartnerRates) else {}
    found = {
        partner: limits.limits.get(route) or tiers.get(limits.tier or "")
        for partner, limits in own.items()
        if limits.tier is not None or limits.limits
    }
    others = {partner: limits for partner, limits in found.items() if limits is not None}
    if isinstance(rates, PartnerRates):
        return replace(rates, partners=others)
    return PartnerRates(rates, {}, others) if others else rates


def lists(
    rates: object, node: Node | None, route: str, own: Mapping[str, OwnLimits]
) -> Iterator[tuple[SequenceNode, RateLimits]]:
    """Give every list of limits that can count on a route, and where it stands."""
    written: list[tuple[Node | None, RateLimits | None]] = []
    if isinstance(rates, PartnerRates):
        listed = node.values if isinstance(node, MappingNode) else {DEFAULT: node}
        known = {**rates.tiers, DEFAULT: rates.default}
        written += [(each, known.get(tier)) for tier, each in listed.items()]
    elif isinstance(rates, RateLimits):
        written.append((node, rates))
    if written:
        written += [(each.listed[route][1], each.limits.get(route)) for each in own.values() if route in each.listed]
    yield from ((node, rates) for node, rates in written if isinstance(node, SequenceNode) and rates is not None)


def check_own_limits(
    reader: Reader, own: Mapping[str, OwnLimits], routes: Sequence[tuple[str, frozenset[str], object]]
) -> None:
    """Complain of tiers and routes that a partner names and that there are not, for it.

    `routes` are name, partners that may call, and limits.
    """
    for partner, limits in own.items():
        mine = {route: rates for route, partners, rates in routes if partner in partners}
        tiers = {tier for rates in mine.values() if isinstance(rates, PartnerRates) for tier in rates.tiers}
        if limits.tier is not None and limits.tier != DEFAULT and limits.tier not in tiers and limits.tier_node:
            hint = suggestion(limits.tier, sorted(tiers)) if tiers else f"write it beside `{DEFAULT}` in a rate_limit"
            reader.error(limits.tier_node, f"no route of this partner has a tier {quoted(limits.tier)}", hint)
        for route, (key, _) in limits.listed.items():
            if route not in {each for each, _, _ in routes}:
                hint = suggestion(route, [each for each, _, _ in routes])
                reader.error(key, f"no route {quoted(route)}", hint)
            elif route not in mine:
                reader.error(key, f"this partner may not call route {quoted(route)}", "list it in the route's partners")
            elif not isinstance(mine[route], RateLimits | PartnerRates):
                reader.error(key, f"route {quoted(route)} has no rate limits", "state its rate_limit first")
