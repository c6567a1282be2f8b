import pytest

from gateway.controls.priced_rates import PricedRates, priced
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit, TakeRate
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import Answers, World, check

LIMITS = RateLimits(
    (
        RouteLimit(RateLimit("units", 500, 60, sliding=True), ("partner",), 20),
        RouteLimit(RateLimit("requests", 50, 60, sliding=True), ("partner",)),
    )
)
RATES = PricedRates(LIMITS.limits, {"units": "x-cost"})


def costs(*stated: str) -> list[int]:
    entered, answers = World(extra=[("x-cost", value) for value in stated]).exchange(), Answers()
    entered.partner = world.partner()
    check(RATES, entered, answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    return [take.cost for take in ask.takes]


def test_a_request_takes_what_its_field_says() -> None:
    assert (costs("1"), costs("20"), costs("07")) == ([1, 1], [20, 1], [7, 1])


def test_a_request_that_states_nothing_takes_the_most() -> None:
    assert costs() == [20, 1]


@pytest.mark.parametrize("stated", ["0", "21", "-1", "+1", "1.0", "1e1", "", "x", "1" * 40, "\xb2"])
def test_what_is_no_cost_is_refused(stated: str) -> None:
    with pytest.raises(Denied) as caught:
        costs(stated)
    assert caught.value.reason is Reason.RATE_COST
    assert caught.value.detail == "x-cost is no whole number from 1 to 20"


def test_a_cost_that_is_stated_twice_is_refused() -> None:
    with pytest.raises(Denied) as caught:
        costs("1", "1")
    assert caught.value.reason is Reason.FIELD_REPEATED


def test_limits_without_prices_stay_what_they_are() -> None:
    assert priced(LIMITS, {}) is LIMITS
    assert isinstance(priced(LIMITS, {"units": "x-cost"}), PricedRates)


def test_the_same_costs_are_asked_for_by_the_same_ask() -> None:
    asked = []
    for stated in ("3", "3", "4"):
        entered, answers = World(extra=[("x-cost", stated)]).exchange(), Answers()
        entered.partner = world.partner()
        check(RATES, entered, answers)
        asked += answers.asked
    assert asked[0] is asked[1]
    assert asked[0] != asked[2]
