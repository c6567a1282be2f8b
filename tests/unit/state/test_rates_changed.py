"""Rates that are charged afterwards, or begin anew."""

from dataclasses import replace

import pytest

from gateway.core.chain import RateLimit, RateTaken, Take, TakeRate
from gateway.core.counters import PartnerCounters
from gateway.state.rates import Rates
from tests.unit.state.test_rates import DAILY, Clock, clock, limit, steady, take

__all__ = ["clock"]


# What a request turned out to cost


@pytest.mark.parametrize("kind", [limit(amount=5), limit(amount=5, sliding=True), steady(5), replace(DAILY, amount=5)])
def test_a_charge_is_taken_whether_it_fits_or_not(clock: Clock, kind: RateLimit) -> None:
    rates = Rates()
    first = take(rates, clock, kind)
    assert first.states[0].remaining == 4
    owed = Take(kind, ("acme", kind.name), 2)
    rates.charge((owed,), clock.now)
    assert take(rates, clock, kind).states[0].remaining == 1
    rates.charge((owed._replace(cost=7),), clock.now)
    refused = take(rates, clock, kind)
    assert (refused.allowed, refused.states[0].remaining) == (False, 0)
    clock.forward(refused.states[0].reset_after)
    assert take(rates, clock, kind).allowed


def test_a_burst_that_owes_takes_nothing_until_it_has_paid(clock: Clock) -> None:
    rates = Rates()
    take(rates, clock, steady())
    rates.charge((Take(steady(), ("acme", "steady"), 8),), clock.now)
    assert take(rates, clock, steady()).states[0].reset_after == 70


# Beginning anew


def test_a_partners_counters_begin_anew_whatever_they_count_by_and_no_others(clock: Clock) -> None:
    rates = Rates()
    kinds = [limit(), limit(sliding=True), steady(), DAILY]
    kinds = [replace(one, name=f"{at}", amount=3, burst=one.burst and 3) for at, one in enumerate(kinds)]

    def ask(partner: str, route: str = "deposit") -> RateTaken:
        alone = [Take(one, ("psp", route, one.name, partner)) for one in kinds]
        mixed = [
            Take(replace(one, name=f"m{one.name}"), ("psp", route, f"m{one.name}", partner, "192.0.2.1"), 1, partner)
            for one in kinds
        ]
        return rates.take(TakeRate((*alone, *mixed)), clock.now)

    for who in (("acme",), ("blue",), ("acme", "other")):
        assert [ask(*who).allowed for _ in range(4)] == [True, True, True, False]
    mine = tuple(Take(one, ("psp", "deposit", one.name, "acme")) for one in kinds)
    assert rates.forget([PartnerCounters("psp", "deposit", "acme", mine, mixed=True)]) == 8
    assert [state.remaining for state in ask("acme").states] == [2] * 8
    assert not ask("blue").allowed
    assert not ask("acme", "other").allowed
    clock.forward(200)
    assert ask("blue").states[0].allowed  # what is let go of later does not trip over what has gone


def test_a_bucket_that_there_is_no_room_to_count_is_not_used(clock: Clock) -> None:
    rates = Rates(max_counters=1)
    take(rates, clock, steady())
    mine, others = (Take(steady(), (who, "steady")) for who in ("acme", "blue"))
    assert (rates.used(mine, clock.now), rates.used(others, clock.now)) == (1, 0)
