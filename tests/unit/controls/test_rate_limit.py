from collections.abc import Callable
from ipaddress import ip_address

import pytest

from gateway.controls.rate_limit import Dimension, RateLimits, RouteLimit
from gateway.core.chain import RateLimit, RateState, RateTaken, TakeRate
from gateway.core.exchange import Exchange
from gateway.core.facts import Claims
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason, Unavailable
from tests import world
from tests.world import NOW, Answers, World, check

BURST = RateLimit("burst", 50, 1, sliding=False)
DAILY = RateLimit("daily", 1000, 86_400, sliding=True)
LIMITS = RateLimits((RouteLimit(BURST, ("partner",)), RouteLimit(DAILY, ("partner",))))


def exchange() -> Exchange:
    entered = World().exchange()
    entered.partner = world.partner()
    entered.claims = Claims(
        "operator", "user/1", None, frozenset(), Instant(NOW - 1), Instant(NOW + 1), {"sub": "user/1"}
    )
    return entered


def states(*states: tuple[RateLimit, bool, int, float]) -> Callable[[TakeRate], RateTaken]:
    made = tuple(RateState(*state) for state in states)
    return lambda _: RateTaken(all(state.allowed for state in made), made)


def answered(*given: tuple[RateLimit, bool, int, float], limits: RateLimits = LIMITS) -> tuple[Exchange, Denied | None]:
    entered = exchange()
    try:
        check(limits, entered, Answers({TakeRate: states(*given)}))
    except Denied as denied:
        return entered, denied
    return entered, None


