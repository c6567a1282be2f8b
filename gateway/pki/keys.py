"""Facts of public keys: type, size, and the fingerprint that a policy pins. Never a private key's value."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""NIST's names, by which people ask for them."""

LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 256
"""Both: 112 bits of security or more (NIST SP 800-131A)."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a public key is."""

    kind: str
    """`RSA`, `EC`, `Ed25519`, `Ed448`, `DSA`, or `unknown`."""
    bits: int | None = None
    curve: str | None = None
    fingerprint: str | None = None
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: a policy's `public_key`."""

    def __str__(self) -> str:
        """`RSA 2048`, `EC P-256`, `Ed25519`."""
        detail = self.curve or (str(self.bits) if self.bits and self.kind in {"RSA", "DSA"} else "")
        return f"{self.kind} {detail}".strip()

    @property
    def weakness(self) -> str | None:
        """Why the key is too weak for the gate; None where it is not."""
        if self.kind == "DSA":
            return "DSA is no longer taken: use RSA of 2048 bits or more, EC P-256 or Ed25519"
        if self.kind == "RSA" and (self.bits or 0) < LEAST_RSA_BITS:
            return f"RSA of {self.bits} bits can be broken: use {LEAST_RSA_BITS} or more, or EC P-256"
        if self.kind == "EC" and (self.bits or 0) < LEAST_CURVE_BITS:
            return f"a curve of {self.bits} bits can be broken: use P-256 or larger"
        return None


def key_facts(key: object) -> KeyFacts:
    """Give the facts of a public key of `cryptography`."""
    match key:
        case rsa.RSAPublicKey():
            facts = KeyFacts("RSA", key.key_size, None, _fingerprint(key))
        case dsa.DSAPublicKey():
            facts = KeyFacts("DSA", key.key_size, None, _fingerprint(key))
        case ec.EllipticCurvePublicKey():
            name = key.curve.name
            facts = KeyFacts("EC", key.key_size, _CURVES.get(name, name), _fingerprint(key))
        case ed25519.Ed25519PublicKey():
            facts = KeyFacts("Ed25519", 256, None, _fingerprint(key))
        case ed448.Ed448PublicKey():
            facts = KeyFacts("Ed448", 456, None, _fingerprint(key))
        case _:
            facts = KeyFacts("unknown")
    return facts


def subject_key_facts(subject: x509.Certificate | x509.CertificateSigningRequest) -> KeyFacts:
    """Give the facts of the key that a certificate or request is about; `unknown` where it cannot be read."""
    return _read(subject.public_key)


def _read(public_key: Callable[[], object]) -> KeyFacts:
    try:
        return key_facts(public_key())
    except (ValueError, UnsupportedAlgorithm):
        return KeyFacts("unknown")


def _fingerprint(
    key: rsa.RSAPublicKey
    | dsa.DSAPublicKey
    | ec.EllipticCurvePublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey,
) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
