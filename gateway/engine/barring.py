"""Follows the journal of revocations while the gate serves, and records what it finds there.

It is looked at four times a second, with one call of the system where nothing changed; what was added is read in a
thread. What was added while the gate was stopped is recorded at its start: a file beside the gate's own state says how
far the log has come.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from gateway.audit.events import BarChanged
from gateway.core.barred import LOCKED, Barred, Unreadable
from gateway.engine.gate import Gate
from gateway.state.revocations import Entry, JournalError, Reader, barred

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""Between looks: what is revoked counts within a second in every worker."""

RECORDED = "revocations.recorded"
"""File with the number of the last entry that is in this gate's log."""

MOST_RECORDS = 1_000
"""Of entries that are recorded one by one when many come at once; the others are in the journal."""

MOST_ROUNDS = 3
"""Times that what is barred is made anew beside the requests while lock-outs change it."""

NAME = "revocations"
"""Under which failures are recorded."""


class Noticed(Protocol):
    """Hears of the journal's entries."""

    def __call__(self, entries: list[Entry], *, fresh: bool) -> None:
        """Take note; `fresh` entries take the place of all before."""
        ...


class Barring:
    """Keeps `gate.barred` as the journal says."""

    def __init__(self, gate: Gate, shared: Path, own: Path, noticed: Noticed, *, records: bool) -> None:
        """Follow the journal in `shared`, the folder of the state that all workers share; `own` is this gate's.

        One of the workers `records` what all of them follow.
        """
        self._gate = gate
        self._noticed = noticed
        self._records = records
        self._reader = Reader(shared)
        self._own = own / RECORDED
        self._recorded = self._read_recorded()
        self._loaded: tuple[bool, list[Entry]] = False, []
        self._task: asyncio.Task[None] | None = None
        self.cut: Callable[[], None] | None = None
        """Called once something was revoked: ends the connections that it is about."""

    def load(self) -> None:
        """Read the journal before anything is served. Raises JournalError."""
        if self._recorded:
            self._reader.restart()
        fresh, entries = self._reader.read()
        self._gate.barred = barred(entries)
        self._noticed(entries, fresh=True)
        self._loaded = fresh, entries

    def start(self) -> None:
        """Record what was loaded, and follow the journal from now on."""
        fresh, entries = self._loaded
        self._record(entries, fresh=fresh)
        self._loaded = False, []
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def look(self) -> None:
        """Look once. Whatever cannot be read denies everything, until it can."""
        gate = self._gate
        if not self._reader.changed():
            return
        try:
            fresh, entries = await asyncio.to_thread(self._reader.read)
            await self._bar(entries, fresh=fresh)
        except JournalError as error:
            self._failed(str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, what is barred is not known
            self._failed(type(error).__name__)
            return
        gate.health.worked([NAME], gate.clock.now(), gate.in_force.facts)
        self._noticed(entries, fresh=fresh)
        self._record(entries, fresh=fresh)
        if self.cut is not None and any(one.action == "revoke" and one.thing not in LOCKED for one in entries):
            try:
                self.cut()
            except Exception:  # requests are refused all the same, and the journal is followed on
                logger.exception("cutting connections of what was revoked")

    async def _bar(self, entries: list[Entry], *, fresh: bool) -> None:
        """Put in force what the journal says, and keep what changed while it was read."""
        gate = self._gate
        for _ in range(MOST_ROUNDS):
            before = gate.barred
            made = await asyncio.to_thread(barred, entries, _staying(before, fresh=fresh))
            if gate.barred is before:
                break
        else:
            before = gate.barred
            made = barred(entries, _staying(before, fresh=fresh))
        if before is not None and before.uncounted:
            made = (made or Barred({})).counting(before.uncounted)
        gate.barred = made

    def _failed(self, detail: str) -> None:
        gate = self._gate
        self._reader.restart()  # what was known went with the failure
        gate.barred = Unreadable(detail)
        gate.health.failed(NAME, detail, gate.clock.now(), gate.in_force.facts)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    def _record(self, entries: list[Entry], *, fresh: bool) -> None:
        """Record what is not in the log yet."""
        if fresh and entries and entries[-1].number < self._recorded:
            self._recorded = 0  # another journal, which counts anew
        new = [entry for entry in entries if entry.number > self._recorded]
        if not new:
            return
        now, facts = self._gate.clock.now(), self._gate.in_force.facts
        own = [entry for entry in new if self._records and not entry.elsewhere]
        for entry in own[:MOST_RECORDS]:
            logger.info("%s", described(entry))
            self._gate.record(
                BarChanged(
                    now, facts, entry.action, entry.number, entry.thing, entry.value, entry.at, entry.until, entry.by,
                    entry.because,
                )
            )  # fmt: skip
        if len(own) > MOST_RECORDS:
            logger.info("and %d more revocations: `gateway revoke list` has them all", len(own) - MOST_RECORDS)
        self._recorded = new[-1].number
        written = self._own.with_name(f".{RECORDED}.new")
        with suppress(OSError):  # at worst they are recorded twice
            written.write_text(f"{self._recorded}\n", encoding="ascii")
            written.replace(self._own)

    def _read_recorded(self) -> int:
        try:
            return int(self._own.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0


def _staying(before: Barred | None, *, fresh: bool) -> Barred | None:
    """Give what stays of what was barred: where the journal is another one, lock-outs that it does not have yet."""
    if before is None or not fresh:
        return before
    return Barred({key: bar for key, bar in before.locked.items() if not bar.number})


def described(entry: Entry) -> str:
    """Say what an entry does, for the service's log; without the reason, which may be long."""
    what = f"{entry.thing.value} {entry.value[:64]}"
    return f"{'revoked' if entry.action == 'revoke' else 'lifted'} by {entry.by}: {what} (number {entry.number})"
