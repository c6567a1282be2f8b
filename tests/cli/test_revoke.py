import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.cli.revoke import revoke
from gateway.core.barred import Thing
from gateway.state.revocations import NAME, read_all
from tests import world
from tests.engine import pki

WHY = ("--because", "INC-4711")


def run(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(revoke, [*arguments, "--state", str(folder)], input=stdin)


def listed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    result = run(folder, "list", "--json", *arguments)
    assert result.exit_code == 0
    found = json.loads(result.output)["revocations"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("arguments", "thing", "value"),
    [
        (["partner", "acme-casino"], Thing.PARTNER, "acme-casino"),
        (["certificate", "AB" * 32], Thing.CERTIFICATE, "ab" * 32),
        (["certificate", ":".join(["ab"] * 32)], Thing.CERTIFICATE, "ab" * 32),
        (["key", "acme-2026"], Thing.KEY, "acme-2026"),
        (["key", "kid-1", "--issuer", "operator"], Thing.ISSUER_KEY, "operator/kid-1"),
        (["token", "jti-1", "--issuer", "operator"], Thing.TOKEN, "operator/jti-1"),
        (["token", "acme", "--issuer", "operator", "--subject"], Thing.SUBJECT, "operator/acme"),
    ],
)
def test_each_kind_of_thing_can_be_revoked(tmp_path: Path, arguments: list[str], thing: Thing, value: str) -> None:
    result = run(tmp_path, *arguments, *WHY, "--by", "maria")
    assert result.exit_code == 0
    assert result.output == f"revoked until it is lifted: {thing.value} {value} (number 1)\n"
    (entry,) = read_all(tmp_path)
    assert (entry.thing, entry.value, entry.by, entry.because) == (thing, value, "maria", "INC-4711")


def test_a_token_is_read_from_standard_input_and_kept_as_its_digest(tmp_path: Path) -> None:
    token = world.token()
    signed, _, signature = token.rpartition(".")
    sent = f"Bearer {token}\ndpop  {signed}.another\n\nopaque-7f3a\n"
    result = run(tmp_path, "token", "--stdin", *WHY, stdin=sent)
    assert result.exit_code == 0
    # A JWT without its signature, which whoever has it may be able to write in another way.
    assert [(entry.thing, entry.value) for entry in read_all(tmp_path)] == [
        (Thing.TOKEN_DIGEST, hashlib.sha256(text.encode()).hexdigest()) for text in (signed, "opaque-7f3a")
    ]
    for secret in (token, signature, "opaque"):
        assert secret.encode() not in (tmp_path / NAME).read_bytes()
        assert secret not in result.output


def test_what_is_no_token_is_not_taken_for_one(tmp_path: Path) -> None:
    result = run(tmp_path, "token", "--stdin", *WHY, stdin="Authorization: Bearer abc\n")
    assert result.exit_code == 2
    assert "no token" in result.output
    assert "abc" not in result.output


def test_a_certificate_may_be_named_by_its_file(tmp_path: Path) -> None:
    made = pki.pki().clients["partner"]
    (tmp_path / "casino.pem").write_bytes(made.certificate_pem())
    assert run(tmp_path, "certificate", str(tmp_path / "casino.pem"), *WHY).exit_code == 0
    assert read_all(tmp_path)[0].value == made.certificate.fingerprint(SHA256()).hex()


def test_many_at_once_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("".join(f"jti-{number}\n" for number in range(20)) + "jti-0\n\n")
    result = run(tmp_path, "token", "--issuer", "operator", "--from", str(tmp_path / "ids"), *WHY)
    assert result.output.endswith("and 12 more, up to number 20\n")
    assert len(read_all(tmp_path)) == 20


def test_until_when(tmp_path: Path) -> None:
    assert "revoked until 2099-" in run(tmp_path, "partner", "a", *WHY, "--until", "2099-01-01").output
    assert run(tmp_path, "partner", "b", *WHY, "--for", "24h").exit_code == 0
    first, second = read_all(tmp_path)
    assert (first.until, second.until) == (4_070_908_800.0, second.at + 86_400)


def test_lifting_and_the_list(tmp_path: Path) -> None:
    run(tmp_path, "partner", "acme", "blue", *WHY)
    assert run(tmp_path, "lift", "1", "--because", "found").output == "lifted: partner acme (number 1)\n"
    assert [entry["value"] for entry in listed(tmp_path)] == ["blue"]
    everything = listed(tmp_path, "--all")
    assert [(entry["action"], entry["in_force"], entry["lifts"]) for entry in everything] == [
        ("revoke", False, None),
        ("revoke", True, None),
        ("lift", False, 1),
    ]
    shown = run(tmp_path, "list", "--all").output
    assert "until it is lifted" in shown
    assert "lifts 1" in shown
    assert "acme" not in run(tmp_path, "list").output


def test_an_empty_list(tmp_path: Path) -> None:
    assert run(tmp_path, "list").output == "nothing is revoked\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["partner", *WHY], "nothing to revoke is named"),
        (["partner", "a"], "Missing option '--because'"),
        (["partner", "a", "--because", " "], "is empty"),
        (["partner", "a\n", *WHY], "not printable"),
        (["partner", "a", *WHY, "--for", "1h", "--until", "2099-01-01"], "--for or --until, not both"),
        (["partner", "a", *WHY, "--until", "2020-01-01"], "it would have ended already"),
        (["partner", "a", *WHY, "--for", "soon"], "`soon` is no duration"),
        (["certificate", "abc", *WHY], "no SHA-256 fingerprint"),
        (["certificate", __file__, *WHY], "has no readable certificate"),
        (["token", "a", *WHY], "--issuer is missing"),
        (["token", "a", "--stdin", *WHY], "--stdin takes no ids"),
        (["lift", "9", *WHY], "nothing is revoked under number 9"),
    ],
)
def test_what_cannot_be_done(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / NAME).exists()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("nonsense\n")
    for arguments in (["list"], ["partner", "a", *WHY], ["lift", "1", *WHY]):
        result = run(tmp_path, *arguments)
        assert result.exit_code == 1
        assert "a line is damaged" in result.output


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", "partner", "a", *WHY)
    assert "is no folder" in result.output
    assert not (tmp_path / "nowhere").exists()


def test_a_cas_certificate_is_not_looked_for_in_chains(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(pki.pki().partners.certificate_pem())
    result = run(tmp_path, "certificate", str(tmp_path / "ca.pem"), *WHY)
    assert result.exit_code == 2
    assert "is a CA's certificate (take it out of `client_ca`" in result.output
