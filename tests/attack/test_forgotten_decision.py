"""Forgotten decisions: a chain that ends without a verdict, or without a caller, forwards nothing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from gateway.core.chain import NOTHING, Asks
from gateway.core.exchange import Exchange
from gateway.core.policy import Policy
from gateway.core.reasons import Reason
from gateway.engine import gate as gate_module
from gateway.engine.gate import Handling
from tests import world
from tests.engine.harness import Running, get, read_to_end, request, running


@dataclass(frozen=True, slots=True)
class Silent:
    """A control that checks nothing."""

    name: ClassVar[str] = "silent"

    def check(self, exchange: Exchange) -> Asks:
        del exchange
        return NOTHING


def with_chain(up: Running, *chain: Silent) -> Policy:
    """Give the policy in force with another chain on every route."""
    compiled = up.gate.in_force.policy
    return replace(compiled, routes=tuple(replace(route, chain=chain) for route in compiled.routes))


@pytest.mark.parametrize("chain", [(), (Silent(),)], ids=["empty", "silent"])
async def test_a_chain_that_identifies_nobody_denies(up: Running, chain: tuple[Silent, ...]) -> None:
    up.gate.in_force = replace(up.gate.in_force, policy=with_chain(up, *chain))

    assert (await up.send(request())).code == "partner.unknown"
    assert up.upstream.untouched


async def test_a_policy_without_routes_denies_everything(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        compiled = up.gate.in_force.policy
        up.gate.in_force = replace(up.gate.in_force, policy=replace(compiled, routes=()))

        for sent in (request(), get(), get("/")):
            assert (await up.send(sent)).code == "route.unknown"
        assert up.upstream.untouched


async def test_a_way_that_ends_without_a_decision_denies(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(*_: object) -> object:
        yield from ()
        return None

    monkeypatch.setattr(gate_module, "decide", forgets)

    response = await up.send(request())

    assert response.status == 503
    assert up.upstream.untouched


async def test_a_decision_that_is_never_recorded_forwards_nothing(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handling, "authorise", lambda _: None)
    monkeypatch.setattr(Handling, "authorise_soon", lambda _, then: then())
    reader, writer = await up.connect()
    writer.write(request())

    assert await read_to_end(reader) == b""

    assert not up.decided
    assert up.upstream.untouched


async def test_an_allow_that_was_not_made_by_the_core_is_none(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shortcut(self: Handling, head: object) -> object:
        del head
        self._recorded = True
        return None

    monkeypatch.setattr(Handling, "begin", shortcut)
    reader, writer = await up.connect()
    writer.write(get())

    assert await read_to_end(reader) == b""
    assert up.upstream.untouched


async def test_the_whole_chain_ran(up: Running) -> None:
    await up.send(request())

    (decision,) = up.decisions()
    assert decision.decision.reason is Reason.ALLOWED
    assert decision.decision.exchange.passed == [control.name for control in world.chain()]
