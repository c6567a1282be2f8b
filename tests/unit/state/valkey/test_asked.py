"""What comes between an ask and its answer."""

import asyncio
from collections.abc import Callable

import pytest
from libvalkey import ReplyError

from gateway.core.reasons import Reason, Unavailable
from gateway.state.valkey.asked import MOST_TRIES, Asked
from gateway.state.valkey.node import Node
from gateway.state.valkey.places import Places
from gateway.state.valkey.script import Script
from gateway.state.valkey.wire import LostError
from tests.engine.harness import until
from tests.unit.state.valkey.conftest import Gate
from tests.valkey import Server

ADD = Script("add", b"redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")


class Add(Asked[int]):
    def command(self, run: bytes) -> bytes:
        del run
        return self.script.call((b"count",), b"2")

    def decode(self, reply: bytes) -> int:
        return int(reply)


def add(gate: Gate, script: Script = ADD) -> Add:
    return Add(gate.state.places, 0, script)


async def failure(asked: "asyncio.Future[int]") -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await asked
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    return caught.value


async def test_a_script_that_the_server_does_not_know_is_loaded(gate: Gate, server: Server) -> None:
    assert await add(gate).go() == 2
    server.ask("SCRIPT", "FLUSH")
    assert await asyncio.gather(add(gate).go(), add(gate).go()) == [4, 6]


async def test_a_full_store_answers_with_an_error_and_has_taken_nothing(gate: Gate, server: Server) -> None:
    assert await add(gate).go() == 2
    server.ask("CONFIG", "SET", "maxmemory", 1)
    error = await failure(add(gate).go())
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert (error.detail, error.told) == ("the store answered OOM", False)
    assert server.ask("GET", "count") == b"2"


@pytest.mark.parametrize("source", [b"return {}", b"return 'x'", b"return redis.error_reply('ERR secret-7f3a')"])
async def test_an_answer_that_makes_no_sense_is_none(gate: Gate, source: bytes) -> None:
    error = await failure(add(gate, Script("odd", source)).go())
    assert "7f3a" not in str(error)


async def test_a_server_that_is_a_replica_now_is_left(gate: Gate, server: Server) -> None:
    (node,) = gate.state.places.nodes
    server.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        assert (await failure(add(gate).go())).detail == "the store answered READONLY"
        assert node.wire is None
        await until(lambda: node.because == "it is a replica")
        await until(lambda: not node.usable)
        with pytest.raises(Unavailable, match="it is a replica") as caught:
            add(gate).go()
        assert caught.value.told
    finally:
        server.ask("REPLICAOF", "NO", "ONE")
    await until(lambda: node.wire)
    assert await add(gate).go() == 2


async def test_a_lost_connection_is_told_of_by_the_connection(gate: Gate) -> None:
    asked = add(gate)
    future = asked.go()
    asked(LostError("no answer within 250 ms"))
    error = await failure(future)
    assert (error.detail, error.told) == ("no answer within 250 ms", True)
    asked(b"8")  # too late: nothing comes of it


class Elsewhere:
    """Places of which one node after the other says that the slot has moved."""

    def __init__(self, node: Node | None) -> None:
        self._node = node
        self.said: list[str] = []

    def node(self, slot: int) -> Node:
        del slot
        if self._node is None:
            raise LostError("no server holds the slot")
        return self._node

    def moved(self, slot: int, to: str) -> None:
        self.said.append(f"{slot} {to}")

    def asked(self, to: str) -> Node:
        self.said.append(to)
        return self.node(0)


def at(places: object) -> Add:
    return Add(places, 7, ADD)  # type: ignore[arg-type]


@pytest.mark.parametrize(("reply", "said"), [("MOVED 7 h:1", "7 h:1"), ("ASK 7 h:1", "h:1")])
async def test_where_a_server_names_another_one_that_is_asked(gate: Gate, reply: str, said: str) -> None:
    places = Elsewhere(gate.state.places.node(0))
    asked = at(places)
    future = asked.go()
    for _ in range(MOST_TRIES - 1):
        asked(ReplyError(reply))
    assert not future.done()
    asked(ReplyError(reply))
    await failure(future)
    assert set(places.said) == {said}


async def test_where_no_server_holds_a_slot_there_is_no_answer(gate: Gate) -> None:
    places = Elsewhere(gate.state.places.node(0))
    asked = at(places)
    future = asked.go()
    places._node = None
    asked(ReplyError("MOVED 7 h:1"))
    assert (await failure(future)).detail == "no server holds the slot"
    second = at(places)
    with pytest.raises(Unavailable, match="no server holds the slot"):
        second.go()
    second(ReplyError("NOSCRIPT no such script"))
    await failure(second.future)


@pytest.mark.parametrize("method", [lambda asked: asked.command(b""), lambda asked: asked.decode(1)])
async def test_what_is_asked_says_how(gate: Gate, method: Callable[[Asked[int]], object]) -> None:
    places: Places = gate.state.places
    with pytest.raises(NotImplementedError):
        method(Asked(places, 0, ADD))
