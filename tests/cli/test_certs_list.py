"""`gateway certs list`."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gateway.cli.certs import certs
from gateway.pki.authority import Authority, Credential
from tests.crls import crl, pem
from tests.policy.files import BASE, ENVIRON, make_files


def run(*arguments: str | Path) -> Result:
    return CliRunner(env=ENVIRON).invoke(certs, ["list", *map(str, arguments)])


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The base policy with certificates that are valid now, and a key that ends in a far future."""
    make_files(tmp_path)
    invoke = CliRunner().invoke
    assert invoke(certs, ["ca", str(tmp_path / "ca"), "--days", "300"]).exit_code == 0
    assert invoke(certs, ["issue", str(tmp_path / "ca"), "gateway", "--server", "--dns", "gate"]).exit_code == 0
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        text = file.read_text().replace("../certs/gateway.", "../ca/gateway.")
        text = text.replace("../certs/partners-ca", "../ca/ca").replace(
            "not_after: 2027-02-01", "not_after: 9000-01-01"
        )
        (tmp_path / "policies" / file.name).write_text(text)
    return tmp_path / "policies"


def change(policies: Path, old: str, new: str) -> None:
    text = (policies / "partners.yaml").read_text()
    assert old in text
    (policies / "partners.yaml").write_text(text.replace(old, new))


def test_everything_is_listed_by_its_end(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.certs_list.WIDE", 400)
    result = run(policies)
    assert result.exit_code == 0
    words = ["CN=gateway", "CN=Development CA", "key acme-2026-11", "no end known"]
    found = [result.output.index(word) for word in words]
    assert found == sorted(found)
    for word in ("listener main", "trusted CA", "gate.yaml:9:18", "hmac-sha256", "ES256", "development CA", "4 listed"):
        assert word in result.output


def test_what_ends_within_the_time_makes_the_exit_code_1(policies: Path) -> None:
    result = run(policies, "--within", "100d")
    assert result.exit_code == 1
    assert "4 listed, 1 ending soon" in result.output


def test_what_has_ended_makes_the_exit_code_1(policies: Path) -> None:
    change(policies, "9000-01-01", "2001-01-01")
    result = run(policies, "--within", "0s")
    assert result.exit_code == 1
    assert "4 listed, 1 expired" in result.output


def test_a_key_that_does_not_count_yet(policies: Path) -> None:
    change(policies, "not_after: 9000-01-01", "not_before: 8999-01-01, not_after: 9000-01-01")
    result = run(policies)
    assert result.exit_code == 0
    assert "not before 8999-01-01" in result.output
    assert "1 not yet valid" in result.output


def test_a_key_without_an_end(policies: Path) -> None:
    change(policies, "not_after: 9000-01-01", "not_before: 2020-01-01")
    result = run(policies)
    assert "from 2020-01-01" in result.output


def test_json(policies: Path) -> None:
    change(policies, 'san_uri: "spiffe://acme.example/casino"', f"fingerprint: {'ab' * 32}")
    text = (policies / "gate.yaml").read_text().replace("http://127", "https://127")
    (policies / "gate.yaml").write_text(text)
    result = run(policies, "--json")
    assert result.exit_code == 0
    said = json.loads(result.output)
    assert said["policy"]["name"] == "psp"
    first = said["material"][0]
    assert (first["for"], first["role"], first["state"]) == ({"listener": "main"}, "presented", "valid")
    assert first["place"] == {"file": str(policies / "gate.yaml"), "line": 9, "column": 18}
    assert (first["key"], first["days_left"], first["development"]) == ("EC P-256", 89, True)
    by_role = {one["role"]: one for one in said["material"]}
    assert by_role["verifies signatures"]["id"] == "acme-2026-11"
    assert by_role["verifies tokens"]["algorithms"] == ["ES256"]
    assert by_role["recognises the partner"]["fingerprint"] == "ab" * 32
    assert "the system's CAs" in [one["what"] for one in said["material"]]


# Revocation lists


def revoke(policies: Path, *, begins: float, ends: float) -> None:
    """Have the listener look certificates up in a list of its CA's."""
    folder, now = policies.parent / "ca", time.time()
    certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key: Any = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    made = crl(Authority(Credential(certificate, key), is_root=True), 5, 6, at=now + begins, ends=now + ends)
    (folder / "ca.crl").write_bytes(pem(made))
    file = policies / "gate.yaml"
    trusted = "    client_ca: ../ca/ca.pem\n"
    assert trusted in file.read_text()
    file.write_text(file.read_text().replace(trusted, f"{trusted}    revocation: {{lists: [../ca/ca.crl]}}\n"))


@pytest.mark.parametrize(
    ("begins", "ends", "state", "code"),
    [
        (-3_600.0, 82_800.0, "valid", 0),  # of a day, as lists are: not late with most of it left
        (-80_000.0, 6_400.0, "ends soon", 1),
        (-80_000.0, -60.0, "expired", 1),
    ],
)
def test_revocation_lists_are_listed(policies: Path, begins: float, ends: float, state: str, code: int) -> None:
    revoke(policies, begins=begins, ends=ends)
    result = run(policies, "--json")
    assert result.exit_code == code
    (listed,) = [one for one in json.loads(result.output)["material"] if one["role"] == "tells who is revoked"]
    assert (listed["state"], listed["for"], listed["entries"]) == (state, {"listener": "main"}, 2)
    assert listed["what"].startswith("revocation list of CN=Development CA")
    assert (listed["signature"], len(listed["fingerprint"])) == ("ecdsa-with-sha256", 64)
    assert listed["file"].endswith("ca.crl")
    assert "2 entries, ecdsa-with-sha256" in run(policies).output


def test_revocation_lists_are_in_the_bill_of_materials(policies: Path) -> None:
    revoke(policies, begins=-60.0, ends=86_400.0)
    result = run(policies, "--cbom")
    assert result.exit_code == 0
    text = result.output
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = [one for one in json.loads(text)["components"] if one["bom-ref"].startswith("revocation-list:")]
    assert [one["evidence"]["occurrences"][0]["additionalContext"] for one in found] == [
        "listener main: tells who is revoked"
    ]


@pytest.mark.parametrize("option", [(), ("--json",), ("--cbom",)])
def test_no_secret_is_shown(policies: Path, option: tuple[str, ...]) -> None:
    output = run(policies, *option).output
    assert ENVIRON["ACME_SIGNING_KEY"] not in output
    assert "PRIVATE" not in output


def test_the_bill_of_materials_keeps_the_exit_code(policies: Path) -> None:
    assert run(policies, "--cbom").exit_code == 0
    result = run(policies, "--cbom", "--within", "100d")
    assert (result.exit_code, json.loads(result.output)["bomFormat"]) == (1, "CycloneDX")


def test_a_policy_that_is_refused(policies: Path) -> None:
    (policies / "gate.yaml").write_text("version: 1\n")
    result = run(policies)
    assert result.exit_code == 2
    assert "gate.yaml:1:1" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "--cbom"], "--json or --cbom"),
        (["--within", "soon"], "expected a duration"),
        (["--within", "30"], "has no unit"),
    ],
)
def test_usage_errors(policies: Path, arguments: list[str], said: str) -> None:
    result = run(policies, *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_files_that_openssl_does_not_take(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("EE_KEY_TOO_SMALL")

    monkeypatch.setattr("gateway.cli.certs_list.bill", refuse)
    result = run(policies, "--cbom")
    assert result.exit_code == 1
    assert "TLS cannot be set up with the policy's files: EE_KEY_TOO_SMALL" in result.output
