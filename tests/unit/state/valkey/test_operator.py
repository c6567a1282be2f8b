import asyncio
from dataclasses import replace

import pytest

from gateway.core.chain import RateLimit, Take, TakeRate
from gateway.core.counters import PartnerCounters
from gateway.core.holds import Enter, Leave
from gateway.core.reasons import Reason, Unavailable
from gateway.state.valkey.operator import KEYS
from tests.engine.harness import until
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server
from tests.world import NOW

LIMIT = RateLimit("few", 3, 60, sliding=True)
QUOTA = RateLimit("quota", 3, 86_400, sliding=False, calendar="day")
STEADY = RateLimit("steady", 3, 60, sliding=False, burst=3)
ENTER = Enter("acme", "psp", "deposit", 5, 60)


def alone(partner: str, route: str = "deposit") -> tuple[Take, ...]:
    return tuple(Take(each, ("psp", route, each.name, partner)) for each in (LIMIT, QUOTA, STEADY))


def mixed(partner: str, address: str) -> Take:
    limit = replace(LIMIT, name="mixed")
    return Take(limit, ("psp", "deposit", "mixed", partner, address), 1, partner)


def counters(partner: str = "acme", route: str = "deposit") -> PartnerCounters:
    return PartnerCounters("psp", route, partner, alone(partner, route), mixed=route == "deposit")


async def used(gate: Gate, *takes: Take) -> list[int]:
    return await gate.state.operator.look(takes)


async def test_a_partners_counters_begin_anew_and_no_others(gate: Gate) -> None:
    for partner in ("acme", "blue"):
        for address in ("192.0.2.1", "192.0.2.2"):
            assert (await gate.state.take(TakeRate((*alone(partner), mixed(partner, address))), NOW)).allowed
    await gate.state.take(TakeRate(alone("acme", "other")), NOW)
    assert await gate.state.operator.forget(counters()) == 5
    assert await used(gate, *alone("acme"), mixed("acme", "192.0.2.1")) == [0, 0, 0, 0]
    assert await used(gate, *alone("blue"), mixed("blue", "192.0.2.1")) == [2, 2, 2, 1]
    assert await used(gate, *alone("acme", "other")) == [1, 1, 1]
    assert await gate.state.operator.forget(counters(route="other")) == 3
    assert await gate.state.operator.forget(counters()) == 0


async def test_very_many_are_found(gate: Gate) -> None:
    takes = [mixed("acme", f"{number}") for number in range(3 * KEYS)]
    await asyncio.gather(*(gate.state.take(TakeRate((take,)), NOW) for take in takes))
    assert await gate.state.operator.forget(counters()) == 3 * KEYS


async def test_requests_in_flight_are_counted_while_their_lease_lasts(gate: Gate, server: Server) -> None:
    assert await gate.state.operator.in_flight(ENTER) == 0
    first = await gate.state.enter(ENTER, NOW)
    await gate.state.enter(ENTER, NOW)
    assert await gate.state.operator.in_flight(ENTER) == 2
    await gate.state.settle(Leave(ENTER, first.token), NOW)
    assert await gate.state.operator.in_flight(ENTER) == 1
    server.set_clock(NOW + 60)
    assert await gate.state.operator.in_flight(ENTER) == 0


async def test_without_the_store_nothing_is_told(server: Server) -> None:
    gate = await Gate(server, timeout=0.05).start()
    (node,) = gate.state.places.nodes
    server.kill()
    await until(lambda: not node.usable)
    try:
        for ask in (gate.state.operator.forget(counters()), gate.state.operator.forget(counters(route="other"))):
            with pytest.raises(Unavailable) as caught:
                await ask
            assert caught.value.reason is Reason.STATE_UNAVAILABLE
    finally:
        await gate.state.stop()
        server.start()


async def test_a_store_that_may_not_be_searched_says_so(gate: Gate, server: Server) -> None:
    server.ask("ACL", "SETUSER", "default", "-scan")
    try:
        with pytest.raises(Unavailable, match="NOPERM"):
            await gate.state.operator.forget(counters())
    finally:
        server.ask("ACL", "SETUSER", "default", "+scan")
