"""What is said of each kind of thing; openssl says the same."""

import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier

from gateway.pki.authority import Authority, Validity
from gateway.pki.contents import FoundKey, Unreadable
from gateway.pki.inspect import certificate_facts
from gateway.pki.keys import KeyFacts, key_facts
from gateway.pki.objections import Use
from gateway.pki.summary import days_left, moment, signature_name, summarise
from tests.crls import crl
from tests.unit.pki.odd import CA_KEY, LEAF_KEY, NOW, ca, leaf, name

AT = datetime.fromtimestamp(NOW, UTC)


def test_a_certificate() -> None:
    certificate = leaf()
    facts = certificate_facts(certificate.public_bytes(Encoding.DER))
    assert summarise(certificate, NOW, Use.CLIENT) == {
        "kind": "certificate",
        "subject": "CN=leaf",
        "issuer": "CN=CA",
        "serial": "07",
        "not_before": "2026-11-21T13:00:00Z",
        "not_after": "2026-11-23T13:00:00Z",
        "days_left": 1,
        "names": ["DNS:acme.example"],
        "ca": False,
        "path_length": None,
        "key_usage": ["digitalSignature"],
        "extended_key_usage": ["clientAuth"],
        "key": "EC P-256",
        "signature": "ecdsa-with-sha256",
        "fingerprint": facts.fingerprint,
        "public_key": facts.public_key_fingerprint,
        "objections": [],
    }


def test_fingerprint_and_signature_are_as_openssl_says(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(leaf().public_bytes(Encoding.PEM))
    said = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "c.pem", "-noout", "-fingerprint", "-sha256", "-text"],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    summary = summarise(leaf(), NOW)
    assert f"Signature Algorithm: {summary['signature']}" in said.replace("SHA256", "sha256")
    loaded = x509.load_pem_x509_certificate((tmp_path / "c.pem").read_bytes())
    assert str(summarise(loaded, NOW)["fingerprint"]).upper() in said.replace(":", "")


def test_a_ca() -> None:
    said = summarise(ca(), NOW)
    assert (said["ca"], said["path_length"], said["key_usage"]) == (True, 1, ["keyCertSign", "cRLSign"])
    assert (said["names"], said["extended_key_usage"]) == ([], [])


def test_every_kind_of_name() -> None:
    names = [
        x509.DNSName("a.example"),
        x509.UniformResourceIdentifier("spiffe://a"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.RFC822Name("a@a.example"),
        x509.DirectoryName(name("a")),
        x509.RegisteredID(ObjectIdentifier("1.2.3")),
        x509.OtherName(ObjectIdentifier("1.2.3"), b"\x05\x00"),
    ]
    said = summarise(leaf({"names": (x509.SubjectAlternativeName(names), False)}), NOW)["names"]
    assert said == [
        "DNS:a.example", "URI:spiffe://a", "IP:192.0.2.1", "email:a@a.example", "other:CN=a", "other:1.2.3",
        "other:0500",
    ]  # fmt: skip


def test_a_certificate_that_cannot_be_read() -> None:
    broken = leaf({"names": (x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), b"\x00"), False)})
    said = summarise(broken, NOW)
    assert said["kind"] == "certificate"
    assert "certificate cannot be read" in str(said["objections"])


def test_a_request() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("a.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("a")).add_extension(names, critical=False)
    assert summarise(builder.sign(LEAF_KEY, hashes.SHA256()), NOW) == {
        "kind": "request",
        "subject": "CN=a",
        "names": ["DNS:a.example"],
        "key": "EC P-256",
        "signature": "ecdsa-with-sha256",
        "public_key": key_facts(LEAF_KEY.public_key()).fingerprint,
        "objections": [],
    }


def test_a_request_whose_signature_is_wrong() -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(name("aaa")).sign(LEAF_KEY, hashes.SHA256())
    changed = x509.load_der_x509_csr(request.public_bytes(Encoding.DER).replace(b"aaa", b"aab"))
    assert summarise(changed, NOW)["objections"] == ["its signature is not by its own key: have it made anew"]


@pytest.mark.parametrize(("days", "objected"), [(7, []), (-1, ["out of date since 2026-11-21: fetch the next one"])])
def test_a_revocation_list(days: int, objected: list[str]) -> None:
    entry = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(AT).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(name("CA")).add_revoked_certificate(entry)
    builder = builder.last_update(AT - timedelta(days=2)).next_update(AT + timedelta(days=days))
    said = summarise(builder.sign(CA_KEY, hashes.SHA256()), NOW)
    assert (said["issuer"], said["revoked"], said["days_left"]) == ("CN=CA", 1, days)
    assert said["objections"] == objected


@pytest.mark.parametrize("private", [True, False])
def test_a_key_shows_its_public_fingerprint_and_nothing_more(private: bool) -> None:
    facts = key_facts(LEAF_KEY.public_key())
    said = summarise(FoundKey(private=private, facts=facts), NOW)
    kind = "private key" if private else "public key"
    assert said == {"kind": kind, "key": "EC P-256", "public_key": facts.fingerprint, "objections": []}


def test_keys_that_are_of_no_use() -> None:
    hidden = summarise(FoundKey(private=True, facts=KeyFacts("unknown"), encrypted=True), NOW)
    assert "without a passphrase" in str(hidden["objections"])
    strange = summarise(FoundKey(private=False, facts=KeyFacts("unknown")), NOW)
    assert "not known here" in str(strange["objections"])


def test_what_cannot_be_read() -> None:
    assert summarise(Unreadable("X", "why"), NOW) == {"kind": "unreadable", "what": "X", "objections": ["why"]}


def test_times_and_names() -> None:
    assert moment(AT) == "2026-11-22T13:00:00Z"
    assert [days_left(AT + timedelta(hours=hours), NOW) for hours in (-1, 1, 25)] == [-1, 0, 1]
    assert signature_name(ObjectIdentifier("1.2.3")) == "1.2.3"


def test_a_revocation_list_that_the_gate_does_not_take_says_why() -> None:
    made = crl(Authority.root("CA", Validity.around(NOW, days=1)), extensions=[(x509.DeltaCRLIndicator(1), True)])
    said = summarise(made, NOW)
    assert said["objections"] == ["is a delta list; only complete ones are taken: the gate does not take it"]
