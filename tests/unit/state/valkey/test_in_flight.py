import asyncio

import pytest

from gateway.core.holds import Enter, Leave
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.state.fallback import Fallback
from gateway.state.valkey.in_flight import key_of
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server
from tests.world import NOW


def ask(partner: str = "acme", most: int = 2) -> Enter:
    return Enter(partner, "psp", "pay", most, 60)


async def test_so_many_are_in_flight_and_no_more_until_one_ends(gate: Gate) -> None:
    taken = [await gate.state.enter(ask(), NOW) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, True, False]
    for _ in range(2):
        await gate.state.settle(Leave(ask(), taken[0].token), NOW)
    assert [(await gate.state.enter(ask(), NOW)).allowed for _ in range(2)] == [True, False]


async def test_two_gates_share_the_places(gate: Gate, server: Server) -> None:
    other = await Gate(server).start()
    taken = await asyncio.gather(*(each.state.enter(ask(most=7), NOW) for each in (gate, other) for _ in range(20)))
    assert sum(one.allowed for one in taken) == 7
    await other.state.stop()


async def test_partners_are_counted_apart(gate: Gate) -> None:
    for partner in ("acme", "blue", "é" * 500, "{x}"):
        assert [(await gate.state.enter(ask(partner, 1), NOW)).allowed for _ in range(2)] == [True, False]


async def test_what_a_killed_gate_held_is_free_when_its_lease_is_over(gate: Gate, server: Server) -> None:
    lost = await gate.state.enter(ask(most=1), NOW)
    server.set_clock(NOW + 59.9)
    assert not (await gate.state.enter(ask(most=1), NOW)).allowed
    server.set_clock(NOW + 60)
    assert (await gate.state.enter(ask(most=1), NOW)).allowed
    await gate.state.settle(Leave(ask(), lost.token), NOW)  # comes late, and takes nobody else's
    assert not (await gate.state.enter(ask(most=1), NOW)).allowed


async def test_the_key_goes_when_nobody_comes_any_more(gate: Gate, server: Server) -> None:
    await gate.state.enter(ask(), NOW)
    assert 60_000 < int(server.ask("PTTL", key_of(ask()).decode())) <= 120_000


async def test_without_its_store_nobody_enters(gate: Gate) -> None:
    store = Fallback(gate.state, StateSettings(), None)
    await gate.state.places.close()
    with pytest.raises(Unavailable) as caught:
        await store.enter(ask(), NOW)  # type: ignore[misc]
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


async def test_a_place_that_was_taken_unheard_is_given_back(gate: Gate) -> None:
    entering = gate.state._in_flight.enter(ask(most=1))
    assert (await entering.go()).allowed
    await gate.state.settle(entering.undone, NOW)
    assert (await gate.state.enter(ask(most=1), NOW)).allowed


async def test_a_reply_that_is_none_of_the_scripts_is_no_answer(gate: Gate) -> None:
    flights = gate.state._in_flight
    with pytest.raises(ValueError, match="neither"):
        flights.enter(ask()).decode(2)
    with pytest.raises(ValueError, match="neither"):
        flights.leave(Leave(ask(), b"token")).decode(2)
