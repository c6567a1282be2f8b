"""Reading the log back: records in their order, filtered, with what is damaged or missing reported between them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import orjson

from gateway.audit.files import LogFile, date_of, log_files, open_log_file
from gateway.audit.ocsf import ALLOWED, DENIED, UNKNOWN, milliseconds
from gateway.core.message import Instant

type Dimension = Literal["reason", "partner", "route"]

UNFINISHED = "allowed, no outcome"
"""Counted as the reason of an allowed request whose outcome is not in the log: under way, or cut off by a crash."""

_ENDINGS = frozenset({"decision", "outcome", "connection"})
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as the writer left it."""

    file: Path
    line: int
    """Line in the file, from 1."""
    what: str
    incomplete: bool = False
    """It is the log's last line, which may just be being written."""

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, with the line that holds it."""

    sequence: int
    at: Instant
    record: Mapping[str, Any]
    raw: bytes
    """The line as it stands in the file, without its end."""

    def get(self, *path: str) -> Any:  # noqa: ANN401 - whatever the line holds
        """Give a field by its path; None where it is absent."""
        value: Any = self.record
        for name in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value

    def text(self, *path: str) -> str:
        """Give a field that is text; empty where it is absent or something else."""
        value = self.get(*path)
        return value if isinstance(value, str) else ""

    @property
    def kind(self) -> str:
        """What it is about: a decision, an outcome, a refused connection, a start …, as `ocsf.Kind` has it."""
        return self.text("metadata", "event_code")

    @property
    def correlation(self) -> str:
        """Id of the request or connection it is about; empty where it is about none."""
        return self.text("metadata", "correlation_uid")

    @property
    def reason(self) -> str:
        """The reason's code, or the kind of what happened to the gate."""
        return self.text("status_code")

    @property
    def partner(self) -> str:
        """Who called, as verified; empty where nobody was."""
        return self.text("actor", "app_uid")

    @property
    def route(self) -> str:
        """Name of the route; empty where there is none."""
        route = self.text("api", "operation")
        return "" if route == UNKNOWN else route

    @property
    def denied(self) -> bool | None:
        """Whether a request or connection was denied; None where it is about neither."""
        return self.get("action_id") == DENIED if self.kind in _ENDINGS else None


@dataclass(frozen=True, slots=True)
class Query:
    """Which records are wanted: those that fit everything given."""

    partner: str | None = None
    route: str | None = None
    reason: str | None = None
    """A code, or a pattern with `*` and `?`, such as `token.*`."""
    denied: bool | None = None
    since: Instant | None = None
    until: Instant | None = None
    """Records before it."""
    request: str | None = None
    """Id of a request or a connection."""

    def fits(self, entry: Entry) -> bool:
        """Whether the record is wanted."""
        return (
            (self.request is None or entry.correlation == self.request)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (self.partner is None or entry.partner == self.partner)
            and (self.route is None or entry.route == self.route)
            and (self.denied is None or entry.denied is self.denied)
            and (self.reason is None or fnmatchcase(entry.reason, self.reason))
        )


def read(
    directory: Path, query: Query | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Entry | Damage]:
    """Give the records that fit, in the log's order, and all damage between them.

    Files that lie outside the query's time are skipped, and not looked at for damage. `progress` is called with
    the number of bytes of each line that was read. Raises OSError where a file cannot be read.
    """
    query = query or Query()
    files = files_of(directory, query)
    expected = files[0].first if files else 0
    for file in files:
        with open_log_file(file.path) as opened:
            for number, line in enumerate(opened, 1):
                if progress is not None:
                    progress(len(line))
                entry = entry_of(line)
                if entry is None:
                    yield _damage(file, number, line, newest=file is files[-1])
                    expected += 1
                    continue
                if entry.sequence != expected:
                    yield Damage(file.path, number, _misplaced(entry.sequence, expected))
                expected = entry.sequence + 1
                if query.fits(entry):
                    yield entry


def files_of(directory: Path, query: Query) -> list[LogFile]:
    """Give the files that may hold records of the query's time. Raises OSError."""
    first = "" if query.since is None else date_of(query.since)
    # A day more: where the clock was set back, a file holds records of the time before its date.
    last = "9999-12-31" if query.until is None else date_of(Instant(query.until + _DAY))
    return [file for file in log_files(directory) if first <= file.date <= last]


def count_by(
    directory: Path,
    dimension: Dimension,
    report: Callable[[Damage], None],
    query: Query | None = None,
    progress: Callable[[int], None] | None = None,
) -> Counter[str]:
    """Count requests and refused connections, each once, by what became of it.

    An allowed request counts by its outcome; without one, as UNFINISHED. What has no partner or route counts as
    UNKNOWN. Damage is given to `report`. Raises OSError.
    """
    query = query or Query()
    counted: Counter[str] = Counter()
    for entry in _endings(read(directory, replace(query, reason=None), progress), report):
        reason = UNFINISHED if _awaits_outcome(entry) else entry.reason
        if query.reason is None or fnmatchcase(reason, query.reason):
            value = {"reason": reason, "partner": entry.partner, "route": entry.route}[dimension]
            counted[value or UNKNOWN] += 1
    return counted


def _endings(entries: Iterator[Entry | Damage], report: Callable[[Damage], None]) -> Iterator[Entry]:
    """Give the last record of each request and refused connection."""
    open_requests: dict[str, Entry] = {}
    for entry in entries:
        if isinstance(entry, Damage):
            report(entry)
        elif _awaits_outcome(entry):
            open_requests[entry.correlation] = entry
        elif entry.kind in _ENDINGS:
            open_requests.pop(entry.correlation, None)
            yield entry
    yield from open_requests.values()


def _awaits_outcome(entry: Entry) -> bool:
    return entry.kind == "decision" and entry.get("action_id") == ALLOWED


def entry_of(line: bytes) -> Entry | None:
    """Read a line with its end; None where it is no record."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = orjson.loads(line)
        sequence, time = record["metadata"]["sequence"], record["time"]
    except (ValueError, KeyError, TypeError):
        return None
    if type(sequence) is not int or type(time) is not int or milliseconds(Instant(time / 1000)) != time:
        return None
    return Entry(sequence, Instant(time / 1000), record, line[:-1])


def _damage(file: LogFile, number: int, line: bytes, *, newest: bool) -> Damage:
    if line.endswith(b"\n"):
        return Damage(file.path, number, "not a record")
    if newest:
        return Damage(file.path, number, "incomplete: just being written, or torn by a crash", incomplete=True)
    return Damage(file.path, number, "incomplete: torn by a crash")


def _misplaced(sequence: int, expected: int) -> str:
    if sequence < expected:
        return f"sequence {sequence} where {expected} should follow"
    missing = f"{expected}" if sequence == expected + 1 else f"{expected} to {sequence - 1}"
    return f"records are missing: sequence {missing}"
