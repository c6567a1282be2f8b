"""The demo's keys: where the policies look for them, private, and valid or invalid as they should be."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from gateway.demo.credentials import (
    ACME,
    EXPIRED,
    FOREIGN,
    NORTHSTAR,
    PARTIES,
    SERVER_ONLY,
    STRANGER,
    Credentials,
    make,
)
from tests.unit.demo.world import NOW

POLICIES = Path(__file__).parents[3] / "policies"


def openssl_verify(credentials: Credentials, identity: str, purpose: str = "sslclient") -> str:
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(NOW))]
    ca = credentials.folder / "partners-ca.pem"
    files = ["-CAfile", str(ca), str(credentials.certificate(identity))]
    return subprocess.run([*command, *files], capture_output=True, text=True, check=False).stderr


def test_every_file_the_policies_name_is_made(credentials: Credentials) -> None:
    text = "".join(file.read_text() for file in POLICIES.glob("*.yaml"))
    named = set(re.findall(r"\.\./certs/([A-Za-z0-9./-]+)", text))
    assert named
    assert {name for name in named if not (credentials.folder / name).is_file()} == set()


def test_keys_and_secrets_are_private(credentials: Credentials) -> None:
    private = [path for path in credentials.folder.rglob("*") if path.suffix in (".key", ".secret")]
    assert len(private) == 1 + len(PARTIES) + 4 + sum(len(party.signing_keys) for party in PARTIES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_no_other_file_holds_a_private_key(credentials: Credentials) -> None:
    holding = {
        path.suffix for path in credentials.folder.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()
    }
    assert holding == {".key"}


@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.name)
def test_openssl_accepts_a_partner(credentials: Credentials, party: object) -> None:
    assert openssl_verify(credentials, getattr(party, "name", "")) == ""


def test_openssl_accepts_a_stranger_whom_only_the_policy_can_refuse(credentials: Credentials) -> None:
    assert openssl_verify(credentials, STRANGER) == ""


@pytest.mark.parametrize(
    ("identity", "code"),
    [(FOREIGN, 20), (EXPIRED, 10), (SERVER_ONLY, 26)],  # X509_V_ERR: no local issuer, expired, purpose
    ids=[FOREIGN, EXPIRED, SERVER_ONLY],
)
def test_openssl_refuses_the_others(credentials: Credentials, identity: str, code: int) -> None:
    assert f"error {code} at 0 depth" in openssl_verify(credentials, identity)


def test_each_signing_key_is_another(credentials: Credentials) -> None:
    secrets = [credentials.secret(key_id) for party in PARTIES for key_id in party.signing_keys]
    assert len(set(secrets)) == len(secrets)
    assert {len(secret) for secret in secrets} == {64}


def test_everything_is_made_anew(credentials: Credentials, tmp_path: Path) -> None:
    again = make(tmp_path, NOW)
    assert again.secret("acme-2026-11") != credentials.secret("acme-2026-11")
    assert again.operator.key_id != credentials.operator.key_id


def test_making_over_old_files_replaces_them(tmp_path: Path) -> None:
    before = make(tmp_path, NOW).secret("acme-2026-11")
    assert make(tmp_path, NOW).secret("acme-2026-11") != before


def test_a_partners_tokens_have_a_subject_of_their_own() -> None:
    assert (ACME.subject, NORTHSTAR.subject) == ("svc-acme-casino", "svc-northstar-games")
