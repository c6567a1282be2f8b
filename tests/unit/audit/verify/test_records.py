from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from gateway.audit.events import Event
from gateway.audit.files import file_name
from gateway.audit.record import line
from gateway.audit.verify import records
from gateway.audit.verify.files import segments
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.records import Head, Records, head_of
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, EVENTS, NOW, changed, decided, finished


def written(events: Sequence[Event]) -> list[bytes]:
    return [line(event, number, "0" * 12) for number, event in enumerate(events, 1)]


def looked_at(directory: Path, *files: tuple[int, bytes], first: int = 1) -> tuple[list[bytes | None], Findings]:
    for start, data in files:
        (directory / file_name("2026-11-22", start)).write_bytes(data)
    found = Findings()
    return list(Records(segments(directory), first, found, None)), found


def problems(directory: Path, *files: tuple[int, bytes]) -> list[str]:
    return [str(problem) for problem in looked_at(directory, *files)[1].problems]


PAIRS = [
    changed(event, at=Instant(NOW + number), request_id=f"r-{number // 2}")
    for number, event in enumerate([decided(), finished()] * 3)
]
LINES = written(PAIRS)
FILE = file_name("2026-11-22", 1)


def test_records_in_their_order(tmp_path: Path) -> None:
    read, found = looked_at(tmp_path, (1, b"".join(LINES[:3])), (4, b"".join(LINES[3:])))
    assert read == [one[:-1] for one in LINES]
    assert found.count == 0
    assert found.notices == []
    assert found.records == 6


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_every_kind_of_record_is_read_by_its_beginning(event: Event) -> None:
    made = line(event, 7, "0" * 12)
    record = orjson.loads(made)
    about = record["metadata"]
    correlation = about.get("correlation_uid")
    wanted = Head(
        record["time"], about["event_code"].encode(), correlation and correlation.encode(), 7,
        allowed=False,
    )  # fmt: skip
    assert records._HEAD.match(made)
    for head in (head_of(made), head_of(b" " + made)):  # the second as JSON that looks another way
        assert head is not None
        assert head._replace(allowed=False) == wanted
        assert head.allowed == (record.get("action_id") == 1) or head.kind != b"decision"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b'{"time":1,"metadata":{"sequence":"1","event_code":"x"}}', b"7", b'{"metadata":7}'],
)
def test_what_is_no_record(text: bytes) -> None:
    assert head_of(text) is None


def test_a_record_that_is_missing(tmp_path: Path) -> None:
    read, found = looked_at(tmp_path, (1, b"".join(LINES[:2] + LINES[4:])))
    assert [str(one) for one in found.problems] == [
        "record 3: missing before audit-2026-11-22_000000000001.jsonl:3, up to 4"
    ]
    assert read[2:4] == [None, None]


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    assert problems(tmp_path, (1, b"".join(LINES[:2])), (4, b"".join(LINES[3:]))) == [
        "record 3: missing before audit-2026-11-22_000000000004.jsonl"
    ]


def test_two_records_that_were_swapped(tmp_path: Path) -> None:
    swapped = [*LINES[:2], LINES[3], LINES[2], *LINES[4:]]
    assert problems(tmp_path, (1, b"".join(swapped)))[:2] == [
        "record 3: missing before audit-2026-11-22_000000000001.jsonl:3",
        "record 3: audit-2026-11-22_000000000001.jsonl:4: it stands behind record 4",
    ]


def test_a_record_with_another_number(tmp_path: Path) -> None:
    forged = LINES[2].replace(b'"sequence":3,', b'"sequence":5,')
    assert problems(tmp_path, (1, b"".join([*LINES[:2], forged, *LINES[3:]]))) == [
        "record 3: audit-2026-11-22_000000000001.jsonl:3 says that it is 5"
    ]
    forged = LINES[5].replace(b'"sequence":6,', b'"sequence":99999999,')
    assert problems(tmp_path, (1, b"".join([*LINES[:5], forged]))) == [
        "record 6: audit-2026-11-22_000000000001.jsonl:6 says that it is 99999999"
    ]


