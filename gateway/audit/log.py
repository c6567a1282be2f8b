"""The log itself: one JSON line a record, numbered without a gap, handed to the kernel before `append` returns."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gateway.audit.events import (
    ConnectionRefused,
    ControlFailed,
    ControlRecovered,
    Event,
    PolicyFacts,
    RequestDecided,
)
from gateway.audit.files import LogFile, date_of, end_of_date, log_files
from gateway.audit.lock import DirectoryLock, LogInUseError
from gateway.audit.record import line, policy_of
from gateway.audit.segment import LostError, Segment, Tail, read_tail
from gateway.core.exchange import failure
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable

MAX_BYTES = 268_435_456
"""Size from which the log goes on in a new file: 256 MiB, some 130,000 records."""

MAX_OWED = 1024
"""Records kept in memory while the log cannot be written: outcomes of what was under way then, some 2 MB of them."""

LOOK_EVERY = 0.02
"""Seconds of events that are written without another look whether their file was removed."""


@dataclass(slots=True)
class _Failure:
    """What must be told once the log can be written again."""

    detail: str
    at: Instant | None = None
    """When it began; None: not known before the next event."""
    policy: PolicyFacts | None = None
    denied: int = 0
    connections: int = 0
    owed: list[bytes] = field(default_factory=list)
    """Lines to be written late. Their sequence is fixed: that of the log stands still until the failure is told."""
    lost: int = 0

    def told(self) -> str:
        """Say what the log lacks."""
        parts = [
            f"{self.denied} decisions, none of them forwarded" if self.denied else "",
            f"{self.connections} refused connections" if self.connections else "",
            f"{self.lost} other records" if self.lost else "",
        ]
        missing = "; ".join(part for part in parts if part)
        return f"written again; not recorded: {missing or 'nothing'}"


class AuditLog:
    """The audit log in a directory, for one writer.

    An acknowledged record survives the death of the process; it survives the death of the machine once `sync` has
    returned. Events are appended from one thread; `sync` may run in another.
    """

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES, published: int = 0) -> None:
        """Open the log and go on behind its last record, and behind the sequence that was `published` already.

        A directory that is not there is made (mode 0700). Raises LogInUseError where another gate writes it, and
        OSError where it cannot be written.
        """
        self.directory = directory
        self.sequence = 0
        """Sequence of the last record written."""
        self.synced = 0
        """Sequence up to which the records are on the disk; those are not of which a loss was noticed."""
        self.published = published
        """How many records a checkpoint counts, as far as the publisher has told."""
        self.losses = 0
        """How often a file was given up of which not all may be on the disk."""
        self._max_bytes = max_bytes
        self._origin = os.urandom(6).hex()
        self._segment: Segment | None = None
        self._date = ""
        self._looked = self._look_again = Instant(-math.inf)
        """Events from the one instant to the other belong into the newest file, and need no look at it."""
        self._failure: _Failure | None = None
        self._unsynced: LostError | None = None
        self._closed = False
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = DirectoryLock(directory)
        try:
            self._continue(published)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failing(self) -> bool:
        """Whether there is a failure that the log does not tell of yet; it will with the next append that succeeds."""
        return self._failure is not None or self._unsynced is not None

    def append(self, event: Event) -> None:
        """Write the record of an event: when this returns, the kernel has it.

        Raises Unavailable(AUDIT_UNAVAILABLE) where it cannot be written; then nothing of it is in the log and its
        sequence is the next record's. Each append tries again. The first that succeeds writes, in one piece and
        before its own record, the failure, the outcomes of what was under way then, and the recovery.
        """
        if self._closed:
            raise RuntimeError("the log is closed")
        if self._unsynced is not None:
            unsynced, self._unsynced = self._unsynced, None
            self._fail(unsynced, event, recordable=False)
        made: bytes | None = None
        try:
            if self._failure is None:
                made = line(event, self.sequence + 1, self._origin)
                self._segment_for(event.at, len(made)).write(made)
                self.sequence += 1
            else:
                made = self._line(event, 2 + len(self._failure.owed))
                lines = [*self._recovery(self._failure, event), made]
                data = b"".join(lines)
                self._segment_for(event.at, len(data)).write(data)
                self.sequence += len(lines)
                self._failure = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the event is not in the log
            recordable = made is not None
            self._count(self._fail(error, event, recordable), event, recordable)
            raise Unavailable(Reason.AUDIT_UNAVAILABLE, _words(error)) from None

    def append_all(self, events: Sequence[Event]) -> list[Unavailable | None]:
        """Write the records of several events, with one system call if possible; gives for each why it is not there.

        Where they cannot be written together, each is appended by itself, as `append` does.
        """
        if len(events) > 1 and self._write_together(events):
            return [None] * len(events)
        return [self._attempt(event) for event in events]

    def _write_together(self, events: Sequence[Event]) -> bool:
        if self._closed or self.failing:
            return False
        try:
            last = events[-1].at
            if date_of(events[0].at) != date_of(last):
                return False
            place, origin = self.sequence + 1, self._origin
            data = b"".join([line(event, place + index, origin) for index, event in enumerate(events)])
            self._segment_for(last, len(data)).write(data)
        except Exception:  # noqa: BLE001 - nothing of them stands; each by itself tells what is wrong
            return False
        self.sequence += len(events)
        return True

    def _attempt(self, event: Event) -> Unavailable | None:
        try:
            self.append(event)
        except Unavailable as unavailable:
            return unavailable
        except Exception as error:  # noqa: BLE001 - a fault of the log's own is no less a failure
            return Unavailable(Reason.AUDIT_UNAVAILABLE, failure(error).detail)
        return None

    def sync(self) -> None:
        """Bring what was appended to the disk; the engine calls it every second, in a thread, for it may take long.

        Does not raise: a failure ends the file, and the next append tells of it in a new one.
        """
        last, segment = self.sequence, self._segment
        try:
            if segment is not None:
                segment.sync()
        except LostError as error:
            self._unsynced = error
            self.losses += 1
        else:
            self.synced = max(self.synced, last)  # a file that was full was synced when the next one began

    def close(self) -> None:
        """Sync and close. Raises Unavailable(AUDIT_UNAVAILABLE) where the last records may not be on the disk."""
        if self._closed:
            return
        self._closed = True
        self.sync()
        self._abandon()
        self._lock.close()
        if self._unsynced is not None:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE, _words(self._unsynced))

    def _continue(self, published: int) -> None:
        files = log_files(self.directory)
        if files:
            self._reopen(files)
        if self.sequence < published:
            # Its numbers are in the tree: given out again, they would be two records.
            lost = f"records {self.sequence + 1} to {published}, which were published, are in no file of the log"
            self._abandon()
            self._failure = self._failure or _Failure(lost)
            self.sequence = published

    def _reopen(self, files: list[LogFile]) -> None:
        newest = files[-1]
        tail = read_tail(newest)
        self.sequence = tail.sequence
        self._date = newest.date
        self._segment = Segment.reopen(newest, tail)
        if tail.torn or tail.damaged:
            self._failure = _Failure(_found(newest.path.name, tail), tail.time)

    def _line(self, event: Event, place: int) -> bytes:
        """Give the line of an event that follows the last one written after `place` others."""
        return line(event, self.sequence + 1 + place, self._origin)

    def _segment_for(self, at: Instant, size: int) -> Segment:
        """Give the file to write to: a new one for a new day, beyond the size, and where the last one was lost."""
        segment = self._segment
        has_room = segment is not None and (not segment.size or segment.size + size <= self._max_bytes)
        if segment is not None and has_room and self._looked <= at < self._look_again:
            return segment
        date = max(date_of(at), self._date)  # a clock set back opens no file that would sort before others
        if segment is None or not has_room or date != segment.date:
            segment = self._next_segment(segment, date)
        else:
            segment.check()
        self._looked, self._look_again = at, min(Instant(at + LOOK_EVERY), end_of_date(at))
        return segment

    def _next_segment(self, last: Segment | None, date: str) -> Segment:
        if last is not None:
            last.sync()
        else:
            self._lock.renew()
        new = Segment.create(self.directory, date, self.sequence + 1)
        self._abandon()
        self._segment = new
        self._date = date
        return new

    def _abandon(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _fail(self, error: Exception, event: Event, recordable: bool) -> _Failure:
        if isinstance(error, LostError):
            self._abandon()
            self.losses += 1
        if self._failure is None:
            # An event of which no record could be made may not even have a policy.
            self._failure = _Failure(_words(error), event.at, policy_of(event) if recordable else None)
        return self._failure

    def _count(self, failed: _Failure, event: Event, recordable: bool) -> None:
        """Count an event that was not written; keep it where it tells of something that happened all the same."""
        if isinstance(event, RequestDecided):
            failed.denied += 1
        elif isinstance(event, ConnectionRefused):
            failed.connections += 1
        elif recordable and len(failed.owed) < MAX_OWED:
            failed.owed.append(self._line(event, 1 + len(failed.owed)))
        else:
            failed.lost += 1

    def _recovery(self, told: _Failure, event: Event) -> list[bytes]:
        """Give the lines that come before the event's: the failure, what is owed, the recovery."""
        policy = policy_of(event)
        since = event.at if told.at is None else told.at
        failed = ControlFailed(at=since, policy=told.policy or policy, control="audit", detail=told.detail)
        recovered = ControlRecovered(
            at=event.at, policy=policy, control="audit", failed_at=since, detail=told.told(), denied=told.denied
        )
        return [self._line(failed, 0), *told.owed, self._line(recovered, 1 + len(told.owed))]


def _found(name: str, tail: Tail) -> str:
    torn = f"{tail.torn} bytes of a torn line (sha256:{tail.torn_digest}) cut off" if tail.torn else ""
    damaged = f"{tail.damaged} lines that cannot be read" if tail.damaged else ""
    return f"found at the end of {name}: {', '.join(part for part in (torn, damaged) if part)}"


def _words(error: Exception) -> str:
    """Say what went wrong: the system's words, or type and place of an error of our own."""
    if isinstance(error, OSError):
        name = f"{Path(error.filename).name}: " if isinstance(error.filename, str) else ""
        return f"{name}{error.strerror or type(error).__name__}"
    if isinstance(error, LogInUseError):
        return str(error)
    return failure(error).detail
