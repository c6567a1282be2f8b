"""The bill of materials of a whole policy, held against the official schema and against OpenSSL's own list."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gateway.cli.certs_bom import bill
from gateway.policy import load
from tests.policy.files import BASE, ENVIRON, NOW, make_files

DIGEST = "ab" * 32


def components(folder: Path, *changes: tuple[str, str]) -> list[dict[str, Any]]:
    make_files(folder)
    (folder / "policies").mkdir()
    for file in BASE.iterdir():
        text = file.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        (folder / "policies" / file.name).write_text(text)
    text = json.dumps(bill(load(folder / "policies", ENVIRON, now=NOW), NOW))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert ENVIRON["ACME_SIGNING_KEY"] not in text
    document = json.loads(text)
    assert document["metadata"]["component"]["name"] == "psp"
    found: list[dict[str, Any]] = document["components"]
    return found


def named(found: list[dict[str, Any]], kind: str) -> set[str]:
    return {one["name"] for one in found if one["cryptoProperties"]["assetType"] == kind}


def test_the_base_policy(tmp_path: Path) -> None:
    found = components(tmp_path)
    assert named(found, "certificate") == {"CN=gate", "CN=Partners CA"}
    assert named(found, "protocol") == {"TLS 1.2 of listener main", "TLS 1.3 of listener main"}
    assert named(found, "algorithm") == {"EC P-256", "ES256", "ecdsa-with-sha256", "hmac-sha256"}
    assert "acme-2026-11" in named(found, "related-crypto-material")
    (gate,) = [one for one in found if one["name"] == "CN=gate"]
    (place,) = gate["evidence"]["occurrences"]
    assert place == {
        "location": str(tmp_path / "policies" / "gate.yaml"),
        "line": 9,
        "symbol": "listener.tls.certificate",
        "additionalContext": "listener main: presented",
    }


def test_the_suites_are_those_of_openssl(tmp_path: Path) -> None:
    found = components(tmp_path)
    names = {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
    for one in found:
        if one["cryptoProperties"]["assetType"] == "protocol":
            listed = one["cryptoProperties"]["protocolProperties"]["cipherSuites"]
            assert listed
            assert {suite["name"] for suite in listed} <= names


@pytest.mark.parametrize(("minimum", "versions"), [("1.2", {"1.2", "1.3"}), ("1.3", {"1.3"})])
def test_only_versions_that_are_spoken_are_listed(tmp_path: Path, minimum: str, versions: set[str]) -> None:
    found = components(tmp_path, ('minimum: "1.2"', f'minimum: "{minimum}"'))
    assert named(found, "protocol") == {f"TLS {version} of listener main" for version in versions}


def test_upstreams_and_pins(tmp_path: Path) -> None:
    found = components(
        tmp_path,
        (
            '"http://127.0.0.1:9000"',
            '"https://127.0.0.1:9000", client: {certificate: ../certs/gateway.pem, key: ../certs/gateway.key}',
        ),
        ('san_uri: "spiffe://acme.example/casino"', f"fingerprint: {DIGEST}"),
    )
    assert "TLS 1.3 of upstream psp" in named(found, "protocol")
    assert f"fingerprint {DIGEST}" in named(found, "related-crypto-material")
    (gate,) = [one for one in found if one["name"] == "CN=gate"]
    assert len(gate["evidence"]["occurrences"]) == 2
