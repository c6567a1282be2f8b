import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.core.policy import Policy
from gateway.core.reasons import Reason, Unavailable
from gateway.engine import service
from gateway.engine.service import (
    Settings,
    close_log,
    open_log,
    open_state,
    run,
    unchangeable,
)
from gateway.engine.start import EXIT_USAGE, StartError
from gateway.state.memory import MemoryState
from tests import world
from tests.world import NOW


def settings(directory: Path, policy: str = "") -> Settings:
    file = directory / "policy.yaml"
    file.write_text(policy)
    return Settings(file, directory / "audit", directory / "state", environ={})


# Before anything is up


def test_a_policy_that_is_invalid_is_explained_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(settings(tmp_path, "version: 1\n")) == EXIT_USAGE
    printed = capsys.readouterr().err.splitlines()
    assert printed
    assert all("policy.yaml:" in line for line in printed)
    assert not (tmp_path / "audit").exists()


def test_an_environment_that_is_refused_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(replace(settings(tmp_path), environ={"SSLKEYLOGFILE": "/tmp/keys"})) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("gateway: SSLKEYLOGFILE is set")


# Log


def test_a_log_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(StartError, match=r"audit log in .*audit: "):
        open_log(tmp_path / "audit")


def test_a_log_that_another_gate_writes_stops_the_start(tmp_path: Path) -> None:
    with open_log(tmp_path), pytest.raises(StartError, match="audit log in "):
        open_log(tmp_path)


def test_a_log_that_is_whole_is_closed_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    close_log(open_log(tmp_path))
    assert caplog.messages == []


def test_a_log_that_lacks_records_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(AuditLog):
        @property
        def failing(self) -> bool:
            return True

        def close(self) -> None:
            super().close()
            raise Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left on device")

    close_log(Failing(tmp_path))
    assert caplog.messages == [
        "audit log: it could not be written at the end, and lacks records",
        "audit log: no space left on device",
    ]


# State


def test_a_state_folder_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StartError, match=r"state folder .*state: "):
        open_state(tmp_path / "state", world.policy(), NOW)


def test_a_state_folder_that_another_gate_uses_stops_the_start(tmp_path: Path) -> None:
    first = open_state(tmp_path / "state", world.policy(), NOW)
    with pytest.raises(StartError, match="state folder "):
        open_state(tmp_path / "state", world.policy(), NOW)
    first.close()


@pytest.mark.parametrize("orderly", [True, False])
def test_a_start_after_a_crash_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, orderly: bool) -> None:
    caplog.set_level(logging.WARNING)
    first = open_state(tmp_path / "state", world.policy(), NOW)
    if orderly:
        first.save(NOW)
    first.close()

    second = open_state(tmp_path / "state", world.policy(), NOW)

    assert isinstance(second, MemoryState)
    assert any("did not stop in good order" in message for message in caplog.messages) != orderly
    second.close()


def test_a_start_after_a_crash_means_nothing_where_nothing_is_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    forgetful = world.policy(world.route(chain=world.chain(replay=None)))
    for _ in range(2):
        open_state(tmp_path / "state", forgetful, NOW).close()
    assert caplog.messages == []


# Reload


def changed(**changes: object) -> Policy:
    return world.policy(listeners={"public": world.listener(**changes)})


@pytest.mark.parametrize(
    "new",
    [
        changed(port=8444),
        changed(address="127.0.0.2"),
        changed(name="other"),
        world.policy(listeners={"public": world.listener(), "second": world.listener(name="second", port=8444)}),
        world.policy(listeners={}),
    ],
    ids=["port", "address", "name", "added", "removed"],
)
def test_listeners_need_a_restart(new: Policy) -> None:
    with pytest.raises(StartError, match="restart it"):
        unchangeable(world.policy(), new)


@pytest.mark.parametrize("new", [world.policy(), world.policy(world.route(name="other")), changed(proxy_protocol=True)])
def test_everything_else_can_be_reloaded(new: Policy) -> None:
    assert unchangeable(world.policy(), new) is None  # type: ignore[func-returns-value]


def test_the_settings_are_the_process_own_unless_others_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST", "1")
    made = Settings(Path("policy"), Path("audit"), Path("state"))
    assert made.environ["GATEWAY_TEST"] == "1"
    assert (made.drain_seconds, made.ready) == (service.DRAIN_SECONDS, None)


@pytest.mark.parametrize("call", [open_log, lambda path: open_state(path, world.policy(), NOW)])
def test_folders_are_made_where_they_are_not_there(tmp_path: Path, call: Callable[[Path], AuditLog]) -> None:
    opened = call(tmp_path / "var" / "new")
    assert (tmp_path / "var" / "new").is_dir()
    opened.close()
