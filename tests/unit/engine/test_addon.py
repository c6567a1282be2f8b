from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.reasons import Reason
from gateway.engine.addon import HANDLING, HEAD, CoreAddon
from gateway.engine.gate import Handling
from tests import world
from tests.unit.engine.gates import Made
from tests.world import World


def flow_of(handling: Handling, sent: World, body: bytes | None = None) -> Any:
    """Give as much of a flow as the addon reads."""
    metadata = {HANDLING: handling, HEAD: sent.head()}
    return SimpleNamespace(metadata=metadata, request=SimpleNamespace(data=SimpleNamespace(content=body)))


@pytest.fixture
def handling() -> Handling:
    return Made().handling()


async def test_the_head_begins_the_decision(handling: Handling) -> None:
    await CoreAddon().requestheaders(flow_of(handling, World()))
    assert handling.waits_for_body


async def test_the_body_ends_it(handling: Handling) -> None:
    flow = flow_of(handling, World(), world.BODY)
    await CoreAddon().requestheaders(flow)
    await CoreAddon().request(flow)
    assert handling.decision is not None
    assert handling.decision.allowed


async def test_a_body_that_is_absent_is_empty(handling: Handling) -> None:
    flow = flow_of(handling, World(), None)
    await CoreAddon().requestheaders(flow)
    await CoreAddon().request(flow)
    assert handling.decision is not None
    assert handling.decision.reason is Reason.SIGNATURE_MISMATCH


async def test_a_body_that_nobody_asked_for_changes_nothing(handling: Handling) -> None:
    flow = flow_of(handling, World(fields={"authorization": None}), world.BODY)
    await CoreAddon().requestheaders(flow)
    decision = handling.decision
    await CoreAddon().request(flow)
    assert decision is not None
    assert handling.decision is decision


async def test_the_addon_lifts_nothing(handling: Handling) -> None:
    flow = flow_of(handling, World(), world.BODY)
    await CoreAddon().requestheaders(flow)
    await CoreAddon().request(flow)
    assert not handling.allowed
