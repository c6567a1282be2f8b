"""The log, kept open for the pages: one question at a time, and opened anew when the log has grown."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.audit.folders import log_folders
from gateway.audit.query.database import Database
from gateway.audit.query.index import Progress
from gateway.audit.query.opening import open_log
from gateway.audit.query.questions import BY_NAME, compiled
from gateway.audit.reader import Query, files_of
from gateway.audit.verify.notes import Key
from gateway.console.verification import Verification
from gateway.core.message import Instant

type Row = dict[str, object]

FRESH = 2.0
"""Seconds for which the log is not looked at again: one page asks a dozen questions."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What of the log is open; it changes with each record that is written."""

    sizes: tuple[tuple[Path, int], ...]


class Archive:
    """The log in a folder; its index stands in `place`. Threads take turns."""

    def __init__(
        self, directory: Path, place: Path, monotonic: Callable[[], float], tell: Callable[[str], None] | None = None,
        keys: Sequence[Key] = (),
    ) -> None:  # fmt: skip
        """Take note of it; `keys` are the public keys that its checkpoints are verified by."""
        self.directory = directory
        self.keys = keys
        self.verification = Verification(directory, keys)
        self._place = place
        self._monotonic = monotonic
        self._tell = tell
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._database: Database | None = None
        self._holding: Holding | None = None
        self._looked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give free what is held."""
        self.verification.close()
        with self._lock:
            self._shut()

    def prepare(self, progress: Progress | None = None) -> None:
        """Open the log, which takes long the first time. Raises OSError and IndexUnusableError."""
        with self._lock:
            self._opened(progress)

    @contextmanager
    def read(self) -> Iterator["Reading"]:
        """Give the log for the questions of one page. Raises OSError and IndexUnusableError."""
        with self._lock:
            yield Reading(self._opened(None))

    def _opened(self, progress: Progress | None) -> Database:
        now = self._monotonic()
        if self._database is not None and now - self._looked < FRESH:
            return self._database
        holding = _holding(self.directory)
        if self._database is None or holding != self._holding:
            self._shut()
            opening = open_log(self.directory, self._place, Query(), progress, self._tell)
            self._database = self._stack.enter_context(opening)
            self._holding = holding
        self._looked = now
        return self._database

    def _shut(self) -> None:
        self._stack.close()
        self._stack, self._database = ExitStack(), None


@dataclass(frozen=True, slots=True)
class Reading:
    """The log while a page is made."""

    database: Database

    def ask(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Answer a question in SQL. Raises QuestionError."""
        answer = self.database.ask(sql, parameters)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def usual(self, name: str, query: Query, limit: int | None = None) -> list[Row]:
        """Answer one of the usual questions."""
        return self.ask(*compiled(BY_NAME[name], query, limit))

    def ends(self) -> tuple[Instant, Instant] | None:
        """Give the times of the first and the last record; None where there are none."""
        found = self.ask("SELECT epoch(min(time)) AS first, epoch(max(time)) AS last FROM records")[0]
        first, last = found["first"], found["last"]
        if not isinstance(first, float) or not isinstance(last, float):
            return None
        return Instant(first), Instant(last)


def _holding(directory: Path) -> Holding:
    files = [file.path for folder in log_folders(directory) for file in files_of(folder, Query())]
    return Holding(tuple((path, path.stat().st_size) for path in files))
