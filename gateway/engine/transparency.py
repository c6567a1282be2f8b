"""Publishes the audit log as a transparency log while the gate runs: in a thread, so that no request waits for it.

Python runs one thread at a time: so the publisher hashes a few records, and then sleeps for longer than that took.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from gateway.audit.events import Event, LogDeleted, LogSealed
from gateway.audit.files import COMPRESSED
from gateway.audit.log import AuditLog
from gateway.audit.tlog.copies import send
from gateway.audit.tlog.key import key_at, read_key
from gateway.audit.tlog.lines import RecordsLostError
from gateway.audit.tlog.note import Checkpoint, NoteError, Signer
from gateway.audit.tlog.publisher import FOLDER, Publisher, TlogError, checkpoint_of
from gateway.audit.tlog.retention import DAY, OldFiles
from gateway.audit.tlog.witness import Prove, WitnessClient, WitnessError
from gateway.core.exchange import failure
from gateway.core.policy import Policy
from gateway.core.publication import AuditSettings, Retention, Witness
from gateway.engine.gate import Gate
from gateway.engine.start import StartError
from gateway.engine.worker import Worker

logger = logging.getLogger(__name__)

KEY_FILE = "audit.key"
"""In the folder of the state, where the policy names none."""

CONTROL = "audit.checkpoint"
"""What fails, in records, where nothing can be published."""

COPY, WITNESS = "audit.copy", "audit.witness"
"""What fails, with what it is behind a colon, where a copy cannot be made, and where a witness does not sign."""

RETENTION = "audit.retention"
"""What fails where old files cannot be compressed or deleted."""

KEEP_SECONDS = 3_600.0
"""How often it is looked whether files are old."""

RECORD_SECONDS = 60.0
"""Time in which the loop must have recorded what a deletion waits for; it is given up else, until the next hour."""

_REST = 0.0005
"""Seconds of sleep after each slice, which takes some 0.1 ms: at most some 20,000 records a second are published."""


def signer_of(policy: Policy, state: Path, worker: Worker | None) -> Signer:
    """Give the key that signs the log's checkpoints, under the log's name: one key for all workers, a name for each.

    `state` is this process' folder of the state. Raises StartError.
    """
    settings, path = policy.audit, policy.audit.key or (state if worker is None else state.parent) / KEY_FILE
    try:
        if settings.key is not None:
            signer = read_key(Path(settings.key))
        else:
            signer = key_at(Path(path), settings.origin or f"gateway/{policy.name}")
        signer = signer if settings.origin is None else signer.named(settings.origin)
        return signer if worker is None else signer.named(f"{signer.name}/worker-{worker.number}")
    except (OSError, NoteError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise StartError(f"key for checkpoints {path}: {said}") from error


def published_size(directory: Path, signer: Signer) -> int:
    """Give how many records of the log in a folder were published by an earlier run. Raises StartError."""
    try:
        checkpoint = checkpoint_of(directory, signer)
    except (OSError, TlogError) as error:
        raise StartError(f"audit log in {directory}: {error}") from error
    return 0 if checkpoint is None else checkpoint.size


class Transparency:
    """The thread that publishes; made and stopped in the event loop's thread."""

    def __init__(self, signer: Signer, gate: Gate) -> None:
        self._gate = gate
        self._log: AuditLog = gate.log
        self._publisher = Publisher(gate.log.directory, signer, pause=self._pause)
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._kept = -KEEP_SECONDS
        self._old_files = OldFiles(gate.log.directory, gate.log.directory / FOLDER, self._pause)
        self._witnesses: dict[Witness, WitnessClient] = {}
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        logger.info("checkpoints are signed by %s", self._publisher.signer.public)
        self._thread.start()

    async def stop(self) -> None:
        """Publish what is left, and end."""
        self._stopping.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def _settings(self) -> AuditSettings:
        return self._gate.in_force.policy.audit

    def _pause(self) -> None:
        if not self._stopping.is_set():
            time.sleep(_REST)

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.interval):
            self._tell(self._publish())
        for control, told in self._publish().items():
            if told is not None:  # too late for the log
                logger.error("%s: %s", control, told)

    def _publish(self) -> dict[str, str | None]:
        """Publish what is new; gives what was tried, and what went wrong with it."""
        settings, tried = self._settings, dict[str, str | None]()

        def cosign(checkpoint: Checkpoint, note: str, prove: Prove) -> str:
            return "".join(self._ask(witness, (checkpoint, note, prove), tried) for witness in settings.witnesses)

        def publish() -> str | None:
            self._log.sync()
            return self._publisher.publish(self._log.synced, self._gate.clock.now(), cosign)

        note = _attempt(CONTROL, publish, tried)
        if note is not None:
            for where in settings.copies:
                _attempt(f"{COPY}:{where}", partial(send, where, note), tried)
        if settings.retention is not None and not self._stopping.is_set():
            _attempt(RETENTION, partial(self._keep, settings.retention), tried)
        return tried

    def _keep(self, age: Retention) -> None:
        """Compress and delete what is old; looked at once an hour."""
        now, published = self._gate.clock.now(), self._publisher.checkpoint
        if now < self._kept + KEEP_SECONDS or published is None:
            return
        self._kept = now
        facts, old = self._gate.in_force.facts, self._old_files
        sealed, deleted = old.due(age, published.size, now)
        for due in sealed:
            digest, name = old.seal(due), due.file.path.name
            self._record(LogSealed(now, facts, name, due.file.first, due.last, digest))
        for due in deleted:
            # Nothing is deleted that the log does not say before, on the disk.
            name = due.file.path.name.removesuffix(COMPRESSED)
            self._record(LogDeleted(now, facts, name, due.file.first, due.last, f"{age.keep / DAY:g}d"))
            old.delete(due)
        if deleted:
            old.prune()

    def _record(self, event: Event) -> None:
        """Have the loop record an event, and bring it to the disk. Raises OSError."""
        done: Future[int] = Future()

        def record() -> None:
            done.set_result(self._log.sequence if self._gate.record(event) else 0)

        _soon(self._loop, record)
        last = done.result(RECORD_SECONDS)
        self._log.sync()
        if not 0 < last <= self._log.synced:
            raise OSError(5, "the log could not record it")

    def _ask(self, witness: Witness, what: tuple[Checkpoint, str, Prove], tried: dict[str, str | None]) -> str:
        if witness not in self._witnesses:
            self._witnesses[witness] = WitnessClient(witness.url, witness.key)
        return _attempt(f"{WITNESS}:{witness.name}", partial(self._witnesses[witness].cosign, *what), tried) or ""

    def _tell(self, tried: Mapping[str, str | None]) -> None:
        def record() -> None:
            now, facts, health = self._gate.clock.now(), self._gate.in_force.facts, self._gate.health
            health.worked([control for control, told in tried.items() if told is None], now, facts)
            for control, told in tried.items():
                if told is not None:
                    logger.error("%s: %s", control, told)
                    health.failed(control, told, now, facts)

        _soon(self._loop, record)


def _attempt[T](control: str, work: Callable[[], T], tried: dict[str, str | None]) -> T | None:
    """Do something that may fail, and note under the name of a control whether it did."""
    try:
        done = work()
    except (OSError, TlogError, RecordsLostError, WitnessError) as error:
        of_system = isinstance(error, OSError) and error.strerror
        named = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        tried[control] = f"{of_system}{named}" if of_system else str(error)
        return None
    except Exception as error:  # noqa: BLE001 - whatever it is, the next turn tries again
        tried[control] = failure(error).detail
        return None
    tried[control] = None
    return done


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:  # it is closed: the gate has ended
        logger.debug("the loop is closed")
