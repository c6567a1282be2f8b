"""`gateway audit query`."""

import csv
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.cli.audit import audit
from gateway.cli.audit_query import TABLE_ROWS
from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests.unit.audit.examples import DAY, DENIED, EVENTS, NOW, REQUEST_ID, changed, decided, denied
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two days, so that there are an index and a newest file."""
    return written(tmp_path / "audit", [*EVENTS.values(), changed(DENIED, at=Instant(NOW + DAY))])


def query(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(audit, ["query", "--directory", str(directory), *options])


def test_the_newest_requests_are_shown_where_nothing_is_asked(directory: Path) -> None:
    result = query(directory)
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0].split()[:4] == ["time", "partner", "address", "method"]
    assert lines[1].split()[:6] == ["2026-11-23", "13:00:00.125", "acme-casino", "198.51.100.7", "POST", "/v1/deposits"]


def test_a_question_by_name_with_filters(directory: Path) -> None:
    result = query(directory, "reasons", "--partner", "acme-casino", "--to", "2026-11-23", "--format", "json")
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == [
        {
            "reason": "token.expired", "meaning": "Access token expired", "number": 1, "partners": 1, "addresses": 1,
            "first": "2026-11-22T13:00:00.125Z", "last": "2026-11-22T13:00:00.125Z",
        }
    ]  # fmt: skip


def test_one_requests_records(directory: Path) -> None:
    result = query(directory, "records", "--request-id", REQUEST_ID, "--format", "json")
    assert {orjson.loads(line)["kind"] for line in result.stdout.splitlines()} == {"decision", "outcome"}


def test_sql(directory: Path) -> None:
    result = query(directory, "--sql", "SELECT controls_off, denied FROM records WHERE kind = 'outcome'")
    assert result.stdout.split("\n")[1].rstrip() == "control: rate_limit; because: the PSP limits on its own  no"


def test_csv_that_a_spreadsheet_takes_for_no_formula(tmp_path: Path) -> None:
    event = decided(denied(Reason.ROUTE_UNKNOWN, "=cmd|' /C calc'!A0", head=None))
    result = query(written(tmp_path / "audit", [event]), "--format", "csv", "--sql", "SELECT detail, -1 FROM records")
    assert list(csv.reader(result.stdout.splitlines())) == [["detail", "-1"], ["'=cmd|' /C calc'!A0", "-1"]]


def test_what_could_steer_a_terminal_is_not_printed(directory: Path) -> None:
    assert "\x1b" not in query(directory, "--sql", "SELECT chr(27) || '[2J' AS x").stdout


def test_a_table_says_that_there_is_more(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [DENIED] * (TABLE_ROWS + 1))
    result = query(directory)
    assert result.stderr == f"only the first {TABLE_ROWS} rows; --limit shows more\n"
    assert len(query(directory, "--format", "csv").stdout.splitlines()) == TABLE_ROWS + 2


def test_nothing_fits(directory: Path) -> None:
    assert query(directory, "--partner", "nobody").stderr == "nothing fits\n"


def test_lines_that_are_no_records_are_told(directory: Path) -> None:
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b"not a record\n")
    result = query(directory)
    assert (result.exit_code, result.stderr) == (1, "1 lines are no records: see `gateway audit show`\n")


def test_columns(tmp_path: Path) -> None:
    result = CliRunner().invoke(audit, ["query", "--columns", "--directory", str(tmp_path)])
    assert "request_id" in result.stdout


def test_help_lists_the_questions() -> None:
    assert "controls-off" in CliRunner().invoke(audit, ["query", "--help"]).stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sql", "SELECT * FROM '/etc/passwd'"], "Table with name /etc/passwd does not exist"),
        (["--sql", "SELECT 1", "--partner", "acme-casino"], "--sql goes with --from and --to only"),
        (["partners", "--sql", "SELECT 1"], "--sql goes with --from and --to only"),
        (["--from", "2026-11-23", "--to", "2026-11-22"], "--from must lie before --to"),
        (["who"], "'who' is none of the questions"),
    ],
)
def test_what_cannot_be_asked(directory: Path, options: list[str], says: str) -> None:
    result = query(directory, *options)
    assert (result.exit_code, says in result.stderr) == (2, True)


def test_a_file_that_cannot_be_read(directory: Path) -> None:
    path = log_files(directory)[0].path
    path.unlink()
    path.mkdir()
    result = query(directory)
    assert (result.exit_code, result.stderr) == (1, f"Error: {path}: Is a directory\n")


def test_without_the_extra(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = query(directory)
    assert (result.exit_code, "pip install 'gateway[audit]'" in result.stderr) == (1, True)


def test_progress_is_shown_on_a_terminal(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "indexing" in query(directory).stderr


def test_an_index_in_another_folder(directory: Path, tmp_path: Path) -> None:
    assert query(directory, "--index", str(tmp_path / "elsewhere")).exit_code == 0
    assert [path.suffix for path in (tmp_path / "elsewhere").iterdir()] == [".parquet"]
