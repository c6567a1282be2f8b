from gateway.controls.partner_rates import PartnerRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit, TakeRate
from gateway.core.exchange import Exchange
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
