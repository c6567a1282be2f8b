"""The log's own files, read record by record: numbers without a gap, times that go on, an outcome to each allow."""

import json
import re
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile
from typing import BinaryIO, NamedTuple

from gateway.audit.verify.files import Segment
from gateway.audit.verify.findings import Findings, Progress

MAX_GAP = 1_000_000
"""Records that may be missing on end and are told of as missing; more is a number that was made up."""

MAX_LINE = 65_536
"""Bytes of a line with its end: an entry has at most 65,535."""

BACK_MS = 60_000
"""Milliseconds that times may go back: some events are dated when what they tell of began."""

_TEXT = rb'"[^"\\]*+"'
_HEAD = re.compile(
    rb'\{"time":(-?\d{1,16}),"metadata":\{"version":' + _TEXT + rb',"product":\{"name":' + _TEXT + rb',"vendor_name":'
    + _TEXT + rb',"version":' + _TEXT + rb'\},"profiles":\["security_control"\],"log_name":"audit","event_code":"'
    rb'([^"\\]*)","tenant_uid":' + _TEXT + rb',(?:"correlation_uid":"([^"\\]*)",)?"sequence":(\d{1,18}),"uid":'
    + _TEXT + rb'\},"category_uid":\d+,"class_uid":\d+,"activity_id":\d+,"type_uid":\d+,"severity_id":\d+,"policy":'
    rb'\{"name":' + _TEXT + rb',"uid":' + _TEXT + rb'\},(?:"action_id":(\d+),)?'
)  # fmt: skip
"""How a record begins. One that begins otherwise is read as JSON, which takes four times as long."""

_ALLOWED = b"1"
_TIME, _SEQUENCE, _ACTION = b'{"time":', b'","sequence":', b',"action_id":'


class Head(NamedTuple):
    """What is looked at of a record."""

    time: int
    kind: bytes
    correlation: bytes | None
    sequence: int
    allowed: bool


_head = Head._make


class Records:
    """Goes through the files in order; what is wrong goes to the findings."""

    def __init__(self, files: list[Segment], first: int, findings: Findings, progress: Progress | None) -> None:
        self.place: tuple[Segment, int] | None = None
        """File and line of the record that was read last."""
        self.deleted = 0
        """Sequence of the last record that the log itself says to be deleted."""
        self._same: tuple[bytes, bytes] | None = None
        """What stands between time and kind, and between kind and request, of every record about a request."""
        self._files = files
        self._expected = first
        self._findings = findings
        self._progress = progress
        self._time = 0
        self._open: dict[bytes, int] = {}
        """Requests that were allowed and have no outcome yet, and the sequence of the allow."""
        self._whole_from_start = first == 1
        self._cut: list[int] = []

    @property
    def where(self) -> str:
        """The place, for findings."""
        return "no file" if self.place is None else f"{self.place[0].path.name}:{self.place[1]}"

    def __iter__(self) -> Iterator[bytes | None]:
        """Give the line of every record, each without its end, and None where it is missing. Raises OSError."""
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
                with file.open() as opened:
                    yield from self._of(file, opened)
            except (EOFError, BadGzipFile, zlib.error):
                self._findings.problem(f"{file.path.name} cannot be decompressed", self._expected)
        self._end()

    def _of(self, file: Segment, opened: BinaryIO) -> Iterator[bytes | None]:
        lines = iter(opened)
        number = 0
        line = next(lines, b"")
        while line:
            number += 1
            self.place = file, number
            if self._progress is not None:
                self._progress(len(line))
            if line[-1:] != b"\n":
                self._torn(newest=file is self._files[-1])
                return
            following = None
            head = self._head_of(line) if len(line) <= MAX_LINE else None
            if head is None:
                self._findings.problem(f"{self.where} is not a record", self._expected)
            elif head.sequence != self._expected:
                following = next(lines, b"")
                if self._is_misnumbered(head, following):
                    self._findings.problem(f"{self.where} says that it is {head.sequence}", self._expected)
                elif head.sequence < self._expected:
                    self._findings.problem(f"{self.where}: it stands behind record {self._expected - 1}", head.sequence)
                    line = following
                    continue
                else:
                    yield from self._missing(head.sequence, f"before {self.where}")
            if head is not None:
                self._look_at(head, line)
            self._expected += 1
            self._findings.records += 1
            yield line[:-1] if len(line) <= MAX_LINE else None
            line = next(lines, b"") if following is None else following

    def _head_of(self, line: bytes) -> Head | None:
        """Read what is looked at; of most records by what they have in common with those before."""
        if self._same is not None:
            head = _quickly(line, *self._same)
            if head is not None:
                return head
        match = _HEAD.match(line)
        if match is not None and match[3] is not None and match[5] is not None:
            self._same = line[match.end(1) : match.start(2)], line[match.end(2) : match.start(3)]
        return head_of(line)

    def _is_misnumbered(self, head: Head, following: bytes) -> bool:
        """Whether a record has another's number: where it is absurd, or the next one goes on as it should."""
        after = head_of(following)
        return head.sequence - self._expected > MAX_GAP or (after is not None and after.sequence == self._expected + 1)

    def _missing(self, until: int, where: str) -> Iterator[bytes | None]:
        """Give the records from the expected one until before another as missing."""
        first, last = self._expected, until - 1
        if last < first:
            return
        self._findings.problem(f"missing {where}" if first == last else f"missing {where}, up to {last}", first)
        self._whole_from_start = False
        for sequence in range(first, until):
            self._expected = sequence + 1
            yield None

    def _torn(self, *, newest: bool) -> None:
        if newest:
            self._findings.notice(f"{self.where} is incomplete: just being written, or torn by a crash")
        else:
            self._findings.problem(f"{self.where} is incomplete", self._expected)

    def _look_at(self, head: Head, line: bytes) -> None:
        if head.time > self._time:
            self._time = head.time
        elif head.time < self._time - BACK_MS:
            back = (self._time - head.time) / 1000
            self._findings.notice(f"record {head.sequence}: the clock was set back by {back:.0f} s")
            self._time = head.time
        if head.kind == b"decision":
            self._decision(head)
        elif head.kind == b"outcome":
            self._outcome(head)
        elif head.kind == b"start":
            self._cut += self._open.values()
            self._open.clear()
        elif head.kind == b"log.deleted":
            self.deleted = max(self.deleted, _last_deleted(line))

    def _decision(self, head: Head) -> None:
        if head.correlation is None:
            self._findings.problem("a decision without the id of its request", head.sequence)
        elif head.allowed:
            if head.correlation in self._open:
                self._findings.problem(
                    f"its request was allowed by record {self._open[head.correlation]} already", head.sequence
                )
            self._open[head.correlation] = head.sequence

    def _outcome(self, head: Head) -> None:
        if self._open.pop(head.correlation or b"", None) is None and self._whole_from_start:
            self._findings.problem("an outcome without a decision that allowed its request", head.sequence)

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


