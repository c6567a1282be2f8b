"""Claims in the store: by the rules of `state/nonces.py`, and noticing what the store has lost."""

import asyncio

import pytest

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.signing.window import Window
from gateway.state.valkey.houses import HOUSES, Houses
from tests.unit.state.valkey.conftest import WINDOW, Gate
from tests.valkey import Server
from tests.world import NOW


async def claim(
    gate: Gate, key: bytes = b"key", dated: float = NOW, *, now: float = NOW, window: float = 60.0, space: str = "acme"
) -> Claim:
    return await gate.state.claim(ClaimOnce(space, key, Instant(dated), Instant(dated + window)), Instant(now))


async def undated(gate: Gate, key: bytes = b"key", *, remember: float = 60.0, now: float = NOW) -> Claim:
    return await gate.state.claim(ClaimOnce("acme", key, None, Instant(now + remember)), Instant(now))


async def test_a_key_is_new_once_in_its_space(gate: Gate) -> None:
    assert [await claim(gate) for _ in range(3)] == [Claim.NEW, Claim.SEEN, Claim.SEEN]
    assert await claim(gate, b"other") is Claim.NEW
    assert await claim(gate, space="blue-bingo") is Claim.NEW
    assert await claim(gate, space="a space {of} a third party's") is Claim.NEW


async def test_of_many_that_claim_at_once_one_is_first(gate: Gate) -> None:
    answers = await asyncio.gather(*(claim(gate, b"%d" % (number % 10)) for number in range(100)))
    assert answers.count(Claim.NEW) == 10


async def test_it_is_held_until_its_time_is_over_and_unknowable_from_then_on(gate: Gate, server: Server) -> None:
    assert await claim(gate) is Claim.NEW
    server.set_clock(NOW + 60)
    assert await claim(gate, now=NOW + 60) is Claim.SEEN
    server.set_clock(NOW + 61)
    assert await claim(gate, now=NOW + 61) is Claim.UNKNOWABLE
    assert await claim(gate, now=NOW + 61, dated=NOW + 61) is Claim.NEW


async def test_the_clock_of_one_gate_lets_nothing_in_twice(gate: Gate, server: Server) -> None:
    assert await claim(gate) is Claim.NEW
    for late in (61, 3_600):
        server.set_clock(NOW + late)
        assert await claim(gate, now=NOW) is Claim.UNKNOWABLE  # its own clock stands still


async def test_a_clock_of_the_store_that_steps_back_lets_nothing_in_twice(gate: Gate, server: Server) -> None:
    keys = [b"%d" % number for number in range(100)]
    assert {await claim(gate, key) for key in keys} == {Claim.NEW}
    server.set_clock(NOW + 3_600)
    assert {await claim(gate, b"later" + key, NOW + 3_600) for key in keys} == {Claim.NEW}
    server.set_clock(NOW)
    assert {await claim(gate, key) for key in keys} <= {Claim.SEEN, Claim.UNKNOWABLE}
    assert await claim(gate, b"new", NOW + 1.5) is Claim.NEW


async def test_without_a_date_it_is_held_for_as_long_as_asked(gate: Gate, server: Server) -> None:
    assert [await undated(gate), await undated(gate)] == [Claim.NEW, Claim.SEEN]
    server.set_clock(NOW + 59)
    assert await undated(gate) is Claim.SEEN
    server.set_clock(NOW + 62)
    assert await undated(gate) is Claim.NEW


async def test_a_gate_whose_clock_is_late_remembers_the_undated_no_shorter(gate: Gate, server: Server) -> None:
    assert await undated(gate, now=NOW - 3_600) is Claim.NEW
    server.set_clock(NOW + 59)
    assert await undated(gate, now=NOW - 3_600) is Claim.SEEN


async def test_a_full_space_refuses_and_takes_again_what_room_there_is(server: Server) -> None:
    small = await Gate(server, entries=10).start()
    later = NOW + 100
    server.set_clock(later)
    assert [await claim(small, b"%d" % number, later) for number in range(10)] == [Claim.NEW] * 10
    with pytest.raises(Unavailable) as caught:
        await claim(small, b"10", later)
    assert caught.value.reason is Reason.REPLAY_MEMORY_FULL
    assert await claim(small, b"3", later) is Claim.SEEN
    server.set_clock(later + 62)
    assert await claim(small, b"10", later + 62) is Claim.NEW
    await small.state.stop()


async def test_what_is_over_is_forgotten_in_passing(gate: Gate, server: Server) -> None:
    for second in range(0, 600, 2):
        server.set_clock(NOW + second)
        assert await claim(gate, b"%d" % second, NOW + second) is Claim.NEW
    _, key = gate.state._houses.of("acme")
    assert server.ask("ZCARD", key) < 100
    assert server.ask("PTTL", key) > 86_400_000


# What the store has lost