def bucket(*by: Dimension, entered: Exchange | None = None, limit: RateLimit = BURST) -> tuple[str, ...]:
    answers = Answers()
    check(RateLimits((RouteLimit(limit, by),)), entered or exchange(), answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    return ask.takes[0].key


def test_every_limit_is_asked_for_at_once() -> None:
    answers = Answers()
    check(LIMITS, exchange(), answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    assert [(take.limit, take.cost) for take in ask.takes] == [(BURST, 1), (DAILY, 1)]


def test_a_request_takes_what_it_costs() -> None:
    answers = Answers()
    check(RateLimits((RouteLimit(BURST, ("partner",), 20), RouteLimit(DAILY, ("partner",)))), exchange(), answers)
    (ask,) = answers.asked
    assert isinstance(ask, TakeRate)
    assert [(take.limit, take.cost) for take in ask.takes] == [(BURST, 20), (DAILY, 1)]


@pytest.mark.parametrize("cost", [0, -1, 51])
def test_a_cost_that_no_request_could_pay_is_a_fault(cost: int) -> None:
    with pytest.raises(ValueError, match="no more than the limit holds"):
        RateLimits((RouteLimit(BURST, ("partner",), cost),))
    with pytest.raises(ValueError, match="no more than the limit holds"):
        RateLimits((RouteLimit(RateLimit("b", 500, 1, sliding=False, burst=50), ("partner",), cost),))


# Fields


def test_an_allowed_request_learns_every_limit_and_where_it_stands() -> None:
    entered, denied = answered((BURST, True, 49, 0.3), (DAILY, True, 999, 80_000.5))
    assert denied is None
    assert entered.response_fields == [
        ("ratelimit-policy", '"burst";q=50;w=1, "daily";q=1000;w=86400'),
        ("ratelimit", '"burst";r=49;t=1, "daily";r=999;t=80001'),
    ]


def test_a_refused_request_learns_which_limit_it_reached() -> None:
    entered, denied = answered((BURST, False, 0, 0.3), (DAILY, True, 999, 80_000.0))
    assert denied is not None
    assert (denied.reason, denied.detail) == (Reason.RATE_EXCEEDED, "limit burst is reached; the next is taken in 1 s")
    assert dict(entered.response_fields)["ratelimit"] == '"burst";r=0;t=1'
    assert dict(entered.response_fields)["ratelimit-policy"] == '"burst";q=50;w=1, "daily";q=1000;w=86400'


@pytest.mark.parametrize(("seconds", "wait"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (59.5, "60")])
def test_retry_after_is_rounded_up_and_at_least_one_second(seconds: float, wait: str) -> None:
    _, denied = answered((BURST, True, 9, 0.0), (DAILY, False, 0, seconds))
    assert denied is not None
    assert denied.fields == (("retry-after", wait),)


def test_retry_after_waits_for_every_limit_that_was_reached() -> None:
    entered, denied = answered((BURST, False, 0, 0.5), (DAILY, False, 0, 4000.0))
    assert denied is not None
    assert denied.fields == (("retry-after", "4000"),)
    assert denied.detail == "limit burst, daily is reached; the next is taken in 4000 s"
    assert dict(entered.response_fields)["ratelimit"] == '"burst";r=0;t=1, "daily";r=0;t=4000'


def test_no_window_is_told_that_is_longer_than_the_limits_own() -> None:
    entered, _ = answered((BURST, True, -3, 17.0), (DAILY, True, 1, 2e6))
    assert dict(entered.response_fields)["ratelimit"] == '"burst";r=0;t=1, "daily";r=1;t=86400'


def test_a_burst_is_told_and_how_long_a_costly_request_waits_for_it() -> None:
    steady = RateLimit("steady", 5, 10, sliding=False, burst=30)
    limits = RateLimits((RouteLimit(steady, ("partner",), 25),))
    entered, denied = answered((steady, False, 5, 40.0), limits=limits)
    assert denied is not None
    assert denied.fields == (("retry-after", "40"),)
    assert dict(entered.response_fields) == {
        "ratelimit-policy": '"steady";q=5;w=10;burst=30',
        "ratelimit": '"steady";r=5;t=40',
    }


@pytest.mark.parametrize(
    ("name", "written"),
    [('say "hi"', r'"say \"hi\""'), ("back\\slash", r'"back\\slash"'), ("50/s für €", '"50/s f%C3%BCr %E2%82%AC"')],
)
def test_names_are_written_as_structured_field_strings(name: str, written: str) -> None:
    limits = RateLimits((RouteLimit(RateLimit(name, 5, 60, sliding=False), ()),))
    entered, _ = answered((RateLimit(name, 5, 60, sliding=False), True, 4, 60.0), limits=limits)
    assert entered.response_fields == [
        ("ratelimit-policy", f"{written};q=5;w=60"),
        ("ratelimit", f"{written};r=4;t=60"),
    ]


# Answers that do not fit


def test_a_refusal_that_names_no_limit_still_refuses() -> None:
    given = RateTaken(False, (RateState(BURST, True, 1, 0.0), RateState(DAILY, True, 1, 0.0)))
    with pytest.raises(Denied) as caught:
        check(LIMITS, exchange(), Answers({TakeRate: lambda _: given}))
    assert (caught.value.reason, caught.value.fields) == (Reason.RATE_EXCEEDED, (("retry-after", "1"),))


def test_an_allow_with_a_limit_that_was_reached_refuses() -> None:
    given = RateTaken(True, (RateState(BURST, True, 1, 0.0), RateState(DAILY, False, 0, 9.0)))
    with pytest.raises(Denied) as caught:
        check(LIMITS, exchange(), Answers({TakeRate: lambda _: given}))
    assert caught.value.reason is Reason.RATE_EXCEEDED


def test_an_answer_for_fewer_limits_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="asked for 2 limits, answered for 1"):
        answered((BURST, True, 1, 0.0))


def test_a_store_that_fails_denies() -> None:
    answers = Answers({TakeRate: world.raising(Unavailable(Reason.STATE_UNAVAILABLE))})
    assert World(answers=answers).decide().reason is Reason.STATE_UNAVAILABLE


# Buckets


def test_a_bucket_belongs_to_policy_route_and_limit() -> None:
    assert bucket() == ("psp", "deposit", "burst")


@pytest.mark.parametrize(
    ("dimension", "value"),
    [("partner", world.PARTNER), ("address", "198.51.100.7"), ("token.sub", "user/1"), ("route", "")],
)
def test_a_dimension_divides_the_bucket(dimension: Dimension, value: str) -> None:
    assert bucket(dimension) == ("psp", "deposit", "burst", value)


def test_dimensions_are_combined() -> None:
    assert bucket("partner", "token.sub") == ("psp", "deposit", "burst", world.PARTNER, "user/1")


def by_address(text: str) -> tuple[str, ...]:
    entered = exchange()
    entered.client_address = ip_address(text)
    return bucket("address", entered=entered)


def test_an_ipv6_caller_is_counted_by_its_network() -> None:
    assert by_address("2001:db8::1") == by_address("2001:db8::ffff:2:1")
    assert by_address("2001:db8::1") != by_address("2001:db8:0:1::1")


def test_an_ipv4_caller_is_counted_by_its_address() -> None:
    assert by_address("192.0.2.1") != by_address("192.0.2.2")


def test_a_limit_per_partner_refuses_a_caller_that_nobody_identified() -> None:
    entered = exchange()
    entered.partner = None
    with pytest.raises(Denied) as caught:
        bucket("partner", entered=entered)
    assert caught.value.reason is Reason.PARTNER_UNKNOWN


def test_a_limit_per_subject_refuses_a_caller_without_token() -> None:
    entered = exchange()
    entered.claims = None
    with pytest.raises(Denied) as caught:
        bucket("token.sub", entered=entered)
    assert caught.value.reason is Reason.TOKEN_MISSING
    assert caught.value.fields == (("www-authenticate", 'Bearer realm="gateway"'),)


@pytest.mark.parametrize("limits", [(), (RouteLimit(BURST, ()), RouteLimit(BURST, ("partner",)))])
def test_limits_are_there_and_have_names_of_their_own(limits: tuple[RouteLimit, ...]) -> None:
    with pytest.raises(ValueError, match="each by a name of its own"):
        RateLimits(limits)
