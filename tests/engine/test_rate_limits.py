"""A limit that is reached, from a client's side."""

from pathlib import Path

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
