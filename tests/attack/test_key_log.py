"""SSLKEYLOGFILE: the gate does not start where TLS secrets would be written to a file."""

from pathlib import Path

import pytest

from gateway.engine.service import Service, Settings, run
from gateway.engine.start import StartError, check_environment


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
async def test_the_gate_does_not_start(tmp_path: Path, name: str) -> None:
    settings = Settings(
        tmp_path / "policy.yaml", tmp_path / "audit", tmp_path / "state", {name: str(tmp_path / "keys")}
    )

    with pytest.raises(StartError, match=name):
        await Service(settings).run()

    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a folder of the test's own


def test_the_operator_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"SSLKEYLOGFILE": str(tmp_path / "keys")}

    assert run(Settings(tmp_path / "policy.yaml", tmp_path / "audit", tmp_path / "state", environ)) == 2

    assert "Unset it" in capsys.readouterr().err


def test_an_empty_variable_writes_nothing() -> None:
    assert check_environment({"SSLKEYLOGFILE": ""}) is None
