"""The log's own files, read record by record: numbers without a gap, times that go on, an outcome to each allow."""

import zlib
from collections.abc import Iterator
from gzip import BadGzipFile
from itertools import pairwise
from operator import sub
from typing import BinaryIO

from gateway.audit.verify.files import Segment
from gateway.audit.verify.findings import Findings, Progress
from gateway.audit.verify.heads import DECISION, OUTCOME, Alike, Head, Run, head_of, last_deleted

MAX_GAP = 1_000_000
"""Records that may be missing on end and are told of as missing; more is a number that was made up."""

MAX_LINE = 65_535
"""Bytes of a line without its end, as of an entry."""

BACK_MS = 60_000
"""Milliseconds that times may go back: some events are dated when what they tell of began."""

CHUNK = 131_072
"""Bytes that are read at once: some 60 records. Larger pieces of new memory cost more than they save."""

type Leaf = bytes | memoryview
"""A record as it is hashed: its line without its end, behind the byte 0."""

type Leaves = list[Leaf | None]
"""Records that follow each other; None: it is missing."""


class Records:
    """Goes through the files in order; what is wrong goes to the findings."""

    def __init__(self, files: list[Segment], first: int, findings: Findings, progress: Progress | None) -> None:
        self.deleted = 0
        """Sequence of the last record that the log itself says to be deleted."""
        self._alike = Alike()
        self._files = files
        self._expected = first
        self._findings = findings
        self._progress = progress
        self._time = 0
        self._open: dict[bytes, int] = {}
        """Requests that were allowed and have no outcome yet, and the sequence of the allow."""
        self._whole_from_start = first == 1
        self._cut: list[int] = []

    def file_of(self, sequence: int) -> str:
        """Name the file in which a record stands, or should."""
        return next((file.path.name for file in reversed(self._files) if file.first <= sequence), "no file")

    def __iter__(self) -> Iterator[Leaves]:
        """Give all records, some at a time. Raises OSError."""
        for file in self._files:
            if file.first < self._expected:
                self._findings.problem(
                    f"{file.path.name} begins with it, but {self._expected} should follow: it is not looked at",
                    file.first,
                )
                continue
            if file.first - self._expected > MAX_GAP:
                self._findings.problem(f"missing before {file.path.name}: too many to go on", self._expected)
                break
            yield from self._missing(file.first, f"before {file.path.name}")
            try:
                with file.open(buffered=False) as opened:
                    yield from self._of(file, opened)
            except (EOFError, BadGzipFile, zlib.error):
                self._findings.problem(f"{file.path.name} cannot be decompressed", self._expected)
        self._end()

    def _of(self, file: Segment, opened: BinaryIO) -> Iterator[Leaves]:
        number, rest, more = 0, b"\n", True
        while more:
            read = opened.read(CHUNK)
            more = bool(read)
            if self._progress is not None:
                self._progress(len(read))
            # Each line is kept with the end of the one before it, which becomes its byte 0: so nothing is copied.
            data = rest + read
            ends, end = [], data.find(b"\n", 1)
            while end > 0:
                ends.append(end)
                end = data.find(b"\n", end + 1)
            if self._plain(data, ends):
                view = memoryview(data.replace(b"\n", b"\0"))
                yield [view[start:end] for start, end in pairwise([0, *ends])]
            elif ends:
                if more:
                    ends.pop()  # what is behind the last line is needed to judge it
                yield from self._each([data[start + 1 : end] for start, end in pairwise([0, *ends])], file, number)
            number += len(ends)
            rest = data[ends[-1] :] if ends else data
            if not ends and len(rest) > 2 * MAX_LINE:
                rest = rest[: MAX_LINE + 2]  # no record, whatever else it has
        if len(rest) > 1:
            self._torn(f"{file.path.name}:{number + 1}", newest=file is self._files[-1])

    def _plain(self, data: bytes, ends: list[int]) -> bool:
        """Take records all at once, if nothing about their numbers and times is to be told."""
        if not ends:
            return False
        starts = [1, *[end + 1 for end in ends[:-1]]]
        run = self._alike.run(data, starts, ends)
        if run is None or run.sequences != list(range(self._expected, self._expected + len(ends))):
            return False
        latest = max(self._time, *run.times)
        longest = max(map(sub, ends, starts))
        if min(run.times) < latest - BACK_MS or longest > MAX_LINE:
            return False
        self._time = latest
        self._expected += len(ends)
        self._findings.records += len(ends)
        self._pair(run)
        return True

    def _pair(self, run: Run) -> None:
        """Look for the outcome to each allow."""
        still_open = self._open
        for kind, correlation, sequence, allowed in zip(
            run.kinds, run.correlations, run.sequences, run.allowed, strict=True
        ):
            if kind == OUTCOME:
                if still_open.pop(correlation, None) is None:
                    self._unopened(sequence)
            elif allowed:
                if correlation in still_open:
                    self._repeated(correlation, sequence)
                still_open[correlation] = sequence

    def _each(self, lines: list[bytes], file: Segment, number: int) -> Iterator[Leaves]:
        """Take records one by one; `number` is that of the line before them."""
        for place, (line, following) in enumerate(zip(lines, [*lines[1:], b""], strict=False), number + 1):
            where = f"{file.path.name}:{place}"
            head = head_of(line) if len(line) <= MAX_LINE else None
            if head is None:
                self._findings.problem(f"{where} is not a record", self._expected)
            elif head.sequence != self._expected:
                if self._is_misnumbered(head, following):
                    self._findings.problem(f"{where} says that it is {head.sequence}", self._expected)
                elif head.sequence < self._expected:
                    self._findings.problem(f"{where}: it stands behind record {self._expected - 1}", head.sequence)
                    continue
                else:
                    yield from self._missing(head.sequence, f"before {where}")
            if head is not None:
                self._look_at(head, line)
            self._expected += 1
            self._findings.records += 1
            yield [b"\0" + line if len(line) <= MAX_LINE else None]

    def _is_misnumbered(self, head: Head, following: bytes) -> bool:
        """Whether a record has another's number: where it is absurd, or the next one goes on as it should."""
        after = head_of(following)
        return head.sequence - self._expected > MAX_GAP or (after is not None and after.sequence == self._expected + 1)

    def _missing(self, until: int, where: str) -> Iterator[Leaves]:
        """Give the records from the expected one until before another as missing."""
        first, last = self._expected, until - 1
        if last < first:
            return
        self._findings.problem(f"missing {where}" if first == last else f"missing {where}, up to {last}", first)
        self._whole_from_start = False
        self._expected = until
        yield [None] * (until - first)

    def _torn(self, where: str, *, newest: bool) -> None:
        if newest:
            self._findings.notice(f"{where} is incomplete: just being written, or torn by a crash")
        else:
            self._findings.problem(f"{where} is incomplete", self._expected)

    def _look_at(self, head: Head, line: bytes) -> None:
        if head.time > self._time:
            self._time = head.time
        elif head.time < self._time - BACK_MS:
            back = (self._time - head.time) / 1000
            self._findings.notice(f"record {head.sequence}: the clock was set back by {back:.0f} s")
            self._time = head.time
        if head.kind == DECISION:
            self._decision(head)
        elif head.kind == OUTCOME:
            self._outcome(head)
        elif head.kind == b"start":
            self._cut += self._open.values()
            self._open.clear()
        elif head.kind == b"log.deleted":
            self.deleted = max(self.deleted, last_deleted(line))

    def _decision(self, head: Head) -> None:
        if head.correlation is None:
            self._findings.problem("a decision without the id of its request", head.sequence)
        elif head.allowed:
            if head.correlation in self._open:
                self._repeated(head.correlation, head.sequence)
            self._open[head.correlation] = head.sequence

    def _outcome(self, head: Head) -> None:
        if self._open.pop(head.correlation or b"", None) is None:
            self._unopened(head.sequence)

    def _repeated(self, correlation: bytes, sequence: int) -> None:
        self._findings.problem(f"its request was allowed by record {self._open[correlation]} already", sequence)

    def _unopened(self, sequence: int) -> None:
        if self._whole_from_start:
            self._findings.problem("an outcome without a decision that allowed its request", sequence)

    def _end(self) -> None:
        if self._cut:
            self._findings.notice(
                f"{len(self._cut)} allowed requests have no outcome, the first by record {min(self._cut)}: the gate"
                " crashed or was killed; reconcile them with the upstream"
            )
        if self._open:
            self._findings.notice(
                f"{len(self._open)} allowed requests at the end have no outcome yet, the first by record"
                f" {min(self._open.values())}"
            )
