import subprocess
import sys
from pathlib import Path

import pytest

from gateway.engine.start import EXIT_USAGE, StartError, check_environment, explained, listeners_of
from gateway.policy import PolicyInvalid, Problem
from tests import world


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"])
def test_a_gate_does_not_start_where_tls_secrets_would_be_written(name: str) -> None:
    with pytest.raises(StartError, match=f"{name} is set"):
        check_environment({name: "/tmp/keys"})


def test_a_gate_starts_in_a_clean_environment() -> None:
    assert check_environment({"PATH": "/bin", "SSLKEYLOGFILE": ""}) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("code", [0, 1])
def test_what_runs_gives_its_own_exit_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(lambda: code) == code
    assert capsys.readouterr() == ("", "")


def raising(error: Exception) -> int:
    raise error


def test_why_a_gate_cannot_start_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(lambda: raising(StartError("the port is taken"))) == EXIT_USAGE
    assert capsys.readouterr().err == "gateway: the port is taken\n"


def test_every_problem_of_a_policy_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(Path("a.yaml"), line, 1, "", "is wrong") for line in (3, 7)]
    assert explained(lambda: raising(PolicyInvalid(problems))) == EXIT_USAGE
    assert capsys.readouterr().err.splitlines() == ["a.yaml:3:1: is wrong", "a.yaml:7:1: is wrong"]


def test_an_error_of_ours_is_not_explained_away() -> None:
    with pytest.raises(ZeroDivisionError):
        explained(lambda: 1 // 0)


def test_listeners_are_told_by_name_and_address() -> None:
    listeners = {name: world.listener(name=name, port=port) for name, port in (("public", 8443), ("partners", 9443))}
    address = world.listener().address
    assert listeners_of(world.policy(listeners=listeners)) == (f"public {address}:8443", f"partners {address}:9443")


def test_the_supervisor_does_without_what_serves_requests() -> None:
    heavy = "{'mitmproxy', 'uvloop', 'httptools', 'gateway.engine.service', 'gateway.engine.listener'}"
    program = f"import sys, gateway.cli.run, gateway.engine.supervisor; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.pem"), "No such file or directory: a.pem"),
        (OSError(98, "Address already in use"), "Address already in use"),
        (OSError("broken"), "broken"),
    ],
)
def test_what_the_system_could_not_do_is_told_with_its_file(error: OSError, said: str) -> None:
    assert str(StartError.of(error)) == said
