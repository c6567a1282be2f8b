"""`gateway audit show` of the folder that holds the logs of several workers."""

import re
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.cli.audit import audit
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, NOW, changed, decided, finished, refused


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The logs of two workers: an allow and its outcome with a denial of the other between them, then a refusal."""
    events = {1: [(0, decided()), (2, finished())], 2: [(1, DENIED._replace(request_id="r-2")), (3, refused())]}
    for number, written in events.items():
        with AuditLog(tmp_path / f"worker-{number}") as log:
            for second, event in written:
                log.append(changed(event, at=Instant(NOW + second)))
    return tmp_path


def show(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(audit, ["show", "--directory", str(directory), *options])


def rows(result: Result) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]


def test_the_table_says_which_worker(directory: Path) -> None:
    result = show(directory)
    assert [(row[0], row[2], row[3]) for row in rows(result)] == [
        ("worker", "seq", "kind"),
        ("1", "1", "decision"),
        ("2", "1", "decision"),
        ("1", "2", "outcome"),
        ("2", "2", "connection"),
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_the_table_of_one_worker_does_not(directory: Path) -> None:
    assert rows(show(directory / "worker-2"))[0][:2] == ["2026-11-22 UTC", "seq"]


def test_what_one_process_wrote_before_stands_without_worker(directory: Path) -> None:
    with AuditLog(directory) as log:
        log.append(decided()._replace(at=Instant(NOW - 1), request_id="r-0"))
    assert [row[0] for row in rows(show(directory))] == ["worker", "12:59:59.125", "1", "2", "1", "2"]


def test_json_lines_are_the_logs_own(directory: Path) -> None:
    lines = show(directory, "--json").stdout_bytes.splitlines()
    written = [
        line
        for number in (1, 2)
        for file in log_files(directory / f"worker-{number}")
        for line in file.path.read_bytes().splitlines()
    ]
    assert sorted(lines) == sorted(written)
    times = [orjson.loads(line)["time"] for line in lines]
    assert times == sorted(times)


def test_the_newest_are_those_of_all(directory: Path) -> None:
    assert [row[:2] for row in rows(show(directory, "--limit", "2"))[1:]] == [
        ["1", "13:00:02.125"],
        ["2", "13:00:03.125"],
    ]


def test_counts_are_those_of_all(directory: Path) -> None:
    counted = sorted(rows(show(directory, "--count-by", "reason"))[1:])
    assert counted == [["allowed", "1"], ["tls.certificate_untrusted", "1"], ["token.expired", "1"]]


@pytest.mark.parametrize("options", [[], ["--json"], ["--count-by", "reason"]])
def test_damage_is_reported_with_its_worker(directory: Path, options: list[str]) -> None:
    file = log_files(directory / "worker-2")[0].path
    file.write_bytes(b"{}\n" + file.read_bytes().partition(b"\n")[2])
    result = show(directory, *options)
    assert (result.exit_code, result.stderr) == (1, f"worker-2/{file.name}:1: not a record\n")


def test_a_log_that_cannot_be_read_is_said(directory: Path) -> None:
    (directory / "worker-2" / "audit-2026-11-23_000000000003.jsonl").mkdir()
    result = show(directory)
    assert result.exit_code == 1
    assert "Is a directory" in result.stderr


def test_a_narrow_terminal_does_without_the_worker(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    shown = re.sub(r"\x1b\[[\d;]*m", "", show(directory).stdout)
    assert "worker" not in shown.splitlines()[0]
