"""What is looked at of a record: read by how a record begins, of one alone or of many that are alike at once."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

_TEXT = rb'"[^"\\]*+"'
_HEAD = re.compile(
    rb'\{"time":(-?\d{1,16}),"metadata":\{"version":' + _TEXT + rb',"product":\{"name":' + _TEXT + rb',"vendor_name":'
    + _TEXT + rb',"version":' + _TEXT + rb'\},"profiles":\["security_control"\],"log_name":"audit","event_code":"'
    rb'([^"\\]*)","tenant_uid":' + _TEXT + rb',(?:"correlation_uid":"([^"\\]*)",)?"sequence":(\d{1,18}),"uid":'
    + _TEXT + rb'\},"category_uid":\d+,"class_uid":\d+,"activity_id":\d+,"type_uid":\d+,"severity_id":\d+,"policy":'
    rb'\{"name":' + _TEXT + rb',"uid":' + _TEXT + rb'\},(?:"action_id":(\d+),)?'
)  # fmt: skip
"""How a record begins. One that begins otherwise is read as JSON, which takes longer."""

_TIME = b'{"time":'
_TIME_END = len(_TIME) + 13
"""Where the time of a record ends that was written between 2001 and 2286."""

_SEQUENCE = rb'","sequence":(\d{1,18}),'
_ALLOWED = b',"action_id":1,'
DECISION, OUTCOME = b"decision", b"outcome"


class Head(NamedTuple):
    """What is looked at of a record."""

    time: int
    kind: bytes
    correlation: bytes | None
    sequence: int
    allowed: bool


class Run(NamedTuple):
    """The same of records that follow each other, all about requests."""

    times: Sequence[int]
    kinds: Sequence[bytes]
    correlations: Sequence[bytes]
    sequences: Sequence[int]
    allowed: Sequence[bool]


class Alike:
    """Reads records that begin as those before them did: what they have in common is compared, not read."""

    def __init__(self) -> None:
        self._before = b""
        """What stands between time and kind."""
        self._match = re.compile(rb"(?!)").match
        """Finds kind, request and sequence behind that."""

    def run(self, data: bytes, starts: Sequence[int], ends: Sequence[int]) -> Run | None:
        """Read records about requests, by where their lines stand; None where one is another, or begins otherwise."""
        first = starts[0] + _TIME_END
        if not data.startswith(self._before, first) or self._match(data, first + len(self._before)) is None:
            self._learn(data[starts[0] : ends[0]])
        before, begins, match = self._before, data.startswith, self._match
        kind = _TIME_END + len(before)
        if not before or False in [begins(_TIME, at) and begins(before, at + _TIME_END) for at in starts]:
            return None
        times = [data[at + len(_TIME) : at + _TIME_END] for at in starts]
        found = [match(data, at + kind) for at in starts]
        if None in found or not b"".join(times).isdigit():
            return None
        kinds, correlations, sequences = zip(*[one.groups() for one in found if one], strict=True)
        find = data.find
        allowed = [find(_ALLOWED, at + kind, end) > 0 for at, end in zip(starts, ends, strict=True)]
        return Run(list(map(int, times)), kinds, correlations, list(map(int, sequences)), allowed)

    def _learn(self, line: bytes) -> None:
        match = _HEAD.match(line)
        if match is None or match[3] is None or match.end(1) != _TIME_END:
            self._before = b""
            return
        self._before = line[_TIME_END : match.start(2)]
        between = re.escape(line[match.end(2) : match.start(3)])
        kinds = DECISION + b"|" + OUTCOME
        self._match = re.compile(b"(" + kinds + b")" + between + rb'([^"\\\n]*)' + _SEQUENCE).match


def head_of(line: bytes) -> Head | None:
    """Read what is looked at of a record; None where it is none."""
    match = _HEAD.match(line)
    if match is not None:
        time, kind, correlation, sequence, action = match.groups()
        return Head(int(time), kind, correlation, int(sequence), action == b"1")
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


def last_deleted(line: bytes) -> int:
    """Give the sequence up to which a record says that records are deleted; 0 where it says none."""
    try:
        last = json.loads(line)["unmapped"]["last_sequence"]
    except (ValueError, KeyError, TypeError):
        return 0
    return last if type(last) is int else 0
