"""A limit that is reached, from a client's side."""

from pathlib import Path

from gateway.controls.partner_rates import PartnerRates
from gateway.controls.priced_rates import PricedRates
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import get, running


async def test_a_request_beyond_its_limit_is_refused_and_told_how_long_to_wait(tmp_path: Path) -> None:
    limits = RateLimits((RouteLimit(RateLimit("two", 2, 60, sliding=True), ("partner",)),))
    chain = world.chain(signature=None, replay=None, rate_limit=limits)
    async with running(tmp_path, route={"chain": chain}) as up:
        answers = [await up.send(get()) for _ in range(3)]

        assert [answer.status for answer in answers] == [200, 200, 429]
        refused = answers[2]
        assert refused.code == "rate.exceeded"
        assert 1 <= int(refused.fields["retry-after"]) <= 61  # all of the window, and rounded up
        assert refused.fields["ratelimit-policy"] == '"two";q=2;w=60'
        assert [answer.fields["ratelimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
        assert len(up.upstream.requests) == 2
        assert up.decided == [Reason.ALLOWED, Reason.ALLOWED, Reason.RATE_EXCEEDED]


async def test_a_partner_has_the_limits_of_its_tier(tmp_path: Path) -> None:
    def limits(amount: int) -> RateLimits:
        return RateLimits((RouteLimit(RateLimit("many", amount, 60, sliding=True), ("partner",)),))

    rates = PartnerRates(limits(9), {"bronze": limits(1)}, {world.PARTNER: limits(1)})
    chain = world.chain(signature=None, replay=None, rate_limit=rates)
    async with running(tmp_path, route={"chain": chain}) as up:
        answers = [await up.send(get()) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert answers[0].fields["ratelimit-policy"] == '"many";q=1;w=60'
        assert up.decided == [Reason.ALLOWED, Reason.RATE_EXCEEDED]


async def test_a_burst_passes_at_once_and_then_the_rate_is_steady(tmp_path: Path) -> None:
    steady = RateLimit("steady", 1, 3_600, sliding=False, burst=3)
    chain = world.chain(signature=None, replay=None, rate_limit=RateLimits((RouteLimit(steady, ("partner",)),)))
    async with running(tmp_path, route={"chain": chain}) as up:
        answers = [await up.send(get()) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert {answer.fields["ratelimit-policy"] for answer in answers} == {'"steady";q=1;w=3600;burst=3'}
        assert [answer.fields["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
        assert 3_590 <= int(answers[3].fields["retry-after"]) <= 3_600


async def test_a_quota_of_the_month_is_told_and_kept(tmp_path: Path) -> None:
    quota = RateLimit("partner-calendar-month", 1, 31 * 86_400, sliding=False, calendar="month")
    limits = RateLimits((RouteLimit(quota, ("partner",)),))
    chain = world.chain(signature=None, replay=None, rate_limit=limits)
    async with running(tmp_path, route={"chain": chain}) as up:
        answers = [await up.send(get()) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert answers[1].fields["ratelimit-policy"] == '"partner-calendar-month";q=1;w=2678400'
        assert 1 <= int(answers[1].fields["retry-after"]) <= 2_678_400
        assert up.decided == [Reason.ALLOWED, Reason.RATE_EXCEEDED]


async def test_a_request_without_its_cost_takes_the_most(tmp_path: Path) -> None:
    limit = RouteLimit(RateLimit("units", 10, 3_600, sliding=False), ("partner",), 6)
    chain = world.chain(signature=None, replay=None, rate_limit=PricedRates((limit,), {"units": "x-cost"}))
    async with running(tmp_path, route={"chain": chain}) as up:
        answers = [await up.send(get()) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert answers[0].fields["ratelimit"].split(";")[1] == "r=4"


async def test_a_cost_that_is_none_is_refused(tmp_path: Path) -> None:
    units = RouteLimit(RateLimit("units", 500, 60, sliding=True), ("partner",), 20)
    chain = world.chain(signature=None, replay=None, rate_limit=PricedRates((units,), {"units": "x-cost"}))
    async with running(tmp_path, route={"chain": chain}) as up:
        refused = await up.send(get(x_cost="21"))

        assert (refused.status, refused.code) == (400, "rate.cost")
        assert up.decided == [Reason.RATE_COST]
        assert up.upstream.untouched
