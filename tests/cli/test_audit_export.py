"""`gateway audit export`."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.cli.audit import audit
from tests.unit.audit.examples import EVENTS
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "audit", EVENTS.values())


def export(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(audit, ["export", "--directory", str(directory), *options])


def test_ocsf_is_the_log_itself(directory: Path) -> None:
    result = export(directory)
    assert (result.exit_code, result.stdout_bytes) == (0, log_files(directory)[0].path.read_bytes())


@pytest.mark.parametrize(("form", "lines"), [("ecs", 0), ("cef", 0), ("csv", 1)])
def test_formats(directory: Path, form: str, lines: int) -> None:
    assert len(export(directory, "--format", form).stdout.splitlines()) == len(EVENTS) + lines


def test_filters(directory: Path) -> None:
    lines = export(directory, "--format", "ecs", "--reason", "token.*", "--denied").stdout.splitlines()
    assert [orjson.loads(line)["event"]["code"] for line in lines] == ["token.expired"]


def test_damage_is_told(directory: Path) -> None:
    with log_files(directory)[0].path.open("ab") as file:
        file.write(b"no record\n")
    result = export(directory)
    assert (result.exit_code, "not a record" in result.stderr) == (1, True)


def test_a_file_that_cannot_be_read(directory: Path) -> None:
    path = log_files(directory)[0].path
    path.unlink()
    path.mkdir()
    assert "Is a directory" in export(directory).stderr
