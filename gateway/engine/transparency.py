"""Publishes the audit log as a transparency log while the gate runs: says when, and records what comes of it.

The work is done by a process of its own (`gateway.engine.publishing`), which alone holds the key.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.events import Event, LogDeleted, LogSealed
from gateway.audit.files import date_of
from gateway.audit.log import AuditLog
from gateway.audit.tlog.handover import checkpoint_under
from gateway.audit.tlog.key import key_at, read_key
from gateway.audit.tlog.note import NoteError, Signer
from gateway.audit.tlog.process import CONTROL, Work
from gateway.audit.tlog.publisher import TlogError
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.core.publication import AuditSettings
from gateway.engine.gate import Gate
from gateway.engine.publishing import SILENT_TIMES, PublisherGoneError, PublisherProcess
from gateway.engine.start import StartError
from gateway.engine.worker import Worker

logger = logging.getLogger(__name__)

KEY_FILE = "audit.key"
"""In the folder of the state, where the policy names none."""

ATTEMPTS = 2
"""Of one publication: the second by a new process, where the first one has ended."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """Where the key of a log is, and how much it has signed; the key itself is not kept."""

    path: Path
    name: str
    """Of the log, by which the key signs."""
    public: str
    size: int
    """How many records the log's last checkpoint counts."""
    id: str
    """Name and number of the key, for the record of the start."""


def key_of(policy: Policy, directory: Path, state: Path, worker: Worker | None, now: Instant) -> LogKey:
    """Find the key that signs the checkpoints of the log in a folder, and see that it signed the last one.

    Where the policy names the key before it, and that one signed the last one, the new key takes over here. `state` is
    this process' folder of the state. Raises StartError.
    """
    path = policy.audit.key or (state if worker is None else state.parent) / KEY_FILE
    signer = signer_of(policy, state, worker)
    old = None if policy.audit.previous_key is None else _read(Path(policy.audit.previous_key)).named(signer.name)
    try:
        last = checkpoint_under(directory, signer, old, date_of(now))
    except (OSError, TlogError) as error:
        raise StartError(f"audit log in {directory}: {error}") from error
    return LogKey(Path(path), signer.name, signer.public, 0 if last is None else last.size, signer.id)


def signer_of(policy: Policy, state: Path, worker: Worker | None) -> Signer:
    """Give the key that signs the log's checkpoints, under the log's name: one key for all workers, a name for each.

    `state` is this process' folder of the state. Raises StartError.
    """
    settings, path = policy.audit, policy.audit.key or (state if worker is None else state.parent) / KEY_FILE
    made_as = None if settings.key is not None else settings.origin or f"gateway/{policy.name}"
    signer = _read(Path(path), made_as)
    signer = signer if settings.origin is None else signer.named(settings.origin)
    return signer if worker is None else signer.named(f"{signer.name}/worker-{worker.number}")


def _read(path: Path, made_as: str | None = None) -> Signer:
    """Read a key, which may be made under a name. Raises StartError."""
    try:
        return read_key(path) if made_as is None else key_at(path, made_as)
    except (OSError, NoteError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise StartError(f"key for checkpoints {path}: {said}") from error


class Transparency:
    """Has the log published at every interval, and at the stop."""

    def __init__(self, key: LogKey, gate: Gate) -> None:
        self.key = key
        self._gate = gate
        self._log: AuditLog = gate.log
        self._process = PublisherProcess(gate.log.directory, key.path, key.name, self._record)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish."""
        logger.info("checkpoints are signed by %s", self.key.public)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Publish what is left, and end."""
        self._stopping.set()
        self._process.hurry()
        if self._task is not None:
            await self._task
        await self._process.close()

    @property
    def _settings(self) -> AuditSettings:
        return self._gate.in_force.policy.audit

    async def _run(self) -> None:
        while not await self._stopped_within(self._settings.interval):
            await self._publish()
        await self._publish()

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _publish(self) -> None:
        """Publish what is new."""
        for _ in range(ATTEMPTS):
            try:
                self._tell(await self._turn())
            except PublisherGoneError as gone:
                self._tell({CONTROL: str(gone)})
            except OSError as error:
                self._tell({CONTROL: f"its process cannot be started: {error.strerror}"})
                return
            else:
                return

    async def _turn(self) -> dict[str, str | None]:
        await asyncio.to_thread(self._log.sync)
        settings = self._settings
        # Old files can wait: the stop does not wait for them.
        retention = None if self._stopping.is_set() else settings.retention
        work = Work(self._log.synced, self._gate.clock.now(), settings.copies, settings.witnesses, retention)
        patience = 1 if self._stopping.is_set() else SILENT_TIMES
        done = await self._process.do(work, lambda told: self._tell({CONTROL: told}), patience)
        self._log.published = max(self._log.published, done.size)
        return done.tried

    async def _record(self, about: dict[str, object]) -> bool:
        now, facts = self._gate.clock.now(), self._gate.in_force.facts
        event: Event
        match about:
            case {"what": "sealed", "file": str(file), "first": int(first), "last": int(last), "sha256": str(digest)}:
                event = LogSealed(now, facts, file, first, last, digest)
            case {"what": "deleted", "file": str(file), "first": int(first), "last": int(last), "keep": str(keep)}:
                event = LogDeleted(now, facts, file, first, last, keep)
            case _:
                return False
        if self._stopping.is_set() or not self._gate.record(event):
            return False
        last = self._log.sequence
        await asyncio.to_thread(self._log.sync)
        return last <= self._log.synced

    def _tell(self, tried: Mapping[str, str | None]) -> None:
        now, facts, health = self._gate.clock.now(), self._gate.in_force.facts, self._gate.health
        for control, told in tried.items():
            if told is not None:
                logger.error("%s: %s", control, told)
        if self._stopping.is_set():  # too late for the log, whose last record tells of the stop
            return
        health.worked([control for control, told in tried.items() if told is None], now, facts)
        for control, told in tried.items():
            if told is not None:
                health.failed(control, told, now, facts)
