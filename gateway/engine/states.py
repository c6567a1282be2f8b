"""What a process counts and remembers with: its own memory, or a store that it shares; opened, told of, and closed."""

import logging
from pathlib import Path

from gateway.controls.replay import Replay
from gateway.controls.signature import widest_window
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.stores import EmbeddedSettings, StateSettings, ValkeySettings
from gateway.engine.clock import Clock
from gateway.engine.embedded import Embedded, address_in
from gateway.engine.gate import Gate
from gateway.engine.start import StartError
from gateway.state.fallback import Fallback
from gateway.state.memory import MemoryState
from gateway.state.restart import Start
from gateway.state.store import Store
from gateway.state.unshared import Unshared
from gateway.state.valkey.store import ValkeyState

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
"""Time that a start waits for a store; without an answer it goes on, and denies what needs the store."""


class States:
    """The state of one process. `directory` is its own; the first of several is the folder above."""

    def __init__(self, directory: Path, *, alone: bool, clock: Clock) -> None:
        self.state: MemoryState | Fallback
        self.embedded: Embedded | None = None
        self._directory = directory
        self._alone = alone
        self._clock = clock
        self._gate: Gate | None = None
        self._untold: list[tuple[str, str | None]] = []
        """What happened before the log's first record."""

    async def open(self, policy: Policy) -> Store:
        """Open what the policy names; gives what the gate asks. Raises StartError."""
        store, now = policy.state.store, self._clock.now()
        if store is None:
            self.state = open_state(self._directory, policy, now)
            return self.state if self._alone else Unshared()
        widest = widest_window(policy)
        try:
            if isinstance(store, EmbeddedSettings):
                shared = self._directory if self._alone else self._directory.parent
                if self._alone:
                    self.embedded = Embedded(shared, policy.name, store)
                    await self.embedded.start()
                at, kept = address_in(shared), store.every_write
                state = ValkeyState(policy.name, policy.state, widest, self._clock.now, at=at, kept=kept)
            else:
                state = ValkeyState(policy.name, policy.state, widest, self._clock.now)
        except OSError as error:
            raise StartError(f"state: {error.strerror or error}: {error.filename or ''}") from error
        self.state = Fallback(state, policy.state, widest)
        state.tell = self._tell
        await state.start(CONNECT_SECONDS)
        if state.refused:
            because = state.because
            await self.close()
            raise StartError(f"state: {because}")
        if not state.connected:
            logger.error("state: %s; what needs it waits for its answer", state.because)
        return self.state

    def attend(self, gate: Gate) -> None:
        """Have what fails recorded from now on, and what has failed."""
        self._gate = gate
        untold, self._untold = self._untold, []
        for what, because in untold:
            self._tell(what, because)

    def _tell(self, what: str, because: str | None) -> None:
        gate = self._gate
        if gate is None:
            self._untold.append((what, because))
        elif because is None:
            gate.health.worked([what], self._clock.now(), gate.in_force.facts)
        else:
            meanwhile = self.state.meanwhile if isinstance(self.state, Fallback) else ""
            detail = f"{because}; meanwhile {meanwhile}" if meanwhile and what != "state.claims" else because
            gate.health.failed(what, detail, self._clock.now(), gate.in_force.facts)

    async def close(self) -> None:
        """Leave the claims to the next run; without it, that would take this one for crashed."""
        self._gate = None
        state = self.state
        try:
            if isinstance(state, MemoryState):
                state.save(self._clock.now())
        except OSError as error:
            # The next start takes this run for a crash, and refuses what may have been taken.
            logger.error("nonces could not be saved: %s", error.strerror or error)  # noqa: TRY400
        if isinstance(state, Fallback):
            await state.store.stop()
        else:
            state.close()
        if self.embedded is not None:
            await self.embedded.stop()


def open_state(directory: Path, policy: Policy, now: Instant) -> MemoryState:
    """Open the memory of the process, and take over what the last run left. Raises StartError."""
    state = MemoryState(policy.state)
    try:
        restored = state.restore(directory, now, widest_window(policy))
    except OSError as error:
        state.close()
        raise StartError(f"state folder {error.filename or directory}: {error.strerror or error}") from error
    if restored.start is Start.LOST and any(one.name == Replay.name for route in policy.routes for one in route.chain):
        logger.warning("the last run did not stop in good order: requests signed before now must be signed anew")
    return state


def same_store(old: StateSettings, new: StateSettings) -> bool:
    """Whether two policies keep their state in the same place, reached in the same way."""
    match old.store, new.store:
        case (None, None):
            return True
        case (EmbeddedSettings() as one, EmbeddedSettings() as other):
            return one == other
        case (ValkeySettings() as one, ValkeySettings() as other):
            return _shown(one) == _shown(other)
    return False


def _shown(settings: ValkeySettings) -> tuple[object, ...]:
    """Give all that may be compared. Passwords may not, and are read anew with a restart only."""
    users = settings.login.user, settings.sentinel_login.user
    tls = settings.tls, settings.ca, settings.client, settings.server_name
    return settings.servers, settings.layout, settings.service, settings.database, settings.timeout, users, tls
