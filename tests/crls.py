"""Revocation lists of the tests' authorities, made by `cryptography` and not by the code under test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Credential
from gateway.pki.chain import Chain
from tests.world import NOW

DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """One revoked certificate; `extension` is added to its entry."""

    serial: int
    extension: x509.ExtensionType | None = None
    critical: bool = False


def entry(serial: int | Credential | Entry) -> x509.RevokedCertificate:
    """Make an entry."""
    if isinstance(serial, Credential):
        serial = serial.certificate.serial_number
    if isinstance(serial, int):
        serial = Entry(serial)
    builder = x509.RevokedCertificateBuilder().serial_number(serial.serial).revocation_date(moment(NOW - DAY))
    if serial.extension is not None:
        builder = builder.add_extension(serial.extension, serial.critical)
    return builder.build()


def crl(
    authority: Authority, *revoked: int | Credential | Entry, at: float = NOW - 3600, ends: float = NOW + DAY,
    by: Any = None, extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    algorithm: Any = hashes.SHA256(),  # noqa: B008 - never changed
) -> x509.CertificateRevocationList:  # fmt: skip
    """Give the list of an authority; `by`, an authority or a key, signs it in its place."""
    issuer = authority.credential.certificate
    builder = x509.CertificateRevocationListBuilder(
        issuer.subject, moment(at), moment(ends), [], [entry(each) for each in revoked]
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by.credential.key if isinstance(by, Authority) else by or authority.credential.key, algorithm)


def with_sha1(der_of_rsa: bytes) -> bytes:
    """Have what RSA signed with SHA-256 say that it was SHA-1: nobody signs so any more, `cryptography` included."""
    prefix = bytes.fromhex("06092a864886f70d0101")
    assert prefix + b"\x0b" in der_of_rsa
    return der_of_rsa.replace(prefix + b"\x0b", prefix + b"\x05")


def pem(*lists: x509.CertificateRevocationList) -> bytes:
    """Give lists as a file."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in lists)


def der(one: x509.CertificateRevocationList) -> bytes:
    """Give a list as it is published."""
    return one.public_bytes(Encoding.DER)


def chain(leaf: Credential, *authorities: Authority) -> Chain:
    """Give the chain of a certificate, as a handshake leaves it."""
    certificates = (leaf.certificate, *(each.credential.certificate for each in authorities))
    return Chain.read([each.public_bytes(Encoding.DER) for each in certificates])


def moment(at: float) -> datetime:
    """Give an instant as `cryptography` takes it."""
    return datetime.fromtimestamp(Instant(int(at)), UTC)