def test_a_line_that_is_no_record(tmp_path: Path) -> None:
    read, found = looked_at(tmp_path, (1, b"".join([*LINES[:2], b"x" * 70_000 + b"\n", b"rubbish\n", *LINES[4:]])))
    assert [str(one) for one in found.problems] == [
        "record 3: audit-2026-11-22_000000000001.jsonl:3 is not a record",
        "record 4: audit-2026-11-22_000000000001.jsonl:4 is not a record",
    ]
    assert read[2:4] == [None, b"rubbish"]


def test_a_torn_line(tmp_path: Path) -> None:
    _, found = looked_at(tmp_path, (1, b"".join(LINES) + b'{"time'))
    assert found.count == 0
    assert found.notices == [f"{FILE}:7 is incomplete: just being written, or torn by a crash"]
    assert problems(tmp_path, (1, LINES[0] + LINES[1][:50]), (2, b"".join(LINES[1:]))) == [
        "record 2: audit-2026-11-22_000000000001.jsonl:2 is incomplete"
    ]


def test_files_that_overlap(tmp_path: Path) -> None:
    assert problems(tmp_path, (1, b"".join(LINES[:4])), (4, b"".join(LINES[3:]))) == [
        "record 4: audit-2026-11-22_000000000004.jsonl begins with it, but 5 should follow: it is not looked at"
    ]


def test_a_file_from_far_away(tmp_path: Path) -> None:
    assert problems(tmp_path, (1, b"".join(LINES)), (9_000_000, b"")) == [
        "record 7: missing before audit-2026-11-22_000009000000.jsonl: too many to go on"
    ]


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    back = written([PAIRS[0], changed(PAIRS[1], at=Instant(NOW - 3_600)), changed(PAIRS[2], at=Instant(NOW - 3_599))])
    assert looked_at(tmp_path, (1, b"".join(back)))[1].notices[0] == "record 2: the clock was set back by 3600 s"
    assert len(looked_at(tmp_path, (1, b"".join(back)))[1].notices) == 2
    little = written([changed(PAIRS[0], at=Instant(NOW + 59)), PAIRS[1]])
    assert looked_at(tmp_path, (1, b"".join(little)))[1].notices == []


def test_an_outcome_without_a_decision(tmp_path: Path) -> None:
    assert problems(tmp_path, (1, b"".join(written([PAIRS[0], PAIRS[3]])))) == [
        "record 2: an outcome without a decision that allowed its request"
    ]
    assert problems(tmp_path, (1, b"".join(written([DENIED, finished()])))) == [
        "record 2: an outcome without a decision that allowed its request"
    ]


def test_a_request_that_is_allowed_twice(tmp_path: Path) -> None:
    assert problems(tmp_path, (1, b"".join(written([PAIRS[0], PAIRS[0]])))) == [
        "record 2: its request was allowed by record 1 already"
    ]


def test_a_decision_about_nothing(tmp_path: Path) -> None:
    nameless = LINES[0].replace(b'"correlation_uid":"r-0",', b"")
    assert problems(tmp_path, (1, nameless)) == ["record 1: a decision without the id of its request"]


def test_outcomes_whose_decisions_were_deleted(tmp_path: Path) -> None:
    data = b"".join(LINES[1:])
    _, found = looked_at(tmp_path, (2, data), first=2)
    assert found.count == 0


def test_requests_without_an_outcome(tmp_path: Path) -> None:
    crashed = written([PAIRS[0], PAIRS[2], EVENTS["start"], PAIRS[4]])
    assert looked_at(tmp_path, (1, b"".join(crashed)))[1].notices[-2:] == [
        (
            "2 allowed requests have no outcome, the first by record 1: the gate crashed or was killed;"
            " reconcile them with the upstream"
        ),
        "1 allowed requests at the end have no outcome yet, the first by record 4",
    ]


def test_reading_tells_how_far_it_is(tmp_path: Path) -> None:
    data = b"".join(LINES)
    (tmp_path / file_name("2026-11-22", 1)).write_bytes(data)
    sizes: list[int] = []
    list(Records(segments(tmp_path), 1, Findings(), sizes.append))
    assert sum(sizes) == len(data)
