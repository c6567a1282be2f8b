"""`gateway run` hands its arguments to the service and ends with the service's exit code."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.engine.service import Settings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings the service was started with, instead of starting it."""
    calls: list[Settings] = []

    def run_service(settings: Settings) -> int:
        calls.append(settings)
        return 0

    monkeypatch.setattr("gateway.cli.run.run_service", run_service)
    return calls


def test_the_service_is_told_where_everything_is(started: list[Settings], tmp_path: Path) -> None:
    arguments = ["run", str(tmp_path), "--audit", str(tmp_path / "audit"), "--state", str(tmp_path / "state")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    (settings,) = started
    assert (settings.policy, settings.audit, settings.state) == (tmp_path, tmp_path / "audit", tmp_path / "state")


def test_log_and_state_have_folders_without_being_named(started: list[Settings], tmp_path: Path) -> None:
    CliRunner().invoke(main, ["run", str(tmp_path)])
    assert (started[0].audit, started[0].state) == (Path("var/audit"), Path("var/state"))


def test_the_exit_code_is_the_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gateway.cli.run.run_service", lambda _: 2)
    assert CliRunner().invoke(main, ["run", str(tmp_path)]).exit_code == 2


def test_a_policy_that_is_not_there_is_a_usage_error(started: list[Settings], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path / "nowhere")])
    assert (result.exit_code, started) == (2, [])
    assert "does not exist" in result.output
