"""`gateway audit forward`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.audit.files import log_files
from gateway.cli.audit import audit
from gateway.cli.audit_forward import LOST, UNSENT, Receiver
from tests.unit.audit.examples import DENIED, EVENTS
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return written(tmp_path / "audit", EVENTS.values())


def forward(directory: Path, *options: str) -> Result:
    position = directory.with_name("forward.json")
    arguments = ["forward", "--directory", str(directory), "--position", str(position), "--once", *options]
    return CliRunner().invoke(audit, arguments)


def test_lines_for_a_collector(directory: Path) -> None:
    result = forward(directory, "--stdout")
    assert (result.exit_code, result.stdout_bytes) == (0, log_files(directory)[0].path.read_bytes())
    again = forward(directory, "--stdout")
    assert (again.exit_code, again.stdout) == (0, "")


def test_losses_make_the_exit_status(directory: Path) -> None:
    path = log_files(directory)[0].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    result = forward(directory, "--stdout", "--format", "ecs")
    first = orjson.loads(result.stdout.splitlines()[0])
    assert (result.exit_code, first["event"]["action"]) == (LOST, "forward.lost")


def test_a_receiver_that_is_not_there(directory: Path) -> None:
    assert forward(directory, "--syslog", "127.0.0.1:1").exit_code == UNSENT


def test_until_it_is_told_to_stop(directory: Path) -> None:
    position = directory.with_name("forward.json")
    command = [sys.executable, "-m", "gateway", "audit", "forward", "--directory", str(directory), "--stdout"]
    command += ["--max-lag", "1e9"]
    with subprocess.Popen(
        [*command, "--position", str(position)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        read = [process.stdout.readline() for _ in EVENTS]
        written(directory, [DENIED])
        read.append(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert b"".join(read) == log_files(directory)[0].path.read_bytes()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("siem.example", ("siem.example", 6514)),
        ("siem.example:1514", ("siem.example", 1514)),
        ("[2001:db8::1]", ("2001:db8::1", 6514)),
        ("[2001:db8::1]:99", ("2001:db8::1", 99)),
    ],
)
def test_receivers(text: str, found: tuple[str, int]) -> None:
    assert Receiver().convert(text, None, None) == found
    assert Receiver().convert(found, None, None) == found


@pytest.mark.parametrize("text", ["", ":1", "host:", "host:0", "host:65536", "host:x"])
def test_no_receivers(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no receiver"):
        Receiver().convert(text, None, None)


@pytest.mark.parametrize("options", [[], ["--stdout", "--syslog", "x"]])
def test_one_receiver(directory: Path, options: list[str]) -> None:
    assert forward(directory, *options).exit_code == 2


def test_what_cannot_be_used(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_text("nothing")
    assert "go together" in forward(directory, "--syslog", "x", "--key", str(path)).stderr
    assert "--ca" in forward(directory, "--syslog", "x", "--ca", str(path)).stderr
    directory.with_name("forward.json").write_text("nothing")
    assert "remove it to begin anew" in forward(directory, "--stdout").stderr
