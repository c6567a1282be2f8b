import pytest

from gateway.controls.partner_rates import PartnerRates
from gateway.controls.rate_limit import RateLimits
from gateway.policy.partner_rates import OwnLimits, chosen, read_own_limits, read_route_rates
from tests.policy.reading import mapping, node, problems, reader, scalar


def amounts(rates: object, partner: str) -> list[int]:
    if isinstance(rates, PartnerRates):
        rates = rates.of(partner)
    assert isinstance(rates, RateLimits)
    return [each.limit.amount for each in rates.limits]


def own(text: str) -> OwnLimits:
    used, values = reader(), mapping(text).values
    made = read_own_limits(used, values.get("tier"), values.get("limits"))
    assert problems(used) == []
    return made


def route(text: str) -> RateLimits | PartnerRates:
    used = reader()
    made = read_route_rates(used, node(text))
    assert problems(used) == []
    assert made is not None
    return made


def test_own_limits_go_before_the_tier_and_the_tier_before_the_default() -> None:
    partners = {
        "both": own("{tier: gold, limits: {pay: [7/second per partner]}}"),
        "gold": own("{tier: gold}"),
        "elsewhere": own("{limits: {other: [8/second per partner]}}"),
        "bronze": own("{tier: bronze}"),
        "plain": own("{}"),
    }
    rates = chosen(route("{default: [1/second per partner], gold: [5/second per partner]}"), "pay", partners)
    assert {name: amounts(rates, name) for name in partners} == {
        "both": [7], "gold": [5], "elsewhere": [1], "bronze": [1], "plain": [1]
    }  # fmt: skip


def test_a_list_for_all_partners_stays_what_it_is() -> None:
    plain = route("[1/second per partner]")
    assert chosen(plain, "pay", {"gold": own("{tier: gold}")}) is plain
    assert chosen(None, "pay", {}) is None


def test_own_limits_on_a_route_with_one_list() -> None:
    rates = chosen(route("[1/second per partner]"), "pay", {"a": own("{limits: {pay: [7/second per partner]}}")})
    assert (amounts(rates, "a"), amounts(rates, "b")) == ([7], [1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{gold: [1/second per partner]}", "`default` is missing"),
        ("{limit: 1/second, per: partner}", "`default` is missing"),
        ("{default: []}", "an empty list of limits"),
        ("{default: [1/second per partner], a b: [1/second per partner]}", "`a b` is no name"),
        ("{default: [1/second per partner], gold: 5}", "found text (expected a list of limits)"),
    ],
)
def test_lists_by_tier_that_cannot_be_understood(text: str, said: str) -> None:
    used = reader()
    assert read_route_rates(used, node(text)) is None
    assert said in "\n".join(problems(used))


def test_what_a_partner_cannot_say() -> None:
    used = reader()
    read_own_limits(used, scalar("default"), mapping("{}"))
    assert problems(used) == [
        "p.yaml:1:1: `default` is what partners without a tier have (remove it, or name a tier)",
        'p.yaml:1:1: names no route (expected {ROUTE: ["50/second per partner"]})',
    ]
