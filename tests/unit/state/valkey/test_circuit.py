import pytest

from gateway.core.chain import RateLimit, Take, TakeRate
from gateway.core.reasons import Unavailable
from gateway.state.valkey.circuit import KINDS, Circuit, kind_of_code
from tests.engine.harness import until
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server
from tests.world import NOW

ASK = TakeRate((Take(RateLimit("x", 5, 60, sliding=True), ("psp", "deposit", "x", "acme")),))


def test_outages_and_their_seconds_are_counted_those_that_last_too() -> None:
    now = [100.0]
    circuit = Circuit(lambda: now[0])
    assert (circuit.open, circuit.outages, circuit.seconds) == (False, 0, 0.0)
    circuit.failed("full")
    assert not circuit.open
    circuit.broke("timeout")
    now[0] += 2
    circuit.broke("connection")  # tried again
    now[0] += 3
    assert (circuit.open, circuit.outages, circuit.seconds) == (True, 1, 5.0)
    circuit.closed()
    now[0] += 9
    assert (circuit.open, circuit.outages, circuit.seconds) == (False, 1, 5.0)
    circuit.broke("connection")
    now[0] += 1
    circuit.closed()
    circuit.closed()
    assert (circuit.outages, circuit.seconds) == (2, 6.0)
    assert circuit.failures == {"full": 1, "timeout": 1, "connection": 2}


@pytest.mark.parametrize(
    ("code", "kind"), [("OOM", "full"), ("READONLY", "unfit"), ("NOPERM", "unfit"), ("X", "error")]
)
def test_what_an_error_stands_for(code: str, kind: str) -> None:
    assert kind_of_code(code) == kind
    assert kind in KINDS


async def failing(gate: Gate) -> None:
    with pytest.raises(Unavailable):
        await gate.state.take(ASK, NOW)


async def test_a_server_that_stands_still_and_goes_on(server: Server) -> None:
    gate = await Gate(server, timeout=0.05).start()
    (node,) = gate.state.places.nodes
    server.pause()
    await failing(gate)
    assert (node.circuit.open, node.circuit.outages) == (True, 1)
    assert node.circuit.failures["timeout"] >= 1
    server.go_on()
    await until(lambda: gate.state.connected)
    assert not node.circuit.open
    assert node.circuit.seconds > 0
    await gate.state.stop()


async def test_a_server_that_ends_and_one_that_will_not_serve(server: Server) -> None:
    gate = await Gate(server).start()
    (node,) = gate.state.places.nodes
    server.kill()
    await until(lambda: node.circuit.failures["connection"] >= 2)  # lost, and tried again
    server.start()
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await until(lambda: node.circuit.failures["unfit"] or gate.state.connected)
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: node.circuit.failures["unfit"])
    assert (node.circuit.open, node.circuit.outages) in ((True, 1), (True, 2))
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    await until(lambda: gate.state.connected)
    await gate.state.stop()


async def test_a_server_without_room_fails_and_its_circuit_stays_closed(gate: Gate, server: Server) -> None:
    (node,) = gate.state.places.nodes
    server.ask("CONFIG", "SET", "maxmemory", 1)
    await failing(gate)
    assert (node.circuit.open, node.circuit.failures["full"]) == (False, 1)
    server.ask("CONFIG", "SET", "maxmemory", 0)