def _quickly(line: bytes, before_kind: bytes, before_request: bytes) -> Head | None:
    """Read what is looked at of a record that is like others; None where it is not."""
    time_end = line.find(b",", 8, 32)
    kind = time_end + len(before_kind)
    kind_end = line.find(b'"', kind, kind + 32)
    request = kind_end + len(before_request)
    request_end = line.find(b'"', request, request + 128)
    number = request_end + len(_SEQUENCE)
    number_end = line.find(b",", number, number + 20)
    action = line.find(_ACTION, number_end, number_end + 512) + len(_ACTION)
    written, sequence, correlation = line[8:time_end], line[number:number_end], line[request:request_end]
    if not (
        line.startswith(_TIME)
        and line.startswith(before_kind, time_end)
        and line.startswith(before_request, kind_end)
        and line.startswith(_SEQUENCE, request_end)
        and action >= len(_ACTION)
        and written.isdigit()
        and sequence.isdigit()
        and b"\\" not in correlation
    ):
        return None
    return _head((int(written), line[kind:kind_end], correlation, int(sequence), line[action : action + 2] == b"1,"))


def _last_deleted(line: bytes) -> int:
    """Give the sequence up to which a record says that records are deleted; 0 where it says none."""
    try:
        last = json.loads(line)["unmapped"]["last_sequence"]
    except (ValueError, KeyError, TypeError):
        return 0
    return last if type(last) is int else 0


def head_of(line: bytes) -> Head | None:
    """Read what is looked at of a record; None where it is none."""
    match = _HEAD.match(line)
    if match is not None:
        time, kind, correlation, sequence, action = match.groups()
        return _head((int(time), kind, correlation, int(sequence), action == _ALLOWED))
    try:
        record = json.loads(line)
        about = record["metadata"]
        time, sequence, kind, correlation = (
            record["time"], about["sequence"], about["event_code"], about.get("correlation_uid"),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if type(time) is not int or type(sequence) is not int or type(kind) is not str:
        return None
    of_request = correlation.encode("utf-8", "surrogatepass") if isinstance(correlation, str) else None
    return Head(time, kind.encode("utf-8", "surrogatepass"), of_request, sequence, record.get("action_id") == 1)
