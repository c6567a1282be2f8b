import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.core.certificates import CertificateMatch
from gateway.core.policy import Partner
from gateway.kit.recipes import certificate_request, signing_key
from gateway.signing.algorithms import PublicVerifier
from tests import world


def run(script: str, folder: Path) -> None:
    subprocess.run(["/bin/sh", "-c", script], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("match", "subject", "names"),
    [
        (CertificateMatch(san_uri="spiffe://acme.example/casino"), "CN=acme", ["spiffe://acme.example/casino"]),
        (CertificateMatch(san_dns="api.acme.example"), "CN=acme", ["api.acme.example"]),
        (CertificateMatch(subject="CN=casino,O=Acme\\, Inc."), "CN=casino,O=Acme\\, Inc.", None),
        (CertificateMatch(fingerprint="ab" * 32), "CN=acme", None),
        (None, "CN=acme", None),
    ],
)
def test_a_request_has_what_the_policy_looks_for(
    match: CertificateMatch | None, subject: str, names: list[str] | None, tmp_path: Path
) -> None:
    run(certificate_request(Partner("acme", certificates=(match,) if match is not None else ())), tmp_path)
    request = x509.load_pem_x509_csr((tmp_path / "client.csr").read_bytes())
    assert request.subject.rfc4514_string() == subject
    assert (tmp_path / "client.key").stat().st_mode & 0o777 == 0o600
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        assert names is None
    else:
        assert [each.value for each in found] == names


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512"])
def test_a_signing_key_is_fit_for_its_algorithm(algorithm: str, tmp_path: Path) -> None:
    run(signing_key(algorithm), tmp_path)
    public = load_pem_public_key((tmp_path / "signing.pub").read_bytes())
    assert PublicVerifier(algorithm, public).algorithm == algorithm  # type: ignore[arg-type]
    assert world.PARTNER not in signing_key(algorithm)
