"""What is kept between two events; `test_data_path` has what happens at them."""

from typing import Any

import pytest

from gateway.core.policy import Limits
from gateway.engine.body import BodyReader
from gateway.engine.client_state import LINGER_SECONDS, ClientState, State
from gateway.engine.deadline import Deadline
from tests import world
from tests.unit.engine.gates import Made
from tests.unit.engine.loops import Loop
from tests.unit.engine.transports import FakeTransport, connected


class Kept:
    """A connection that does nothing by itself."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        listener = world.listener(limits=Limits(head=10))
        self.made = Made(policy=world.policy(listeners={"public": listener}))
        self.state = ClientState(self.made.gate, world.peer(), self.passed.append)
        self.loop: Any = Loop()
        self.state._deadline = Deadline(self.loop, self.passed.append)
        self.client: FakeTransport
        _, self.client = connected(self.state)

    def hand(self, *, ended: bool) -> None:
        """Put a request into its hand."""
        self.state._handling = self.made.handling()
        self.state._body = BodyReader(world.World().head())
        self.state._body.ended = ended


@pytest.fixture
async def kept() -> Kept:
    return Kept()


async def test_a_new_connection_waits_for_a_head(kept: Kept) -> None:
    assert (kept.state._state, kept.state.open_requests, kept.state.ended.done()) == (State.HEAD, 0, False)


async def test_a_request_in_hand_is_open(kept: Kept) -> None:
    with pytest.raises(RuntimeError, match="no request is in hand"):
        kept.state._in_hand()
    kept.hand(ended=True)
    assert kept.state.open_requests == 1
    assert kept.state._in_hand() == (kept.state._handling, kept.state._body)


@pytest.mark.parametrize(
    ("ended", "draining", "closes", "last"),
    [(True, False, False, False), (False, False, False, True), (True, True, False, True), (True, False, True, True)],
)
async def test_a_response_is_the_last_one(kept: Kept, ended: bool, draining: bool, closes: bool, last: bool) -> None:
    kept.hand(ended=ended)
    kept.state._draining, kept.state._closes = draining, closes
    assert kept.state.last == last


async def test_without_a_request_a_response_is_the_last_one(kept: Kept) -> None:
    assert kept.state.last


@pytest.mark.parametrize("ended", [True, False])
async def test_the_upstreams_time_runs_once_the_body_is_here(kept: Kept, ended: bool) -> None:
    kept.hand(ended=ended)
    kept.state.await_upstream(world.upstream(response_timeout=3.0))
    kept.loop.pass_time(3.0)
    assert kept.passed == ["response"] * ended


async def test_bytes_are_kept_up_to_the_heads_limit_before_the_client_waits(kept: Kept) -> None:
    kept.state._keep(b"a" * 10)
    assert not kept.client.paused
    kept.state._keep(b"a")
    assert (kept.client.paused, kept.state._received) == (True, b"a" * 11)


async def test_nothing_upstream_is_nothing_to_drop(kept: Kept) -> None:
    assert kept.state._drop() is None


async def test_a_refused_client_is_read_again_for_a_while(kept: Kept) -> None:
    kept.state.hold()
    kept.state._linger()
    assert (kept.state._state, kept.client.paused) == (State.LINGER, False)
    kept.loop.pass_time(LINGER_SECONDS)
    assert kept.passed == ["linger"]
