from dataclasses import replace

import pytest

from gateway.controls.charged_rates import ANSWER_BYTES, AnswerCost, ChargedRates, HeldCost, charged
from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit, TakeRate
from gateway.core.document import Pointer
from gateway.core.exchange import Exchange
from gateway.core.holds import Charge, Ended, StoredAnswer
from gateway.core.reasons import Denied
from tests import world
from tests.world import Answers, World, check

UNITS = RouteLimit(RateLimit("units", 500, 60, sliding=True), ("partner",), 2)
REQUESTS = RouteLimit(RateLimit("requests", 50, 60, sliding=True), ("partner",))
IN_FIELD = AnswerCost(50, "x-cost")
IN_BODY = AnswerCost(50, pointer=Pointer("/usage/units"))
BY_STATUS = AnswerCost(20, statuses={404: 3, 500: 20, 204: 1})


def held(cost: AnswerCost, limits: tuple[RouteLimit, ...] = (UNITS, REQUESTS)) -> HeldCost:
    entered = World().exchange()
    entered.partner = world.partner()
    check(ChargedRates(limits, {}, {"units": cost}), entered)
    (hold,) = entered.holds
    assert isinstance(hold, HeldCost)
    return hold


def more(cost: AnswerCost, ended: Ended) -> int:
    """Give what is taken beside the two that were taken at first."""
    charge = held(cost).settle(ended)
    if charge is None:
        return 0
    assert isinstance(charge, Charge)
    (take,) = charge.takes
    assert take.limit.name == "units"
    return take.cost


def answer(body: bytes) -> Ended:
    return Ended(True, 200, StoredAnswer(200, (), body))


def fields(*values: str) -> Ended:
    return Ended(True, 200, None, tuple(("x-cost", value) for value in values))


def test_the_least_is_taken_before_the_request_is_forwarded() -> None:
    entered, answers = World().exchange(), Answers()
    entered.partner = world.partner()
    check(ChargedRates((UNITS, REQUESTS), {}, {"units": IN_FIELD}), entered, answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    assert [take.cost for take in ask.takes] == [2, 1]


@pytest.mark.parametrize(
    ("ended", "taken"),
    [
        (fields("7"), 5),
        (fields("50"), 48),
        (fields("2"), 0),
        (fields("1"), 0),
        (fields("0"), 0),
        (fields(), 48),
        (fields("51"), 48),
        (fields("7", "7"), 48),
        (fields("7, 7"), 48),
        (fields("-1"), 48),
        (fields("1.5"), 48),
        (fields("1e1"), 48),
        (fields("٣"), 48),
        (fields("07"), 48),
        (fields(""), 48),
        (fields("9" * 5_000), 48),
        (Ended(sent=True), 48),
        (Ended(sent=False), 0),
    ],
)
def test_a_field_says_what_is_taken_beside_and_nothing_said_is_the_most(ended: Ended, taken: int) -> None:
    assert more(IN_FIELD, ended) == taken


@pytest.mark.parametrize(
    ("ended", "taken"),
    [
        (answer(b'{"usage": {"units": 9}}'), 7),
        (answer(b'{"usage": {"units": "9"}}'), 7),
        (answer(b'{"usage": {"units": 9.0}}'), 48),
        (answer(b'{"usage": {"units": true}}'), 48),
        (answer(b'{"usage": {"units": [9]}}'), 48),
        (answer(b'{"usage": {"units": 9, "UNITS": 1}}'), 48),
        (answer(b'{"usage": 9}'), 48),
        (answer(b'{"usage": {"units": NaN}}'), 48),
        (answer(b"\x1f\x8b gzip"), 48),
        (answer(b""), 48),
        (Ended(True, 200), 48),
        (Ended(sent=False), 0),
    ],
)
def test_a_value_of_the_answer_says_it_likewise(ended: Ended, taken: int) -> None:
    assert more(IN_BODY, ended) == taken


@pytest.mark.parametrize(
    ("ended", "taken"),
    [
        (Ended(True, 404), 1),
        (Ended(True, 500), 18),
        (Ended(True, 204), 0),
        (Ended(True, 200), 0),
        (Ended(sent=True), 18),
        (Ended(sent=False), 0),
    ],
)
def test_a_status_says_it_likewise_and_others_cost_the_least(ended: Ended, taken: int) -> None:
    assert more(BY_STATUS, ended) == taken


def test_of_the_answer_is_kept_what_the_cost_stands_in() -> None:
    told = [(held(cost).wants, held(cost).fields) for cost in (IN_FIELD, IN_BODY, BY_STATUS)]
    assert told == [(None, frozenset({"x-cost"})), (ANSWER_BYTES, frozenset()), (None, frozenset())]


def test_a_request_that_is_refused_holds_nothing() -> None:
    entered = Exchange(world.policy(), world.peer(), World().head(), world.NOW)
    with pytest.raises(Denied):
        check(ChargedRates((UNITS,), {}, {"units": IN_FIELD}), entered)  # nobody was identified
    assert entered.holds == ()


def test_the_caller_may_state_one_cost_and_the_answer_another() -> None:
    entered, answers = World(fields={"x-price": "9"}).exchange(), Answers()
    entered.partner = world.partner()
    dear = replace(REQUESTS, cost=10)
    check(ChargedRates((UNITS, dear), {"requests": "x-price"}, {"units": IN_FIELD}), entered, answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    assert [take.cost for take in ask.takes] == [2, 9]
    (hold,) = entered.holds
    charge = hold.settle(fields("9"))
    assert isinstance(charge, Charge)
    assert [(take.limit.name, take.cost) for take in charge.takes] == [("units", 7)]


def test_limits_without_charges_stay_as_they_are() -> None:
    plain = RateLimits((UNITS,))
    assert charged(plain, {}) is plain
    made = charged(PricedRates((UNITS, REQUESTS), {"requests": "x"}), {"units": IN_FIELD})
    assert isinstance(made, ChargedRates)
    assert (made.prices, made.charges) == ({"requests": "x"}, {"units": IN_FIELD})
