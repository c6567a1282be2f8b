from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.core.policy import Endpoint, Policy
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import EmbeddedSettings, StateSettings
from gateway.engine import service
from gateway.engine.service import (
    Settings,
    close_log,
    open_log,
    run,
    unchangeable,
)
from gateway.engine.start import EXIT_USAGE, StartError
from tests import world


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
        replace(changed(), metrics=Endpoint("127.0.0.1", 9464)),
    ],
    ids=["port", "address", "name", "added", "removed", "metrics"],
)
def test_what_listens_needs_a_restart(new: Policy) -> None:
    with pytest.raises(StartError, match="restart it"):
        unchangeable(world.policy(), new)


def test_the_store_cannot_change_while_the_gate_runs() -> None:
    new = replace(world.policy(), state=StateSettings(store=EmbeddedSettings()))
    with pytest.raises(StartError, match="the store of the state cannot change"):
        unchangeable(world.policy(), new)


@pytest.mark.parametrize("new", [world.policy(), world.policy(world.route(name="other")), changed(proxy_protocol=True)])
def test_everything_else_can_be_reloaded(new: Policy) -> None:
    assert unchangeable(world.policy(), new) is None  # type: ignore[func-returns-value]


def test_the_settings_are_the_process_own_unless_others_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST", "1")
    made = Settings(Path("policy"), Path("audit"), Path("state"))
    assert made.environ["GATEWAY_TEST"] == "1"
    assert (made.drain_seconds, made.ready) == (service.DRAIN_SECONDS, None)


def test_the_folder_of_the_log_is_made_where_it_is_not_there(tmp_path: Path) -> None:
    opened = open_log(tmp_path / "var" / "new")
    assert (tmp_path / "var" / "new").is_dir()
    opened.close()
