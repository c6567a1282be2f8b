import json
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.cli.lockout import lockout
from gateway.cli.revoke import revoke
from gateway.core.barred import Thing
from gateway.core.message import Instant
from gateway.state.revocations import Entry, add, read_all

LATER = Instant(4_000_000_000.0)
LOCKED = Entry(
    0, "revoke", Thing.LOCKED_ADDRESS, "203.0.113.9", Instant(1.0), LATER, "gate", "10 failed authentications"
)
REVOKED = Entry(0, "revoke", Thing.PARTNER, "acme", Instant(1.0), None, "maria", "INC-1")


def run(folder: Path, *arguments: str, command: object = lockout) -> Result:
    return CliRunner().invoke(command, [*arguments, "--state", str(folder)])  # type: ignore[arg-type]


def test_lock_outs_are_listed_apart_from_revocations(tmp_path: Path) -> None:
    assert run(tmp_path, "list").output == "nobody is locked out\n"
    add(tmp_path, [LOCKED, REVOKED])
    assert "203.0.113.9" in run(tmp_path, "list").output
    assert "acme" not in run(tmp_path, "list").output
    assert "203.0.113.9" not in run(tmp_path, "list", command=revoke).output
    (shown,) = json.loads(run(tmp_path, "list", "--json").output)["lockouts"]
    assert (shown["what"], shown["value"], shown["by"]) == ("locked-address", "203.0.113.9", "gate")


def test_a_lock_out_is_lifted_and_a_revocation_is_not(tmp_path: Path) -> None:
    add(tmp_path, [LOCKED, REVOKED])
    refused = run(tmp_path, "lift", "2", "--because", "x")
    assert "nothing is locked out under number 2" in refused.output
    result = run(tmp_path, "lift", "1", "--because", "their new client was wrong", "--by", "maria")
    assert result.output == "lifted: locked-address 203.0.113.9 (number 1)\n"
    assert run(tmp_path, "list").output == "nobody is locked out\n"
    assert "lifted" in run(tmp_path, "list", "--all").output
    assert read_all(tmp_path)[-1].of == 1
    assert "nothing is revoked under number 1" in run(tmp_path, "lift", "1", "--because", "x", command=revoke).output
