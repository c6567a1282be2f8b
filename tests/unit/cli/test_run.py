"""`gateway run` hands its arguments to the service, or to the supervisor, and ends with their exit code."""

import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.run import MOST_WORKERS, worker_command
from gateway.engine.service import Service, Settings
from gateway.engine.worker import Channel, Worker


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings the service was started with, instead of starting it."""
    calls: list[Settings] = []

    def run_service(settings: Settings) -> int:
        calls.append(settings)
        return 0

    monkeypatch.setattr("gateway.engine.service.run", run_service)
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
    monkeypatch.setattr("gateway.engine.service.run", lambda _: 2)
    assert CliRunner().invoke(main, ["run", str(tmp_path)]).exit_code == 2


def test_a_policy_that_is_not_there_is_a_usage_error(started: list[Settings], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path / "nowhere")])
    assert (result.exit_code, started) == (2, [])
    assert "does not exist" in result.output


# Workers


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the supervisor was started with, instead of starting it."""
    calls: list[tuple[object, ...]] = []

    def supervise(*arguments: object) -> int:
        calls.append(arguments)
        return 0

    monkeypatch.setattr("gateway.engine.supervisor.supervise", supervise)
    return calls


def test_one_worker_needs_no_supervisor(
    started: list[Settings], supervised: list[tuple[object, ...]], tmp_path: Path
) -> None:
    assert CliRunner().invoke(main, ["run", str(tmp_path), "--workers", "1"]).exit_code == 0
    assert (started[0].worker, supervised) == (None, [])


async def test_the_service_manager_is_told_when_one_accepts(
    started: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert CliRunner().invoke(main, ["run", str(tmp_path)]).exit_code == 0
        assert started[0].ready is not None
        started[0].ready(cast("Service", None))
        assert manager.recv(100) == b"READY=1"


def test_more_workers_have_a_supervisor(
    started: list[Settings], supervised: list[tuple[object, ...]], tmp_path: Path
) -> None:
    assert CliRunner().invoke(main, ["run", str(tmp_path), "--workers", "4"]).exit_code == 0
    assert (started, supervised) == ([], [(tmp_path, 4, worker_command, Path("var/state"))])


@pytest.mark.parametrize("code", [1, 2])
def test_the_exit_code_is_the_supervisors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> None:
    monkeypatch.setattr("gateway.engine.supervisor.supervise", lambda *_: code)
    assert CliRunner().invoke(main, ["run", str(tmp_path), "--workers", "2"]).exit_code == code


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ("0", "0 is not in the range 1<=x<=256"),
        ("-1", "-1 is not in the range 1<=x<=256"),
        (str(MOST_WORKERS + 1), "257 is not in the range 1<=x<=256"),
        ("abc", "'abc' is not a valid integer range"),
        ("1.5", "'1.5' is not a valid integer range"),
        ("", "'' is not a valid integer range"),
    ],
)
def test_a_number_of_workers_that_cannot_be_is_a_usage_error(
    started: list[Settings], supervised: list[tuple[object, ...]], tmp_path: Path, workers: str, message: str
) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path), f"--workers={workers}"])
    assert (result.exit_code, started, supervised) == (2, [], [])
    assert f"Invalid value for '--workers': {message}" in result.output


def test_a_worker_gets_every_option_of_its_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/gateway/bin/gateway", "run", "policies", "--layers", "--workers", "2"])
    worker = Worker(1, 5, ())
    assert worker_command(worker) == [
        *(sys.executable, "-P", "-X", "faulthandler", "-m", "gateway", "run", "--worker", str(worker)),
        *("policies", "--layers", "--workers", "2"),
    ]


def test_a_worker_has_folders_and_a_channel_of_its_own(started: list[Settings], tmp_path: Path) -> None:
    supervisor, ours = socket.socketpair()
    worker = Worker(3, ours.detach(), ("public 127.0.0.1:8443",))
    arguments = ["run", "--worker", str(worker), str(tmp_path), "--workers", "4"]
    with supervisor:
        assert CliRunner().invoke(main, arguments).exit_code == 0

    (settings,) = started
    assert (settings.audit, settings.state) == (Path("var/audit/worker-3"), Path("var/state/worker-3"))
    assert settings.worker == worker
    channel = getattr(settings.ready, "__self__", None)
    assert isinstance(channel, Channel)
    channel._socket.close()


@pytest.mark.parametrize("value", ["1", "{}", str(Worker(1, 999_999, ()))])
def test_nobody_but_a_supervisor_starts_a_worker(started: list[Settings], tmp_path: Path, value: str) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path), "--worker", value])
    assert (result.exit_code, started) == (2, [])
    assert "only a supervisor gives it: use --workers" in result.output


def test_what_a_supervisor_gives_is_not_in_the_help() -> None:
    help_text = CliRunner().invoke(main, ["run", "--help"]).output
    assert "--workers" in help_text
    assert "--worker " not in help_text


def test_addons_are_given_in_their_order(started: list[Settings], tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.py", "a.py")]
    for path in paths:
        path.touch()
    arguments = ["run", str(tmp_path), "--addon", str(paths[0]), "--addon", str(paths[1])]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert started[0].addons == tuple(paths)


@pytest.mark.parametrize("name", ["gone.py", "."])
def test_an_addon_that_is_no_file_is_a_usage_error(started: list[Settings], tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path), "--addon", str(tmp_path / name)])
    assert (result.exit_code, started) == (2, [])
    assert "--addon" in result.output
