from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.audit.events import Event
from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.reader import UNFINISHED, Damage, Dimension, Entry, Query, count_by, files_of, read
from gateway.core.message import Instant
from gateway.core.policy import Partner
from gateway.core.reasons import Reason
from tests.unit.audit.examples import (
    CONNECTION_ID,
    DAY,
    DENIED,
    EVENTS,
    NOW,
    REQUEST_ID,
    UNREAD,
    allowed,
    answered_before,
    changed,
    decided,
    finished,
    refused,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def write(directory: Path, *events: Event, max_bytes: int = 2**20) -> None:
    with AuditLog(directory, max_bytes=max_bytes) as log:
        for event in events:
            log.append(event)


def found(directory: Path, **query: Any) -> list[int]:
    return [entry.sequence for entry in read(directory, Query(**query)) if isinstance(entry, Entry)]


def damage(directory: Path) -> list[str]:
    return [str(entry) for entry in read(directory) if isinstance(entry, Damage)]


def rewrite(directory: Path, number: int, change: Callable[[list[bytes]], object]) -> str:
    """Change the lines of a file."""
    path = log_files(directory)[number].path
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))
    return path.name


def at(days: float) -> Instant:
    return Instant(NOW + days * DAY)


# Records


def test_records_come_in_their_order_across_files(directory: Path) -> None:
    write(directory, *(decided() for _ in range(7)), max_bytes=5_000)
    assert len(log_files(directory)) == 4
    assert found(directory) == [1, 2, 3, 4, 5, 6, 7]


def test_what_an_entry_tells(directory: Path) -> None:
    write(directory, decided())
    (entry,) = read(directory)
    assert (entry.kind, entry.reason, entry.partner, entry.route, entry.correlation) == (
        "decision",
        "allowed",
        "acme-casino",
        "deposit",
        REQUEST_ID,
    )
    assert (entry.at, entry.denied) == (NOW, False)
    assert orjson.loads(entry.raw) == entry.record


def test_what_is_not_there_is_empty(directory: Path) -> None:
    write(directory, UNREAD)
    (entry,) = read(directory)
    assert (entry.partner, entry.route, entry.get("time", "deeper"), entry.text("time")) == ("", "", None, "")


@pytest.mark.parametrize(
    ("event", "verdict"),
    [(decided(), False), (DENIED, True), (finished(), False), (refused(), True), (EVENTS["policy.refused"], None)],
)
def test_whether_something_was_denied(directory: Path, event: Event, verdict: bool | None) -> None:
    write(directory, event)
    assert [entry.denied for entry in read(directory)] == [verdict]


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"partner": "acme-casino"}, [1, 2, 3]),
        ({"partner": "blue-bingo"}, []),
        ({"route": "deposit"}, [1, 2, 3]),
        ({"reason": "token.expired"}, [3]),
        ({"reason": "t*.*"}, [3, 4]),
        ({"reason": "token"}, []),
        ({"denied": True}, [3, 4]),
        ({"denied": False}, [1, 2]),
        ({"request": REQUEST_ID}, [1, 2, 3]),
        ({"request": CONNECTION_ID}, [4]),
        ({"since": at(2)}, [3, 4, 5]),
        ({"until": at(2)}, [1, 2]),
        ({"since": at(1), "until": at(2)}, [2]),
        ({"since": at(2), "denied": True, "route": "deposit"}, [3]),
    ],
)
def test_filters(directory: Path, query: dict[str, Any], sequences: list[int]) -> None:
    events = [decided(), finished(), DENIED, refused(), EVENTS["start"]]
    write(directory, *(changed(event, at=at(number)) for number, event in enumerate(events)))
    assert found(directory, **query) == sequences


def test_files_outside_the_time_are_not_read(directory: Path) -> None:
    write(directory, *(decided(at=at(day)) for day in range(5)))
    dates = [file.date for file in files_of(directory, Query(since=at(1), until=at(2)))]
    assert dates == ["2026-11-23", "2026-11-24", "2026-11-25"]


def test_records_of_a_clock_that_was_set_back_are_found(directory: Path) -> None:
    write(directory, decided(at=at(1)), decided(at=at(0)))
    assert found(directory, until=at(0.5)) == [2]


def test_progress_tells_every_byte(directory: Path) -> None:
    write(directory, *(decided() for _ in range(3)))
    sizes: list[int] = []
    list(read(directory, progress=sizes.append))
    assert sum(sizes) == log_files(directory)[0].path.stat().st_size


def test_an_empty_directory_has_no_records(tmp_path: Path) -> None:
    assert list(read(tmp_path)) == []


# Damage


def test_a_whole_log_is_undamaged(directory: Path) -> None:
    write(directory, *(decided() for _ in range(5)), max_bytes=5_000)
    assert damage(directory) == []


