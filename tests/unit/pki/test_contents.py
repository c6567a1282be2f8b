"""Reading files, those that openssl wrote among them."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.pki.contents import FoundKey, Unreadable, read_contents
from gateway.pki.keys import key_facts
from tests.unit.pki.odd import LEAF_KEY, ca, leaf

PASSPHRASE = BestAvailableEncryption(b"passphrase")
PEM = leaf().public_bytes(Encoding.PEM)


def private(form: PrivateFormat, encoding: Encoding = Encoding.PEM, *, encrypted: bool = False) -> bytes:
    return LEAF_KEY.private_bytes(encoding, form, PASSPHRASE if encrypted else NoEncryption())


def test_a_chain_is_read_in_its_order() -> None:
    data = b"Bag attributes\n" + PEM + b"\n# the CA\n" + ca().public_bytes(Encoding.PEM)
    first, second = read_contents(data)
    assert isinstance(first, x509.Certificate)
    assert isinstance(second, x509.Certificate)
    assert second.subject.rfc4514_string() == "CN=CA"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_private_key_tells_what_its_public_half_does(encoding: Encoding, form: PrivateFormat) -> None:
    assert read_contents(private(form, encoding)) == [FoundKey(private=True, facts=key_facts(LEAF_KEY.public_key()))]


def test_ssh_keys_are_read() -> None:
    assert read_contents(private(PrivateFormat.OpenSSH))[0] == FoundKey(
        private=True, facts=key_facts(LEAF_KEY.public_key())
    )


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key(encoding: Encoding) -> None:
    data = LEAF_KEY.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    assert read_contents(data) == [FoundKey(private=False, facts=key_facts(LEAF_KEY.public_key()))]


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_tells_nothing(form: PrivateFormat) -> None:
    (found,) = read_contents(private(form, encrypted=True))
    assert isinstance(found, FoundKey)
    assert (found.encrypted, str(found.facts)) == (True, "unknown")


def test_requests_and_revocation_lists_of_openssl(tmp_path: Path) -> None:
    def run(*command: str) -> bytes:
        return subprocess.run(["openssl", *command], cwd=tmp_path, capture_output=True, check=True).stdout

    request = run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-subj", "/CN=a")
    run("req", "-x509", "-key", "k.pem", "-subj", "/CN=CA", "-out", "ca.pem")
    (tmp_path / "index.txt").touch()
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=7\n"
    )
    revoked = run("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "k.pem", "-cert", "ca.pem")
    first, second = read_contents(request + revoked)
    assert isinstance(first, x509.CertificateSigningRequest)
    assert isinstance(second, x509.CertificateRevocationList)
    for one, der in ((first, ["req"]), (second, ["crl"])):
        (tmp_path / "x.pem").write_bytes(one.public_bytes(Encoding.PEM))
        assert type(read_contents(run(*der, "-in", "x.pem", "-outform", "DER"))[0]) is type(one)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file"),
        (b"hello", "the file"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "CERTIFICATE"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PRIVATE KEY"),
        (b"-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n", "PGP MESSAGE"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, what: str) -> None:
    (found,) = read_contents(data)
    assert isinstance(found, Unreadable)
    assert found.what == what


def test_reading_goes_on_behind_what_cannot_be_read() -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert [type(item) for item in read_contents(broken + PEM)] == [Unreadable, x509.Certificate]
