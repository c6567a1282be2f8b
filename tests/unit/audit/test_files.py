import gzip
from math import inf, nextafter
from pathlib import Path

import pytest

from gateway.audit.files import date_of, end_of_date, file_name, log_files, open_log_file
from gateway.core.message import Instant
from tests.unit.audit.examples import NOW


def test_the_name_says_date_and_first_sequence() -> None:
    assert file_name("2026-11-22", 42) == "audit-2026-11-22_000000000042.jsonl"


def test_files_stand_in_the_order_of_their_sequences(tmp_path: Path) -> None:
    for name in (file_name("2026-11-23", 9), file_name("2026-11-22", 10**12), file_name("2026-11-22", 1)):
        (tmp_path / name).touch()
    assert [(file.date, file.first) for file in log_files(tmp_path)] == [
        ("2026-11-22", 1),
        ("2026-11-23", 9),
        ("2026-11-22", 10**12),
    ]


def test_a_file_counts_before_its_compressed_self(tmp_path: Path) -> None:
    plain, other = tmp_path / file_name("2026-11-22", 1), tmp_path / file_name("2026-11-22", 3)
    for path in (plain, plain.with_name(f"{plain.name}.gz"), other.with_name(f"{other.name}.gz")):
        path.touch()
    assert [file.path.name for file in log_files(tmp_path)] == [plain.name, f"{other.name}.gz"]


def test_a_file_is_read_be_it_compressed_or_not(tmp_path: Path) -> None:
    plain, sealed = tmp_path / file_name("2026-11-22", 1), tmp_path / f"{file_name('2026-11-22', 3)}.gz"
    plain.write_bytes(b"a\n")
    sealed.write_bytes(gzip.compress(b"a\n"))
    for path in (plain, sealed):
        with open_log_file(path) as opened:
            assert opened.readlines() == [b"a\n"]


def test_other_files_are_not_the_logs(tmp_path: Path) -> None:
    for name in ("lock", "audit-2026-11-22.jsonl", "audit-2026-11-22_000000000001.jsonl.zst", "notes.txt"):
        (tmp_path / name).touch()
    assert log_files(tmp_path) == []


def test_the_date_is_utc() -> None:
    assert [date_of(at) for at in (NOW, Instant(1_795_391_999.999), Instant(1_795_392_000.0))] == [
        "2026-11-22",
        "2026-11-22",
        "2026-11-23",
    ]


def test_any_instant_has_a_date() -> None:
    assert date_of(Instant(1e300)) == "9999-12-31"


@pytest.mark.parametrize("at", [Instant(1_795_305_600.0), NOW, Instant(1_795_391_999.9985), Instant(-1.0)])
def test_what_is_before_the_end_of_a_date_is_of_that_date(at: Instant) -> None:
    end = end_of_date(at)
    assert at <= end
    assert date_of(Instant(nextafter(end, -inf))) == date_of(at)
    assert date_of(Instant(end + 0.001)) > date_of(at)
