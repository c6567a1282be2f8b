"""`gateway audit show`."""

import re
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.cli import audit as command
from gateway.cli import output
from gateway.cli.audit import TABLE_ROWS, audit
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, DENIED, EVENTS, NOW, REQUEST_ID, UNREAD, changed, decided, finished, refused


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A log of five records, a day apart: an allow, its outcome, two denials and a refused connection."""
    path = tmp_path / "audit"
    events = [decided(), finished(), DENIED, UNREAD._replace(request_id="r-2"), refused()]
    with AuditLog(path) as log:
        for number, event in enumerate(events):
            log.append(changed(event, at=Instant(NOW + number * DAY)))
    return path


def show(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(audit, ["show", "--directory", str(directory), *options])


def sequences(directory: Path, *options: str) -> list[int]:
    result = show(directory, "--json", *options)
    assert result.exit_code == 0
    return [orjson.loads(line)["metadata"]["sequence"] for line in result.stdout.splitlines()]


def rows(result: Result) -> list[list[str]]:
    """Give the table's cells; columns stand two spaces apart."""
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]


def test_the_table(directory: Path) -> None:
    result = show(directory)
    titles = ["time (UTC)", "seq", "kind", "partner", "address", "request", "route", "status", "reason"]
    assert rows(result)[0] == [*titles, "gate ms", "upstream ms"]
    outcome = [
        "outcome",
        "acme-casino",
        "198.51.100.7",
        "POST /v1/deposits",
        "deposit",
        "201",
        "allowed",
        "4.2",
        "41.0",
    ]
    assert rows(result)[2] == ["2026-11-23 13:00:00.125", "2", *outcome]
    assert (len(rows(result)), result.exit_code, result.stderr) == (6, 0, "")


def test_the_table_shows_what_could_not_be_read(directory: Path) -> None:
    assert "POST '/v1/deposits?…'" in rows(show(directory))[4]


def test_json_lines_are_the_logs_own(directory: Path) -> None:
    lines = b"".join(file.path.read_bytes() for file in log_files(directory))
    assert show(directory, "--json").stdout_bytes == lines


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--partner", "acme-casino"], [1, 2, 3]),
        (["--route", "deposit"], [1, 2, 3]),
        (["--reason", "token.expired"], [3]),
        (["--reason", "t*.*"], [3, 5]),
        (["--denied"], [3, 4, 5]),
        (["--allowed"], [1, 2]),
        (["--request", REQUEST_ID], [1, 2, 3]),
        (["--from", "2026-11-24"], [3, 4, 5]),
        (["--from", "2026-11-24T13:00:00.125Z", "--to", "2026-11-25T13:00:00.125Z"], [3]),
        (["--from", "2026-11-24T15:00:00+02:00"], [3, 4, 5]),
        (["--limit", "2"], [4, 5]),
    ],
)
def test_filters(directory: Path, options: list[str], expected: list[int]) -> None:
    assert sequences(directory, *options) == expected


@pytest.mark.parametrize(("ago", "expected"), [("30s", []), ("90m", [5]), ("25h", [4, 5]), ("2d", [4, 5])])
def test_times_ago(directory: Path, monkeypatch: pytest.MonkeyPatch, ago: str, expected: list[int]) -> None:
    monkeypatch.setattr(output, "time", SimpleNamespace(time=lambda: NOW + 4 * DAY + 3600))
    assert sequences(directory, "--from", ago) == expected


def test_a_table_of_many_records_shows_the_newest(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        for _ in range(TABLE_ROWS + 5):
            log.append(decided())
    result = show(tmp_path)
    assert rows(result)[1][1] == "6"
    assert result.stderr == f"the newest {TABLE_ROWS} of {TABLE_ROWS + 5} records; --limit shows more\n"


def test_counts(directory: Path) -> None:
    assert rows(show(directory, "--count-by", "partner")) == [
        ["partner", "count"],
        ["acme-casino", "2"],
        ["(none)", "2"],
    ]
    assert sorted(rows(show(directory, "--count-by", "reason", "--denied"))[1:]) == [
        ["http.framing", "1"],
        ["tls.certificate_untrusted", "1"],
        ["token.expired", "1"],
    ]


def test_nothing_found_is_said(directory: Path) -> None:
    result = show(directory, "--partner", "nobody")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "no record fits\n", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "yesterday"], "'yesterday' is no time: use 2026-11-22T13:00:00Z"),
        (["--from", "2026-13-01"], "'2026-13-01' is no time"),
        (["--from", "2d", "--to", "3d"], "--from must lie before --to"),
        (["--limit", "0"], "0 is not in the range"),
        (["--count-by", "colour"], "'colour' is not one of 'reason', 'partner', 'route'"),
        (["--count-by", "reason", "--json"], "--count-by goes with filters only"),
        (["--count-by", "reason", "--limit", "5"], "--count-by goes with filters only"),
        (["--denied=1"], "does not take a value"),
    ],
)
def test_usage_errors(directory: Path, options: list[str], message: str) -> None:
    result = show(directory, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    result = show(tmp_path / "gone")
    assert result.exit_code == 2
    assert "give the one that `gateway run --audit` writes to" in result.stderr


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-22_000000000001.jsonl").mkdir()
    result = show(tmp_path)
    assert result.exit_code == 1
    assert "Is a directory" in result.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--count-by", "reason"]])
def test_damage_is_reported(directory: Path, options: list[str]) -> None:
    file = log_files(directory)[2]
    file.path.write_bytes(b"{}\n")
    result = show(directory, *options)
    assert (result.exit_code, result.stderr) == (1, f"{file.path.name}:1: not a record\n")


def test_a_line_that_is_just_being_written_is_no_damage(directory: Path) -> None:
    with log_files(directory)[-1].path.open("ab") as file:
        file.write(b'{"time":')
    result = show(directory)
    assert result.exit_code == 0
    assert "incomplete: just being written" in result.stderr


def test_a_log_that_was_changed_cannot_steer_the_terminal(directory: Path) -> None:
    file = log_files(directory)[0].path
    record = orjson.loads(file.read_bytes())
    record["actor"]["app_uid"] = "\x1b[2J\u202e[bold]acme"
    record["http_request"] = record["unmapped"] = []
    file.write_bytes(orjson.dumps(record) + b"\n")
    assert "�[2J�[bold]acme" in rows(show(directory))[1]


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (150, ["time (UTC)", "kind", "partner", "address", "request", "route", "status", "reason", "gate ms"]),
        (100, ["time (UTC)", "kind", "request", "status", "reason"]),
        (60, ["time (UTC)", "request", "reason"]),
    ],
)
def test_the_table_fits_the_terminal(
    directory: Path, monkeypatch: pytest.MonkeyPatch, columns: int, titles: list[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = re.sub(r"\x1b\[[\d;]*m", "", show(directory).stdout).splitlines()
    assert re.split(r" {2,}", lines[0].strip()) == titles
    assert max(map(len, lines)) <= columns


def test_records_of_one_day_say_the_day_once(directory: Path) -> None:
    assert [row[0] for row in rows(show(directory, "--limit", "1"))] == ["2026-11-26 UTC", "13:00:00.125"]


def test_a_long_scan_shows_its_progress_on_a_terminal(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setattr(command, "PROGRESS_BYTES", 1)
    result = show(directory, "--count-by", "reason")
    assert "reading" in result.stderr


def test_no_progress_where_nobody_sees_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PROGRESS_BYTES", 1)
    assert show(directory).stderr == ""


def test_every_kind_of_record_can_be_shown(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        for event in EVENTS.values():
            log.append(event)
    assert len(rows(show(tmp_path))) == len(EVENTS) + 1
