"""`gateway check`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import check
from gateway.core.chain import ORDER
from tests.policy.files import BASE, ENVIRON, make_files
from tests.policy.golden import CASES, Case


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    make_files(tmp_path)
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        # Reviewed in a time that no run of this test reaches: the command reads the clock.
        text = file.read_text().replace("review_by: 2027-05-01", "review_by: 9999-12-31")
        (tmp_path / "policies" / file.name).write_text(text.replace(", not_after: 2027-02-01", ""))
    return tmp_path / "policies"


def run(path: Path, *options: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner(env={**ENVIRON, "COLUMNS": "200", **(environ or {})}).invoke(check, [str(path), *options])


def test_a_valid_policy_is_shown_route_by_route(policies: Path) -> None:
    result = run(policies)
    assert result.exit_code == 0
    for word in ("deposit", "POST", "acme-casino", *ORDER, "operator for psp", "50/second per"):
        assert word in result.output
    assert "http://127.0.0.1:9000" in result.output
    assert "0 errors, 0 warnings: policy psp" in result.output


def test_what_workers_need_is_said(policies: Path) -> None:
    assert "state: the memory of the process: --workers 1 only" in run(policies).output
    assert (
        "audit log: each allow with the kernel, a checkpoint every 10s, nothing is deleted; no" in run(policies).output
    )
    refused = run(policies, "--workers", "2")
    assert refused.exit_code == 2
    assert "several workers need a store they share for rate_limit" in refused.output
    (policies / "state.yaml").write_text("version: 1\nstate: {store: valkey, embedded: true}\n")
    allowed = run(policies, "--workers", "2")
    assert allowed.exit_code == 0
    assert "state: Valkey run by the gate: shared by its workers" in allowed.output


def test_reasons_for_what_is_off_are_shown_as_they_were_written(policies: Path) -> None:
    text = (policies / "routes.yaml").read_text()
    (policies / "routes.yaml").write_text(
        text.replace("ip_allowlist: partner", "ip_allowlist: {off: 'see [bold]R-1[/]'}")
    )
    result = run(policies)
    assert result.exit_code == 0
    assert "off: see [bold]R-1[/]" in " ".join(result.output.replace("│", " ").split())


def test_every_problem_is_a_line_and_the_exit_code_is_2(policies: Path) -> None:
    case = Case.read(CASES / "ten_mistakes.case")
    (policies.parent / "policy.yaml").write_text(case.files["policy.yaml"])
    (policies.parent / "policies" / "policy.yaml").write_text(case.files["policy.yaml"])
    result = run(policies / "policy.yaml")
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert [line.replace(f"{policies}/", "policies/") for line in lines[:-1]] == case.expect
    assert lines[-1] == f"{policies}/policy.yaml: 10 errors, 0 warnings: the policy is refused"


def test_a_secret_that_is_not_in_the_environment_is_told(policies: Path) -> None:
    result = run(policies, environ={"ACME_SIGNING_KEY": ""})
    assert result.exit_code == 2
    assert "the environment variable ACME_SIGNING_KEY is empty" in result.output


def test_an_overdue_review_is_a_warning(policies: Path) -> None:
    text = (policies / "gate.yaml").read_text()
    (policies / "gate.yaml").write_text(text.replace("9999-12-31", "2001-01-01"))
    result = run(policies)
    assert result.exit_code == 0
    assert "0 errors, 1 warning: policy psp" in result.output


def test_colours_are_for_terminals(policies: Path) -> None:
    (policies / "gate.yaml").write_text("colour: blue\n")
    assert "\x1b[" not in run(policies).output
    coloured = CliRunner(env=ENVIRON).invoke(check, [str(policies)], color=True).output
    assert "\x1b[31m" in coloured


def test_json_of_a_valid_policy(policies: Path) -> None:
    result = run(policies, "--json")
    assert result.exit_code == 0
    said = json.loads(result.output)
    assert said["valid"] is True
    assert said["problems"] == []
    assert said["policy"]["routes"][0]["controls"]["ip_allowlist"] == "the partner's networks"
    assert said["policy"]["routes"][0]["endpoints"] == ["http://127.0.0.1:9000"]
    assert set(said["policy"]) == {"name", "digest", "owner", "review_by", "state", "lockout", "audit", "routes"}


def test_json_of_an_invalid_policy(policies: Path) -> None:
    (policies / "gate.yaml").write_text("version: 1\n")
    (policies / "partners.yaml").unlink()
    result = run(policies, "--json")
    assert result.exit_code == 2
    said = json.loads(result.output)
    assert said["valid"] is False
    assert {"severity", "file", "line", "column", "path", "message", "hint"} == set(said["problems"][0])


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert result.exit_code == 2
    assert "the policy does not exist" in result.output


def test_a_narrow_terminal_gets_a_list(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.check.WIDE", 10_000)
    monkeypatch.setattr("rich.console.Console.width", property(lambda _: 80, lambda *_: None))
    result = run(policies)
    assert result.exit_code == 0
    assert "│ replay       │ required" in result.output
