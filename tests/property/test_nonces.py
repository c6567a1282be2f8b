"""Whatever happens to the gate and to its clock: no request is taken twice while its signature counts."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Unavailable
from gateway.core.stores import StateSettings
from gateway.signing.window import Window
from gateway.state.memory import MemoryState
from gateway.state.nonces import SLOW
from gateway.state.restart import HEARTBEAT

START = 1_795_352_400.0
REMEMBER = 200.0

WINDOWS = st.sampled_from([Window(60.0, 5.0), Window(60.0, 0.0), Window(300.0, 5.0), Window(10.0, 120.0)])
STEPS = st.sampled_from([0.0, 0.3, 1.0, 7.0, HEARTBEAT, 61.0, 310.0, 5000.0])
AGES = st.sampled_from([-130.0, -120.0, -5.0, -1.0, 0.0, 0.5, 1.0, 30.0, 59.0, 60.0, 200.0, 300.0])
NONCES = st.integers(0, 2)

NEW = st.tuples(st.just("new"), AGES, NONCES)
EVENTS = st.one_of(
    NEW,
    NEW,
    st.tuples(st.just("undated"), NONCES, st.just(None)),
    st.tuples(st.just("clock"), STEPS | STEPS.map(lambda step: -step), st.just(None)),
    st.tuples(st.just("clock"), STEPS, st.just(None)),
    st.tuples(st.just("reload"), WINDOWS, st.just(None)),
    st.tuples(st.just("stop"), WINDOWS, STEPS | STEPS.map(lambda step: -step)),
    st.tuples(st.just("crash"), WINDOWS, STEPS | STEPS.map(lambda step: -step)),
)


@dataclass
class Gate:
    """A gate with its clock, and what it took."""

    directory: Path
    window: Window
    now: float = START
    taken: list[tuple[bytes, float]] = field(default_factory=list)
    """Nonce and date of the requests that were taken."""
    undated: dict[bytes, float] = field(default_factory=dict)
    """When requests without a date were taken last."""

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.state = MemoryState(StateSettings(replay_entries=50))
        self.state.restore(self.directory, Instant(self.now), self.window)

    def move_clock(self, step: float) -> None:
        """Move the clock, at once; the gate writes that it runs as often as it should."""
        self.now += step
        self.state.beat(Instant(self.now))

    def present(self, nonce: bytes, dated: float) -> None:
        """Present a signed request to the window and the memory, as the controls do."""
        now, date = Instant(self.now), Instant(dated)
        try:
            self.window.check(date, now)
            answer = self.state.claim(ClaimOnce("acme", nonce, date, self.window.end(date)), now)
        except (Denied, Unavailable):
            return
        if answer is Claim.NEW:
            assert (nonce, dated) not in self.taken
            self.taken.append((nonce, dated))

    def present_undated(self, nonce: bytes) -> None:
        try:
            answer = self.state.claim(ClaimOnce("acme", nonce, None, Instant(self.now + REMEMBER)), Instant(self.now))
        except Unavailable:
            return
        if answer is Claim.NEW:
            before = self.undated.get(nonce)
            assert before is None or abs(self.now - before) > REMEMBER - SLOW
            self.undated[nonce] = self.now

    def happen(self, event: tuple[str, object, object]) -> None:
        match event:
            case "new", float(age), int(nonce):
                self.present(b"%d" % nonce, self.now - age)
            case "undated", int(nonce), _:
                self.present_undated(b"undated %d" % nonce)
            case "clock", float(step), _:
                self.move_clock(step)
            case "reload", Window() as window, _:
                self.state.adopt(StateSettings(replay_entries=50), window, Instant(self.now))
                self.window = window
            case "stop" | "crash" as end, Window() as window, float(step):
                if end == "stop":
                    self.state.save(Instant(self.now))
                self.state.close()
                self.now, self.window = self.now + step, window
                self.start()
            case _:
                raise AssertionError(event)


@given(WINDOWS, st.lists(EVENTS, max_size=25))
@settings(deadline=None, max_examples=200)
def test_no_request_is_taken_twice(window: Window, events: list[tuple[str, object, object]]) -> None:
    with TemporaryDirectory() as directory, patch.object(os, "fsync"):
        gate = Gate(Path(directory), window)
        try:
            for event in events:
                gate.happen(event)
                for request in list(gate.taken):
                    gate.present(*request)
        finally:
            gate.state.close()
