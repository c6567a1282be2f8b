"""A verification of the whole log, beside the pages: started from one of them, and looked at from any."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit.folders import log_folders
from gateway.audit.verify.files import segments
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.notes import Key
from gateway.console.signed import verified
from gateway.core.message import Instant


class _ClosedError(Exception):
    """The console ends."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What it came to."""

    began: Instant
    found: dict[Path, Findings] = field(default_factory=dict)
    """By folder; a log without checkpoints has none."""
    problem: str = ""
    """Why the log could not be read; empty where it could."""


class Verification:
    """One at a time, in a thread of its own: pages are made meanwhile."""

    def __init__(self, directory: Path, keys: Sequence[Key]) -> None:
        self._directory = directory
        self._keys = keys
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1, "verification")
        self._running: Future[None] | None = None
        self._closed = False
        self._read = self._total = 0
        self.last: Verified | None = None
        """The last one that came to its end."""

    @property
    def percent(self) -> int | None:
        """How far the one is that runs; None: none does."""
        running = self._running
        if running is None or running.done():
            return None
        return min(99, 100 * self._read // max(1, self._total))

    def start(self, now: Instant) -> None:
        """Begin one, if none runs."""
        with self._lock:
            if self.percent is None and not self._closed:
                self._read = self._total = 0
                self._running = self._threads.submit(self._run, now)

    def close(self) -> None:
        """Give it up."""
        with self._lock:
            self._closed = True
        self._threads.shutdown()

    def _run(self, began: Instant) -> None:
        found: dict[Path, Findings] = {}
        try:
            folders = log_folders(self._directory)
            self._total = sum(file.path.stat().st_size for folder in folders for file in segments(folder))
            for folder in folders:
                findings = verified(folder, self._keys, self._advance)
                if findings is not None:
                    found[folder] = findings
        except _ClosedError:
            return
        except OSError as error:
            self.last = Verified(began, problem=f"{error.filename or self._directory}: {error.strerror}")
        else:
            self.last = Verified(began, found)

    def _advance(self, size: int) -> None:
        if self._closed:
            raise _ClosedError
        self._read += size
