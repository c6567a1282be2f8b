"""What the development CA issues: accepted by OpenSSL's strict rules, and of no more use than stated."""

import ssl
import subprocess
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity

NOW = Instant(1_795_348_800.0)  # 2026-11-22T12:00:00Z
VALID = Validity.around(NOW, days=30)


def verify(tmp_path: Path, root: Authority, leaf: Credential, purpose: str, at: float = NOW) -> tuple[bool, str]:
    (tmp_path / "root.pem").write_bytes(root.certificate_pem())
    (tmp_path / "chain.pem").write_bytes(leaf.certificate_pem())
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(at))]
    files = [
        "-CAfile",
        str(tmp_path / "root.pem"),
        "-untrusted",
        str(tmp_path / "chain.pem"),
        str(tmp_path / "chain.pem"),
    ]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.root("test CA", VALID)


def test_openssl_accepts_a_leaf_by_its_strict_rules(tmp_path: Path, root: Authority) -> None:
    leaf = root.issue(Names("acme", dns=("acme.example",)), Purpose.CLIENT, VALID)
    assert verify(tmp_path, root, leaf, "sslclient") == (True, f"{tmp_path / 'chain.pem'}: OK\n")


def test_openssl_accepts_a_leaf_below_an_intermediate(tmp_path: Path, root: Authority) -> None:
    leaf = root.subordinate("issuing CA", VALID).issue(Names("acme"), Purpose.CLIENT, VALID)
    assert leaf.certificate_pem().count(b"BEGIN CERTIFICATE") == 2
    accepted, output = verify(tmp_path, root, leaf, "sslclient")
    assert accepted, output


@pytest.mark.parametrize(("purpose", "other"), [(Purpose.CLIENT, "sslserver"), (Purpose.SERVER, "sslclient")])
def test_a_leaf_serves_its_one_purpose_only(tmp_path: Path, root: Authority, purpose: Purpose, other: str) -> None:
    accepted, output = verify(tmp_path, root, root.issue(Names("acme"), purpose, VALID), other)
    assert not accepted
    assert "purpose" in output


def test_openssl_refuses_a_leaf_after_its_validity(tmp_path: Path, root: Authority) -> None:
    leaf = root.issue(Names("acme"), Purpose.CLIENT, Validity(NOW, Instant(NOW + 60)))
    assert verify(tmp_path, root, leaf, "sslclient", NOW + 59)[0]
    accepted, output = verify(tmp_path, root, leaf, "sslclient", NOW + 61)
    assert not accepted
    assert "certificate has expired" in output


def test_openssl_refuses_a_leaf_of_another_ca_of_the_same_name(tmp_path: Path, root: Authority) -> None:
    leaf = Authority.root("test CA", VALID).issue(Names("acme"), Purpose.CLIENT, VALID)
    assert not verify(tmp_path, root, leaf, "sslclient")[0]


def test_an_intermediate_makes_no_further_authority(root: Authority) -> None:
    with pytest.raises(RuntimeError, match="issues leaves only"):
        root.subordinate("issuing CA", VALID).subordinate("below", VALID)


def test_python_shakes_hands_by_its_default_contexts(tmp_path: Path) -> None:
    """Default contexts apply VERIFY_X509_STRICT from CPython 3.13 on; here they are told to on any."""
    now = Instant(datetime.now(UTC).timestamp())
    root = Authority.root("test CA", Validity.around(now, days=1))
    server = root.issue(Names("gate", dns=("localhost",)), Purpose.SERVER, Validity.around(now, days=1))
    client = root.issue(
        Names("acme", uris=("spiffe://acme.example/casino",)), Purpose.CLIENT, Validity.around(now, days=1)
    )
    ends = []
    for name, credential, purpose in (
        ("server", server, ssl.Purpose.CLIENT_AUTH),
        ("client", client, ssl.Purpose.SERVER_AUTH),
    ):
        context = ssl.create_default_context(purpose, cadata=root.certificate_pem().decode())
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
        (tmp_path / f"{name}.pem").write_bytes(credential.certificate_pem() + credential.key_pem())
        context.load_cert_chain(tmp_path / f"{name}.pem")
        ends.append(context)
    assert _handshake(*ends)["subjectAltName"] == (("URI", "spiffe://acme.example/casino"),)


def _handshake(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> dict[str, object]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    waiting = [client, server]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert waiting == []
    return server.getpeercert() or {}


def test_the_certificate_says_what_it_was_asked_to(root: Authority) -> None:
    names = Names("acme", "Acme Ltd", ("acme.example",), (ip_address("192.0.2.7"),), ("spiffe://acme.example/a",))
    certificate = root.issue(names, Purpose.CLIENT, VALID).certificate
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.rfc4514_string() == "CN=acme,O=Acme Ltd"
    assert alternatives.get_values_for_type(x509.DNSName) == ["acme.example"]
    assert alternatives.get_values_for_type(x509.IPAddress) == [ip_address("192.0.2.7")]
    assert alternatives.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://acme.example/a"]


def test_validity_around_now_tolerates_a_slow_clock() -> None:
    assert Validity.around(NOW, days=2) == Validity(Instant(NOW - 3600), Instant(NOW + 172_800))


def test_a_credential_does_not_show_its_key(root: Authority) -> None:
    assert repr(root.issue(Names("acme"), Purpose.CLIENT, VALID)) == "Credential(CN=acme)"
