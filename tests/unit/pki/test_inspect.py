"""Facts of certificates, held against what the OpenSSL command line reads in the same bytes."""

import hashlib
import subprocess
import warnings
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.inspect import certificate_facts

NOW = Instant(1_795_348_800.0)
VALID = Validity.around(NOW, days=30)
NAMES = Names(
    "acme", "Acme, Ltd", ("Acme.Example", "api.acme.example"), (ip_address("192.0.2.7"),), ("spiffe://acme.example/A",)
)


def openssl(der: bytes, *arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], input=der, capture_output=True, check=True).stdout


def spki_digest(der: bytes) -> str:
    pem = openssl(der, "x509", "-inform", "DER", "-noout", "-pubkey")
    return hashlib.sha256(openssl(pem, "pkey", "-pubin", "-outform", "DER")).hexdigest()


def self_signed(key: CertificateIssuerPrivateKeyTypes, *extensions: x509.ExtensionType, serial: int = 4711) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(serial)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2027, 1, 1, tzinfo=UTC)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def der() -> bytes:
    return Authority.root("test CA", VALID).issue(NAMES, Purpose.CLIENT, VALID).certificate.public_bytes(Encoding.DER)


def test_names_are_read(der: bytes) -> None:
    facts = certificate_facts(der)
    assert facts.subject == r"CN=acme,O=Acme\, Ltd"
    assert facts.issuer == "CN=test CA"
    assert facts.san_uri == ("spiffe://acme.example/A",)


def test_dns_names_are_read_in_lower_case(der: bytes) -> None:
    assert certificate_facts(der).san_dns == ("acme.example", "api.acme.example")


def test_the_subject_is_the_one_openssl_reads(der: bytes) -> None:
    read = openssl(der, "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253")
    assert f"subject={certificate_facts(der).subject}\n".encode() == read


def test_the_fingerprint_is_the_one_openssl_reads(der: bytes) -> None:
    read = openssl(der, "x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256").decode()
    assert certificate_facts(der).fingerprint == read.split("=")[1].strip().replace(":", "").lower()


def test_the_serial_is_the_one_openssl_reads(der: bytes) -> None:
    read = openssl(der, "x509", "-inform", "DER", "-noout", "-serial").decode()
    assert certificate_facts(der).serial == read.split("=")[1].strip().lower()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["p-256", "rsa", "ed25519"],
)
def test_the_public_key_pin_is_the_one_openssl_reads(key: CertificateIssuerPrivateKeyTypes) -> None:
    der = self_signed(key)
    assert certificate_facts(der).public_key_fingerprint == spki_digest(der)


def test_validity_is_read_in_seconds(der: bytes) -> None:
    facts = certificate_facts(der)
    assert (facts.not_before, facts.not_after) == (VALID.not_before, VALID.not_after)


@pytest.mark.parametrize(("chain", "counts"), [(NOW + 60, NOW + 60), (VALID.not_after + 60, VALID.not_after)])
def test_the_earliest_end_in_the_chain_counts(der: bytes, chain: float, counts: float) -> None:
    assert certificate_facts(der, Instant(chain)).not_after == counts


def test_a_certificate_without_alternative_names_is_read() -> None:
    facts = certificate_facts(self_signed(ec.generate_private_key(ec.SECP256R1())))
    assert (facts.subject, facts.san_dns, facts.san_uri) == ("CN=odd", (), ())


def test_a_short_serial_is_read_as_whole_octets() -> None:
    assert certificate_facts(self_signed(ec.generate_private_key(ec.SECP256R1()), serial=0xABC)).serial == "0abc"


def test_a_version_1_certificate_is_read() -> None:
    """Without the version element everything stands one element earlier."""
    der = self_signed(rsa.generate_private_key(65537, 2048))
    version_1 = without(der, der.index(b"\xa0\x03\x02\x01\x02"), 5)
    assert certificate_facts(version_1).public_key_fingerprint == spki_digest(version_1)


def test_a_negative_serial_is_read_without_a_warning() -> None:
    der = self_signed(ec.generate_private_key(ec.SECP256R1()), serial=0x1267)
    negative = der.replace(b"\x02\x02\x12\x67", b"\x02\x02\x92\x67", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert certificate_facts(negative).serial == "-6d99"


def without(der: bytes, at: int, count: int) -> bytes:
    """Cut octets out of the TBSCertificate and mend the two lengths around them."""
    shorter = bytearray(der[:at] + der[at + count :])
    for start in (0, 4):
        assert shorter[start + 1] == 0x82
        length = int.from_bytes(shorter[start + 2 : start + 4]) - count
        shorter[start + 2 : start + 4] = length.to_bytes(2)
    return bytes(shorter)


REFUSED = {
    "empty": b"",
    "not DER": b"certificate",
    "cut off": self_signed(rsa.generate_private_key(65537, 2048))[:-20],
    "not a general name": self_signed(
        ec.generate_private_key(ec.SECP256R1()),
        x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), b"\x30\x03\x02\x01\x01"),
    ),
    "a DNS name that is not text": self_signed(
        ec.generate_private_key(ec.SECP256R1()),
        x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), b"\x30\x04\x82\x02\xff\xfe"),
    ),
}


@pytest.mark.parametrize("der", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_a_value_error(der: bytes) -> None:
    with pytest.raises(ValueError, match="certificate cannot be read: "):
        certificate_facts(der)


@pytest.mark.parametrize("end", range(0, 400, 7))
def test_any_cut_is_a_value_error(der: bytes, end: int) -> None:
    with pytest.raises(ValueError, match="certificate cannot be read: "):
        certificate_facts(der[:end])
