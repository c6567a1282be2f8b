"""`gateway audit report`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.cli.audit import audit
from tests.unit.audit.examples import EVENTS
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "audit", EVENTS.values())


def run(directory: Path, *options: str) -> Result:
    output = directory.with_name("report.html")
    return CliRunner().invoke(audit, ["report", "--directory", str(directory), "--output", str(output), *options])


def test_a_report_of_all_there_is(directory: Path) -> None:
    result = run(directory)
    output = directory.with_name("report.html")
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    assert "2026-11-22 13:00:00.125</time> to <time" in output.read_text("utf-8")


def test_a_report_of_a_day(directory: Path) -> None:
    assert run(directory, "--from", "2026-11-22", "--to", "2026-11-23").exit_code == 0
    text = directory.with_name("report.html").read_text("utf-8")
    assert "2026-11-22 00:00:00</time> to <time" in text


def test_a_damaged_log_is_told(directory: Path) -> None:
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b"no record\n")
    result = run(directory)
    assert (result.exit_code, "the log is damaged" in result.stderr) == (1, True)
    assert ">damaged<" in directory.with_name("report.html").read_text("utf-8")


def test_a_policy_that_is_refused(directory: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 2\n")
    result = run(directory, "--policy", str(policy))
    assert (result.exit_code, "policy.yaml:1:" in result.stderr) == (2, True)


def test_times_the_wrong_way_round(directory: Path) -> None:
    assert run(directory, "--from", "2026-11-23", "--to", "2026-11-22").exit_code == 2


def test_a_file_that_cannot_be_written(directory: Path, tmp_path: Path) -> None:
    result = run(directory, "--output", str(tmp_path / "nowhere" / "report.html"))
    assert (result.exit_code, "No such file or directory" in result.stderr) == (1, True)
