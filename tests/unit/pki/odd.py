"""Certificates with one thing wrong each, which the development CA would not issue."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.message import Instant

NOW = Instant(1_795_352_400.0)
"""2026-11-22T13:00:00Z."""
CA_KEY = ec.generate_private_key(ec.SECP256R1())
LEAF_KEY = ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


LEAF_EXTENSIONS: dict[str, tuple[Any, bool]] = {
    "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
    "usage": (usage(signs=False), True),
    "purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    "names": (x509.SubjectAlternativeName([x509.DNSName("acme.example")]), False),
    "issuer key": (x509.AuthorityKeyIdentifier.from_issuer_public_key(CA_KEY.public_key()), False),
}
CA_EXTENSIONS: dict[str, tuple[Any, bool]] = {
    "constraints": (x509.BasicConstraints(ca=True, path_length=1), True),
    "usage": (usage(signs=True), True),
    "own key": (x509.SubjectKeyIdentifier.from_public_key(CA_KEY.public_key()), False),
}


def make(
    extensions: dict[str, tuple[Any, bool]], changes: dict[str, tuple[Any, bool] | None] | None = None, *,
    subject: str = "leaf", issuer: str = "CA", public: Any = None, serial: int = 7,
    days: tuple[int, int] = (-1, 1), hashed: Any = None,
) -> x509.Certificate:  # fmt: skip
    now = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public or LEAF_KEY.public_key())
        .serial_number(serial)
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
    for extension in (extensions | (changes or {})).values():
        if extension is not None:
            builder = builder.add_extension(extension[0], critical=extension[1])
    return builder.sign(CA_KEY, hashed or hashes.SHA256())


def leaf(changes: dict[str, tuple[Any, bool] | None] | None = None, **others: Any) -> x509.Certificate:
    return make(LEAF_EXTENSIONS, changes, **others)


def ca(changes: dict[str, tuple[Any, bool] | None] | None = None, **others: Any) -> x509.Certificate:
    return make(CA_EXTENSIONS, changes, **{"subject": "CA", "public": CA_KEY.public_key(), **others})