@pytest.mark.parametrize("line", [b"{}\n", b"\n", b"\x00\x00\n", b'{"time":1.5,"metadata":{"sequence":2}}\n'])
def test_a_damaged_line_is_reported_and_the_others_read(directory: Path, line: bytes) -> None:
    write(directory, decided(), decided(), decided())
    name = rewrite(directory, 0, lambda lines: lines.__setitem__(1, line))
    assert (damage(directory), found(directory)) == ([f"{name}:2: not a record"], [1, 3])


def test_a_time_outside_all_calendars_is_no_record(directory: Path) -> None:
    write(directory, decided())
    name = rewrite(directory, 0, lambda lines: lines.append(b'{"time":%d,"metadata":{"sequence":2}}\n' % 10**17))
    assert damage(directory) == [f"{name}:2: not a record"]


def test_a_missing_record_is_reported(directory: Path) -> None:
    write(directory, *(decided() for _ in range(5)))
    name = rewrite(directory, 0, lambda lines: lines.__delitem__(slice(1, 3)))
    assert damage(directory) == [f"{name}:2: records are missing: sequence 2 to 3"]


def test_a_missing_file_is_reported(directory: Path) -> None:
    write(directory, *(decided(at=at(day)) for day in range(3)))
    log_files(directory)[1].path.unlink()
    assert damage(directory) == [f"{log_files(directory)[1].path.name}:1: records are missing: sequence 2"]


def test_a_missing_first_record_is_reported(directory: Path) -> None:
    write(directory, decided(), decided())
    name = rewrite(directory, 0, lambda lines: lines.__delitem__(0))
    assert damage(directory) == [f"{name}:1: records are missing: sequence 1"]


def test_a_log_whose_older_files_were_archived_is_undamaged(directory: Path) -> None:
    write(directory, *(decided(at=at(day)) for day in range(3)))
    log_files(directory)[0].path.unlink()
    assert damage(directory) == []


def test_swapped_records_are_reported(directory: Path) -> None:
    write(directory, decided(), decided(), decided())
    name = rewrite(directory, 0, lambda lines: lines.reverse())
    assert damage(directory) == [
        f"{name}:1: records are missing: sequence 1 to 2",
        f"{name}:2: sequence 2 where 4 should follow",
        f"{name}:3: sequence 1 where 3 should follow",
    ]


def test_the_last_line_may_just_be_being_written(directory: Path) -> None:
    write(directory, decided())
    rewrite(directory, 0, lambda lines: lines.append(b'{"time":'))
    (last,) = [entry for entry in read(directory) if isinstance(entry, Damage)]
    assert (last.line, last.incomplete) == (2, True)


def test_a_torn_line_in_an_older_file_is_damage(directory: Path) -> None:
    write(directory, decided(), decided(at=at(1)))
    rewrite(directory, 0, lambda lines: lines.__setitem__(0, lines[0][:-1]))
    (torn,) = [entry for entry in read(directory) if isinstance(entry, Damage)]
    assert (torn.what, torn.incomplete) == ("incomplete: torn by a crash", False)


# Counting


def counted(directory: Path, dimension: Dimension, **query: Any) -> dict[str, int]:
    return dict(count_by(directory, dimension, pytest.fail, Query(**query)))


@pytest.fixture
def day(directory: Path) -> Path:
    """Seven requests, two with an outcome, and a refused connection."""
    timeout = finished(request_id="r-2", reason=Reason.UPSTREAM_TIMEOUT, status=504)
    other = decided(allowed(partner=Partner("blue-bingo")), request_id="r-3")
    write(
        directory,
        EVENTS["start"],
        decided(),
        decided(request_id="r-2"),
        finished(),
        timeout,
        other,
        DENIED._replace(request_id="r-4"),
        DENIED._replace(request_id="r-5"),
        UNREAD._replace(request_id="r-6"),
        answered_before(request_id="r-7"),
        refused(),
        EVENTS["stop"],
    )
    return directory


def test_each_request_counts_once_by_what_became_of_it(day: Path) -> None:
    assert counted(day, "reason") == {
        "allowed": 1,
        "upstream.timeout": 1,
        UNFINISHED: 1,
        "token.expired": 2,
        "http.framing": 1,
        "idempotency.answered": 1,
        "tls.certificate_untrusted": 1,
    }


def test_counts_by_partner_and_route(day: Path) -> None:
    assert counted(day, "partner") == {"acme-casino": 5, "blue-bingo": 1, "(none)": 2}
    assert counted(day, "route") == {"deposit": 6, "(none)": 2}


def test_counts_of_what_fits(day: Path) -> None:
    assert counted(day, "partner", reason="token.*") == {"acme-casino": 2}
    assert counted(day, "reason", denied=True) == {
        "token.expired": 2,
        "http.framing": 1,
        "tls.certificate_untrusted": 1,
    }


def test_counting_reports_damage(directory: Path) -> None:
    write(directory, decided(), decided())
    rewrite(directory, 0, lambda lines: lines.__setitem__(0, b"{}\n"))
    reported: list[Damage] = []
    assert dict(count_by(directory, "reason", reported.append)) == {UNFINISHED: 1}
    assert [entry.line for entry in reported] == [1]
