"""`gateway audit key`."""

from pathlib import Path

from click.testing import CliRunner, Result

from gateway.audit.tlog.key import read_key
from gateway.cli.audit import audit


def key(*arguments: object) -> Result:
    return CliRunner().invoke(audit, ["key", *(str(argument) for argument in arguments)])


def test_a_key_is_made_and_its_public_half_printed(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    result = key(path, "--new", "audit.example.com/psp")
    assert result.exit_code == 0
    assert result.stdout == f"{read_key(path).public}\n"
    assert key(path).stdout == result.stdout
    assert "PRIVATE" not in result.output
    assert key(path, "--worker", 2).stdout.startswith("audit.example.com/psp/worker-2+")


def test_a_key_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    key(path, "--new", "a")
    result = key(path, "--new", "b")
    assert result.exit_code == 1
    assert "is there already, and is not replaced" in result.stderr


def test_what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    assert key(path).stderr == f"Error: {path}: No such file or directory\n"
    assert "a name has no spaces" in key(path, "--new", "a b").stderr
    path.write_text("rubbish")
    path.chmod(0o600)
    assert "does not begin with" in key(path).stderr
