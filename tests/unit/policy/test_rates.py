import pytest

from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RouteLimit
from gateway.core.chain import RateLimit
from gateway.policy.rates import read_rates
from tests.policy.reading import node, problems, reader


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("50/second per partner", RouteLimit(RateLimit("partner-1s", 50, 1, True), ("partner",))),
        ("5/minute per token.sub", RouteLimit(RateLimit("token.sub-60s", 5, 60, True), ("token.sub",))),
        ("1_000/hour per route", RouteLimit(RateLimit("route-3600s", 1_000, 3_600, True), ("route",))),
        ("2/day per address", RouteLimit(RateLimit("address-86400s", 2, 86_400, True), ("address",))),
        (
            "100 per 10s per partner, address",
            RouteLimit(RateLimit("partner-address-10s", 100, 10, True), ("partner", "address")),
        ),
        (
            "100/10m per partner,address",
            RouteLimit(RateLimit("partner-address-600s", 100, 600, True), ("partner", "address")),
        ),
        ("100 per minute per partner", RouteLimit(RateLimit("partner-60s", 100, 60, True), ("partner",))),
        (
            "{limit: 50/second, per: partner}",
            RouteLimit(RateLimit("partner-1s", 50, 1, True), ("partner",)),
        ),
        (
            "{limit: 50 per 2s, per: [partner, token.sub], window: fixed, name: burst}",
            RouteLimit(RateLimit("burst", 50, 2, False), ("partner", "token.sub")),
        ),
        (
            "{limit: 50/second, per: partner, cost: 20}",
            RouteLimit(RateLimit("partner-1s", 50, 1, True), ("partner",), 20),
        ),
        (
            "{limit: 50/second, per: partner, burst: 200, cost: 100}",
            RouteLimit(RateLimit("partner-1s", 50, 1, False, burst=200), ("partner",), 100),
        ),
        (
            "100_000/calendar-day per partner",
            RouteLimit(RateLimit("partner-calendar-day", 100_000, 86_400, False, "day"), ("partner",)),
        ),
        (
            "100 per calendar-month per partner, address",
            RouteLimit(
                RateLimit("partner-address-calendar-month", 100, 31 * 86_400, False, "month"), ("partner", "address")
            ),
        ),
        (
            "{limit: 9/calendar-month, per: partner, name: quota, cost: 2}",
            RouteLimit(RateLimit("quota", 9, 31 * 86_400, False, "month"), ("partner",), 2),
        ),
    ],
)
def test_limits(text: str, limit: RouteLimit) -> None:
    used = reader()
    written = text if text.startswith("{") else f"'{text}'"
    rates = read_rates(used, node(f"[{written}]"))
    assert used.problems == []
    assert rates is not None
    assert rates.limits == (limit,)


@pytest.mark.parametrize(
    "text",
    [
        "50/second",
        "per partner",
        "50 per partner",
        "/second per partner",
        "50//second per partner",
        "50/second/minute per partner",
        "50/second per",
        "50/second per partner and address",
        "50/second per partner,",
        "50/month per partner",
        "50/calendar-week per partner",
        "50/calendar-day",
        "50/seconds per partner",
        "50/0s per partner",
        "50/1500ms per partner",
        "50/32d per partner",
        "0/second per partner",
        "5.5/second per partner",
        "٣/second per partner",
        "9999999999999999/second per partner",
    ],
)
def test_what_is_no_limit(text: str) -> None:
    used = reader()
    assert read_rates(used, node(f"['{text}']")) is None
    assert len(used.problems) == 1


def test_two_limits_of_one_kind_need_names() -> None:
    used = reader()
    assert read_rates(used, node("[50/second per partner, 20/1s per partner]")) is None
    assert problems(used) == [
        "p.yaml:1:25: [1]: a second limit `partner-1s` on this route (first in line 1; give one a `name`)"
    ]


def test_a_name_tells_them_apart() -> None:
    rates = read_rates(reader(), node("[50/second per partner, {limit: 20/second, per: partner, name: slow}]"))
    assert rates is not None
    assert [each.limit.name for each in rates.limits] == ["partner-1s", "slow"]


def test_every_fault_of_a_list_is_told() -> None:
    used = reader()
    assert read_rates(used, node("[a, 50/second per partner, {limit: b, per: c}]")) is None
    assert len(used.problems) == 3


def test_a_window_of_the_calendar_is_of_no_other_kind() -> None:
    used = reader()
    assert read_rates(used, node("[{limit: 9/calendar-day, per: partner, window: fixed}]")) is None
    assert problems(used) == [
        "p.yaml:1:48: [0].window: a window of the calendar is neither sliding nor fixed (remove it)"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{limit: 9/calendar-day, per: partner, burst: 5}", "[0].burst: a quota of the calendar has no burst"),
        ("{limit: 9/day, per: partner, burst: 5, window: fixed}", "[0].window: a limit with a burst has no window"),
        (
            "{limit: 9/day, per: partner, burst: 0}",
            "[0].burst: `0` does not fit (expected a whole number from 1 to 1,000,000,000)",
        ),
        (
            "{limit: 9/day, per: partner, burst: 2, cost: 3}",
            "[0].cost: `3` does not fit (expected a whole number from 1 to 2)",
        ),
    ],
)
def test_a_burst_is_of_a_steady_rate_and_holds_each_request(text: str, said: str) -> None:
    used = reader()
    assert read_rates(used, node(f"[{text}]")) is None
    (problem,) = problems(used)
    assert said in problem


@pytest.mark.parametrize("cost", ["0", "51", "x", "1.5", "'1'"])
def test_a_cost_is_no_more_than_the_limit_holds(cost: str) -> None:
    used = reader()
    read_rates(used, node(f"[{{limit: 50/second, per: partner, cost: {cost}}}]"))
    (said,) = problems(used)
    assert "a whole number from 1 to 50" in said


def test_a_cost_from_a_field() -> None:
    used = reader()
    rates = read_rates(used, node("[{limit: 50/second, per: partner, cost: {header: X-Cost, most: 20}}]"))
    assert problems(used) == []
    assert isinstance(rates, PricedRates)
    assert (rates.limits[0].cost, dict(rates.prices)) == (20, {"partner-1s": "x-cost"})


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ("{header: X-Cost}", "`most` is missing"),
        ("{most: 5}", "`header` is missing"),
        ("{header: X-Cost, most: 51}", "a whole number from 1 to 50"),
        ("{header: 'X Cost', most: 5}", "`X Cost`"),
    ],
)
def test_a_cost_from_a_field_that_cannot_be_understood(cost: str, said: str) -> None:
    used = reader()
    assert read_rates(used, node(f"[{{limit: 50/second, per: partner, cost: {cost}}}]")) is None
    (problem,) = problems(used)
    assert said in problem
