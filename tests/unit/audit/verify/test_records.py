from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.audit.events import Event
from gateway.audit.files import file_name
from gateway.audit.record import line
from gateway.audit.verify import records
from gateway.audit.verify.files import segments
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.heads import Alike
from gateway.audit.verify.records import Records
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, EVENTS, NOW, changed, decided, finished


def written(events: Sequence[Event]) -> list[bytes]:
    return [line(event, number, "0" * 12) for number, event in enumerate(events, 1)]


def looked_at(directory: Path, *files: tuple[int, bytes], first: int = 1) -> tuple[list[bytes | None], Findings]:
    for start, data in files:
        (directory / file_name("2026-11-22", start)).write_bytes(data)
    found = Findings()
    leaves = [leaf for some in Records(segments(directory), first, found, None) for leaf in some]
    assert all(leaf is None or leaf[:1] == b"\0" for leaf in leaves)
    return [None if leaf is None else bytes(leaf[1:]) for leaf in leaves], found


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


def mix(*damage: int) -> bytes:
    """Records about requests, others between them, and lines that were dropped, doubled, swapped or made longer."""
    events: list[Event] = [
        changed(event, at=Instant(NOW + number), request_id=f"r-{number // 2}")
        for number, event in enumerate([decided(), finished()] * 40)
    ]
    events[30] = changed(EVENTS["start"], at=Instant(NOW + 30))
    events[50] = changed(EVENTS["connection"], at=Instant(NOW - 500))
    lines = written(events)
    for kind, place in zip(damage, (10, 29, 44, 61, 78), strict=False):
        if kind == 1:
            del lines[place]
        elif kind == 2:
            lines.insert(place, lines[place - 3])
        elif kind == 3:
            lines[place], lines[place + 1] = lines[place + 1], lines[place]
        elif kind == 4:
            lines[place] = lines[place][:-1] + b"x" * 70_000 + b"\n"
        elif kind == 5:
            lines[place] = b"rubbish\n"
    return b"".join(lines)


@pytest.mark.parametrize("damage", [(), (1,), (0, 2), (0, 0, 3), (0, 0, 0, 4), (5, 1, 2, 3, 4), (4, 5, 3, 1, 2)])
def test_all_at_once_says_what_one_by_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: tuple[int, ...]
) -> None:
    data = mix(*damage)
    with monkeypatch.context() as patched:
        patched.setattr(Alike, "run", lambda *_: None)
        patched.setattr(records, "CHUNK", 10_000_000)
        read, wanted = looked_at(tmp_path, (1, data))
    for chunk in (700, 5_000, 20_000, 100_000):
        monkeypatch.setattr(records, "CHUNK", chunk)
        again, found = looked_at(tmp_path, (1, data))
        assert again == read
        assert (found.problems, found.notices, found.records) == (wanted.problems, wanted.notices, wanted.records)
    assert wanted.count >= len([kind for kind in damage if kind])


def test_most_records_are_read_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each: list[int] = []
    alone = Records._each
    monkeypatch.setattr(
        Records, "_each", lambda self, lines, *place: each.append(len(lines)) or alone(self, lines, *place)
    )
    looked_at(tmp_path, (1, b"".join(LINES)))
    assert each == []
