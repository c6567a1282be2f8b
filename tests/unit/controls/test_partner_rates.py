from dataclasses import replace

from gateway.controls.partner_rates import PartnerRates, counters_of
from gateway.controls.rate_limit import Dimension, RateLimits, RouteLimit
from gateway.core.chain import RateLimit, TakeRate
from gateway.core.exchange import Exchange
from gateway.core.policy import Match
from tests import world
from tests.world import Answers, World, check


def limits(amount: int) -> RateLimits:
    return RateLimits((RouteLimit(RateLimit("partner-1s", amount, 1, sliding=True), ("route",)),))


RATES = PartnerRates(limits(5), {"gold": limits(50)}, {world.PARTNER: limits(7)})


def asked(exchange: Exchange) -> list[int]:
    answers = Answers()
    check(RATES, exchange, answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    return [take.limit.amount for take in ask.takes]


def test_the_limits_of_the_partner_that_calls_are_asked_for() -> None:
    entered = World().exchange()
    entered.partner = world.partner()
    assert asked(entered) == [7]
    entered.partner = world.other_partner()
    assert asked(entered) == [5]


def test_whoever_is_not_identified_has_the_limits_of_everyone() -> None:
    entered = World().exchange()
    assert entered.partner is None
    assert asked(entered) == [5]


def test_partners_of_two_tiers_that_count_together_have_one_bucket() -> None:
    keys = set()
    for partner in (world.partner(), world.other_partner()):
        entered, answers = World().exchange(), Answers()
        entered.partner = partner
        check(RATES, entered, answers)
        (ask,) = answers.asked
        assert isinstance(ask, TakeRate)
        keys.add(ask.takes[0].key)
    assert len(keys) == 1


def test_a_partners_counters_are_those_of_every_tier_it_may_have_been_in() -> None:
    def one(name: str, *by: Dimension) -> RateLimits:
        return RateLimits((RouteLimit(RateLimit(name, 5, 1, sliding=True), by),))

    rates = PartnerRates(one("a", "partner"), {"gold": one("b", "partner")}, {"x": one("c", "partner", "address")})
    both = (
        world.route(chain=world.chain(rate_limit=rates)),
        world.route(name="other", match=Match(frozenset({"GET"}), "/v1/x"), chain=world.chain()),
    )
    policy = world.policy(*both)
    mixed, plain = counters_of(policy, world.PARTNER)
    assert [take.key for take in mixed.takes] == [(policy.name, both[0].name, name, world.PARTNER) for name in "ab"]
    assert (mixed.mixed, plain.mixed, plain.route, len(plain.takes)) == (True, False, "other", 1)
    assert [each.route for each in counters_of(policy, world.PARTNER, ("other",))] == ["other"]
    assert counters_of(policy, "nobody") == []


def test_what_counts_by_partner_and_something_else_says_whose_it_is() -> None:
    entered, answers = World().exchange(), Answers()
    entered.partner = world.partner()
    limit = RateLimit("x", 5, 1, sliding=True)
    limits = [RouteLimit(replace(limit, name=f"{by}"), by) for by in _BY]
    check(RateLimits(tuple(limits)), entered, answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    assert [take.whose for take in ask.takes] == [None, world.PARTNER, None]


_BY: tuple[tuple[Dimension, ...], ...] = (("partner",), ("address", "partner"), ("address",))
