"""The command line as a whole."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from gateway.cli import COMMANDS, main


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"main, version {version('gateway')}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_names_every_command(flag: str) -> None:
    result = CliRunner().invoke(main, [flag])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.partition("Commands:\n")[2].splitlines()] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    command = getattr(import_module(f"gateway.cli.{name}"), name)
    assert isinstance(command, click.Command)
    result = CliRunner().invoke(main, [name, "--help"])
    assert (result.exit_code, bool(command.help)) == (0, True)


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["runn"])
    assert result.exit_code == 2
    assert "No such command 'runn'" in result.output


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"gateway, version {version('gateway')}\n"


def test_a_command_starts_without_the_needs_of_the_others() -> None:
    program = "import sys; from gateway.cli import main; main(['reasons', 'allowed'], standalone_mode=False)"
    check = f"{program}; assert 'mitmproxy' not in sys.modules; assert 'httpx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, check=False).returncode == 0
