"""What stands in a file of certificates, requests, revocation lists and keys, PEM or DER. Nothing is verified here."""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning

from gateway.pki.keys import KeyFacts, key_facts

_BLOCK = re.compile(rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----.*?-----END (?P=label)-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key: of a private one only what its public half tells."""

    private: bool
    facts: KeyFacts
    encrypted: bool = False
    """Whether a passphrase hides what it is."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that could not be read."""

    what: str
    why: str


type Item = x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList | FoundKey | Unreadable


def read_contents(data: bytes) -> list[Item]:
    """Give everything in a file, in its order: PEM blocks, or one DER object.

    What cannot be read is Unreadable, and reading goes on. No message repeats what stands in the file.
    """
    with warnings.catch_warnings():
        # Such as a serial number of zero: what is wrong with a certificate is told by `objections`.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        blocks = list(_BLOCK.finditer(data))
        if blocks:
            return [_read_block(block["label"].decode(), block[0]) for block in blocks]
        return [_read_der(data)]


def _read_block(label: str, pem: bytes) -> Item:
    read = _READERS.get(label)
    if read is None:
        return Unreadable(label, "nothing of this kind is known here")
    try:
        return read(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Unreadable(label, "damaged, or of a kind that is not known here")


def _read_der(data: bytes) -> Item:
    for read in _DER_READERS:
        try:
            return read(data)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    return Unreadable("the file", "neither PEM nor DER of a certificate, request, revocation list or key")


def _private(load: Callable[[bytes, None], object]) -> Callable[[bytes], FoundKey]:
    def read(data: bytes) -> FoundKey:
        try:
            key = load(data, None)
        except TypeError:  # cryptography's word for a passphrase that is missing
            return FoundKey(private=True, facts=KeyFacts("unknown"), encrypted=True)
        public = getattr(key, "public_key", None)
        return FoundKey(private=True, facts=key_facts(None if public is None else public()))

    return read


def _public(load: Callable[[bytes], object]) -> Callable[[bytes], FoundKey]:
    return lambda data: FoundKey(private=False, facts=key_facts(load(data)))


_PRIVATE = _private(load_pem_private_key)

_READERS: Mapping[str, Callable[[bytes], Item]] = {
    "CERTIFICATE": x509.load_pem_x509_certificate,
    "CERTIFICATE REQUEST": x509.load_pem_x509_csr,
    "NEW CERTIFICATE REQUEST": x509.load_pem_x509_csr,
    "X509 CRL": x509.load_pem_x509_crl,
    "PUBLIC KEY": _public(load_pem_public_key),
    "RSA PUBLIC KEY": _public(load_pem_public_key),
    "PRIVATE KEY": _PRIVATE,
    "ENCRYPTED PRIVATE KEY": _PRIVATE,
    "RSA PRIVATE KEY": _PRIVATE,
    "EC PRIVATE KEY": _PRIVATE,
    "DSA PRIVATE KEY": _PRIVATE,
    "OPENSSH PRIVATE KEY": _private(load_ssh_private_key),
}

_DER_READERS: tuple[Callable[[bytes], Item], ...] = (
    x509.load_der_x509_certificate,
    x509.load_der_x509_csr,
    x509.load_der_x509_crl,
    _public(load_der_public_key),
    _private(load_der_private_key),
)
