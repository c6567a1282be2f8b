"""One server for the tests of a module; each begins with nothing in it, and the clock at world.NOW."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.core.stores import EmbeddedSettings, StateSettings
from gateway.signing.window import Window
from gateway.state.valkey.store import ValkeyState
from tests.valkey import STILL, Server, serving
from tests.world import NOW

WINDOW = Window(60.0, 5.0)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.ask("FLUSHALL")
    running.ask("CONFIG", "SET", "maxmemory", 0)
    running.ask("SCRIPT", "FLUSH")
    running.set_clock(NOW)
    return running


class Gate:
    """The state of one gate, and what it told of."""

    def __init__(self, server: Server, *, kept: bool = False, entries: int = 1_000, timeout: float = 5.0) -> None:
        settings = StateSettings(entries, store=EmbeddedSettings(timeout=timeout))
        self.told: list[tuple[str, str | None]] = []
        self.state = ValkeyState("psp", settings, WINDOW, lambda: NOW, at=server.address, kept=kept, clock=STILL)
        self.state.tell = lambda what, because: self.told.append((what, because))

    async def start(self) -> "Gate":
        """Connect."""
        await self.state.start(20.0)
        assert self.state.connected, self.state.because
        return self


@pytest.fixture
async def gate(server: Server) -> AsyncIterator[Gate]:
    """A gate whose store has forgotten nothing that counts: it was opened long ago."""
    server.set_clock(NOW - 1_000)
    gate = Gate(server)
    gate.state._now = lambda: NOW - 1_000  # type: ignore[assignment,return-value]
    await gate.start()
    gate.state._now = lambda: NOW
    server.set_clock(NOW)
    gate.told.clear()
    yield gate
    await gate.state.stop()