async def test_a_store_that_was_never_seen_knows_nothing_of_before(server: Server) -> None:
    gate = await Gate(server).start()
    ahead = WINDOW.max_ahead
    assert [await claim(gate, b"a", NOW - 10), await claim(gate, b"b", NOW + ahead)] == [Claim.UNKNOWABLE] * 2
    assert await claim(gate, b"c", NOW + ahead + 0.1) is Claim.NEW
    assert await undated(gate) is Claim.UNKNOWABLE
    assert "requests dated up to" in str(gate.told)
    await gate.state.stop()


async def test_a_flush_is_noticed_with_the_next_claim(gate: Gate, server: Server) -> None:
    assert await claim(gate) is Claim.NEW
    server.ask("FLUSHALL")
    server.set_clock(NOW)
    assert {await claim(gate, b"%d" % number) for number in range(50)} == {Claim.UNKNOWABLE}
    assert await claim(gate) is Claim.UNKNOWABLE
    assert [what for what, because in gate.told if because] == ["state.claims"]
    server.set_clock(NOW + 6)
    assert await claim(gate, b"new", NOW + 6) is Claim.NEW


async def test_another_run_of_the_server_is_noticed(gate: Gate, server: Server) -> None:
    assert await claim(gate) is Claim.NEW
    for house in gate.state._houses.all:
        server.ask("HSET", house.epoch, "run", "another-run")
    assert await claim(gate, b"other") is Claim.UNKNOWABLE
    assert await claim(gate) is Claim.SEEN  # what is held is known all the same


async def test_a_server_that_keeps_all_has_lost_nothing_by_a_restart(server: Server) -> None:
    first = await Gate(server, kept=True).start()
    server.set_clock(NOW + 10)
    assert await claim(first, dated=NOW + 10) is Claim.NEW
    for house in first.state._houses.all:
        server.ask("HSET", house.epoch, "run", "another-run")
    assert await claim(first, b"other", NOW + 10) is Claim.NEW
    assert await claim(first, dated=NOW + 10) is Claim.SEEN
    await first.state.stop()


async def test_who_comes_from_another_server_trusts_no_house_that_others_opened(gate: Gate) -> None:
    assert await claim(gate) is Claim.NEW
    (node,) = gate.state.places.nodes
    gate.state._opened = dict.fromkeys(gate.state._opened, b"the primary before")
    node.distrust("it answers READONLY")
    assert await claim(gate, b"other") is Claim.UNKNOWABLE


async def test_a_house_that_cannot_be_opened_has_no_answer(gate: Gate, server: Server) -> None:
    server.ask("FLUSHALL")
    server.ask("SET", gate.state._houses.of("acme")[0].epoch, "no hash")
    with pytest.raises(Unavailable):
        await claim(gate)


# Windows


async def test_a_wider_window_holds_longer_what_is_held_already(gate: Gate, server: Server) -> None:
    assert await claim(gate) is Claim.NEW
    gate.state.adopt(StateSettings(1_000), Window(300.0, 5.0), NOW)
    server.set_clock(NOW + 200)
    assert await claim(gate, window=300.0) is Claim.SEEN
    assert await claim(gate, b"other", window=300.0) is Claim.NEW
    server.set_clock(NOW + 302)
    assert await claim(gate, window=300.0) is Claim.UNKNOWABLE


async def test_what_the_narrower_window_had_forgotten_is_unknowable(gate: Gate, server: Server) -> None:
    keys = [b"%d" % number for number in range(100)]
    assert {await claim(gate, key) for key in keys} == {Claim.NEW}
    server.set_clock(NOW + 100)
    assert {await claim(gate, b"later" + key, NOW + 100) for key in keys} == {Claim.NEW}
    gate.state.adopt(StateSettings(1_000), Window(300.0, 5.0), NOW)
    assert {await claim(gate, key, window=300.0) for key in keys} <= {Claim.SEEN, Claim.UNKNOWABLE}
    assert await claim(gate, b"new", NOW + 50, window=300.0) is Claim.NEW


async def test_gates_with_different_windows_agree(gate: Gate, server: Server) -> None:
    wide = Gate(server)
    wide.state.adopt(StateSettings(1_000), Window(300.0, 5.0), NOW)
    await wide.start()
    assert await claim(gate) is Claim.NEW
    server.set_clock(NOW + 200)
    assert await claim(wide, window=300.0) is Claim.SEEN
    await wide.state.stop()


def test_a_partner_always_lives_in_the_same_house_of_its_policy() -> None:
    houses = Houses("psp")
    assert len({house.slot for house in houses.all}) == HOUSES
    assert houses.of("acme") == Houses("psp").of("acme") != Houses("pam").of("acme")
    assert houses.of("acme")[1].endswith(b":claims:acme")
    assert b"{x}" not in houses.of("{x}")[1]
    assert Houses("{psp}").all[0].tag != b"{psp}:0"
