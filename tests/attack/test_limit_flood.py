"""Whoever invents keys, players and addresses is throttled before anything is remembered of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit
from gateway.core.reasons import Reason
from gateway.core.stores import StateSettings
from gateway.state.money import Money
from tests import world
from tests.engine.harness import running
from tests.engine.money import debit, idempotency, velocity

RATES = RateLimits((RouteLimit(RateLimit("partner-1h", 20, 3_600, sliding=False), ("partner",)),))
CHAIN = (*world.chain(rate_limit=RATES), idempotency(), velocity())


async def test_a_partner_that_invents_keys_is_throttled_before_they_are_remembered(tmp_path: Path) -> None:
    async with running(tmp_path, route={"chain": CHAIN}, state=StateSettings(keys=50, counters=100)) as up:
        answers = [await up.send(debit(number, f"op-{number}", player=f"p-{number}")) for number in range(60)]

        assert [answer.status for answer in answers] == [200] * 20 + [429] * 40
        assert {answer.code for answer in answers[20:]} == {"rate.exceeded"}
        assert len(up.upstream.requests) == 20
        money = up.state._money
        assert isinstance(money, Money)
        assert (len(money._keys), len(money._sums)) == (20, 40)  # nothing of those that were throttled


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("x" * 10_000_000, "http.head_too_large"),
        ("x" * 257, "idempotency.key_invalid"),
        ("caf\u00e9", "idempotency.key_invalid"),  # as latin-1, and below as UTF-8, composed and decomposed
        ("cafe\u0301".encode().decode("latin-1"), "idempotency.key_invalid"),
        ("caf\u00e9".encode().decode("latin-1"), "idempotency.key_invalid"),
        ("op\u00a01", "idempotency.key_invalid"),
        ("op\u00ad1", "idempotency.key_invalid"),
    ],
)
async def test_a_key_without_end_or_with_many_forms_is_refused_in_a_field_too(
    tmp_path: Path, key: str, code: str
) -> None:
    async with running(tmp_path, route={"chain": (*world.chain(), idempotency())}) as up:
        assert (await up.send(debit(1, key))).code == code
        assert up.upstream.untouched


async def test_currencies_are_counted_apart(tmp_path: Path) -> None:
    both = velocity(replace(velocity().limits[0], sums={"EUR": 5_000, "SEK": 7_000}), digits={"EUR": 2, "SEK": 2})
    async with running(tmp_path, route={"chain": (*world.chain(), both)}) as up:
        story = [("EUR", 5_000), ("SEK", 6_000), ("EUR", 1), ("SEK", 1_001), ("SEK", 1_000), ("SEK", 1)]
        answers = [
            await up.send(debit(number, None, currency=currency, amount=amount))
            for number, (currency, amount) in enumerate(story)
        ]
        assert [answer.status for answer in answers] == [200, 200, 403, 403, 200, 403]
        assert up.decided.count(Reason.VELOCITY_EXCEEDED) == 3
