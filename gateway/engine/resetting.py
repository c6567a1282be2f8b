"""Has counters begin anew that an operator reset, and records it.

`gateway limits reset` writes a line to a journal in the folder of the state. A store that is shared it resets itself;
what is counted in the memory of a process is reset here. Each worker records each reset in its own log, also those
from while it was stopped: a file beside its own state says how far it has come.
"""

import logging
from contextlib import suppress
from pathlib import Path

from gateway.audit.events import LimitsReset
from gateway.controls.partner_rates import counters_of
from gateway.core.reasons import Unavailable
from gateway.engine.gate import Gate
from gateway.state.fallback import Fallback
from gateway.state.looks import Questions
from gateway.state.memory import MemoryState
from gateway.state.resets import Reader, Reset, ResetsError

logger = logging.getLogger(__name__)

RECORDED = "resets.recorded"
"""File with the number of the last reset that is in this gate's log."""

NAME = "limits.resets"
"""Under which failures are recorded."""


class Resetting:
    """Follows the journal, and answers questions. `look` is called once a second: two looks at the status of files."""

    def __init__(self, gate: Gate, shared: Path, own: Path) -> None:
        """Follow the journal in `shared`, the folder of the state that all workers share; `own` is this gate's."""
        self._gate = gate
        self._reader = Reader(shared)
        self._own = own / RECORDED
        self._recorded = self._read_recorded()
        self._questions = Questions(shared)
        self._undone: list[Reset] = []
        """What could not be recorded or done yet."""

    def look(self) -> None:
        """Do what was asked for since the last look. What cannot be read, or done, is recorded as a failure."""
        gate = self._gate
        now, facts = gate.clock.now(), gate.in_force.facts
        try:
            resets = self._reader.read()
            if resets and resets[-1].number < self._recorded:
                self._recorded = 0  # another journal, which counts anew
            self._undone += [reset for reset in resets if reset.number > self._recorded]
            while self._undone and self._reset(self._undone[0]):
                del self._undone[0]
        except (ResetsError, Unavailable) as error:
            detail = error.detail if isinstance(error, Unavailable) else str(error)
            gate.health.failed(NAME, detail, now, facts)
        else:
            gate.health.worked([NAME], now, facts)
        self._answer()

    def _answer(self) -> None:
        """Answer `gateway limits show`, where it is counted here."""
        gate = self._gate
        if not isinstance(gate.state, MemoryState):
            return
        question = self._questions.next()
        if question is not None:
            name, partner = question
            used = gate.state.used(counters_of(gate.in_force.policy, partner), gate.clock.now())
            with suppress(OSError):  # whoever asks is told that nobody answers
                self._questions.answer(name, used)

    def _reset(self, reset: Reset) -> bool:
        """Record a reset, then do it; tells whether it was recorded. Otherwise it is for the next look."""
        gate = self._gate
        state, counters = gate.state, counters_of(gate.in_force.policy, reset.partner, reset.routes)
        counted = state.count(counters) if isinstance(state, MemoryState) else None
        event = LimitsReset(
            gate.clock.now(), gate.in_force.facts, reset.number, reset.partner, reset.routes, counted, reset.at,
            reset.by, reset.because,
        )  # fmt: skip
        if reset.number > self._recorded and not gate.record(event):
            return False
        self._recorded = reset.number
        if isinstance(state, MemoryState | Fallback):
            state.forget(counters)
        logger.info("limits of %s reset by %s (number %d)", reset.partner, reset.by, reset.number)
        written = self._own.with_name(f".{RECORDED}.new")
        with suppress(OSError):  # at worst it is reset and recorded twice
            written.write_text(f"{self._recorded}\n", encoding="ascii")
            written.replace(self._own)
        return True

    def _read_recorded(self) -> int:
        try:
            return int(self._own.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0
