"""Signature algorithms of RFC 9421 section 3.3, of JWS and of vendors, and the keys that are fit for them.

A key is checked when it is taken up, so that a signature is only ever checked by a sound key for its one algorithm.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.secret import Secret
from gateway.signing.ed25519 import load_public_key
from gateway.signing.jwks import RSA_BITS, RSA_EXPONENTS

type PublicKey = RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey
type PrivateKey = RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

HMAC_SHA256 = "hmac-sha256"

MAX_SIGNATURE = 1_024
"""Bytes of a signature that are read: those of an RSA key of 8,192 bits."""

SALT_OCTETS = 64
"""Length of the salt in rsa-pss-sha512 (RFC 9421 3.3.1); OpenSSL's own choice is the longest that fits."""

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=SALT_OCTETS)
_PSS_ANY_SALT = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=padding.PSS.AUTO)


_PSS_SHA256 = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
"""As PS256 has it (RFC 7518 3.5)."""


class Signer(Protocol):
    """A key to sign with. Its `repr` MUST NOT show it."""

    @property
    def algorithm(self) -> str:
        """Name of its algorithm in RFC 9421."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        ...


class _Algorithm(NamedTuple):
    check: Callable[[PublicKey], int]
    """Gives the length of a signature by the key; raises ValueError for a key that is not fit."""
    verify: Callable[[PublicKey, bytes, bytes], None]
    sign: Callable[[PrivateKey, bytes], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class PublicVerifier:
    """A public key and its one algorithm. Raises ValueError where the key is not fit for it."""

    algorithm: str
    key: PublicKey
    _length: int = -1
    """Octets of a signature; found out."""

    def __post_init__(self) -> None:
        kind = _PUBLIC.get(self.algorithm)
        if kind is None:
            raise ValueError(f"{self.algorithm!r} is none of {', '.join(_PUBLIC)}")
        object.__setattr__(self, "_length", kind.check(self.key))

    def __repr__(self) -> str:
        return f"PublicVerifier({self.algorithm!r})"

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over the SubjectPublicKeyInfo."""
        return hashlib.sha256(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is the key's over the message."""
        if len(signature) != self._length:
            return False
        try:
            _PUBLIC[self.algorithm].verify(self.key, message, signature)
        except InvalidSignature:
            return False
        return True

    def explain(self, message: bytes, signature: bytes) -> str:
        """Say what can be told of a signature that does not verify, for the log; nothing where nothing can."""
        if len(signature) != self._length:
            return f"has {len(signature)} octets, the key makes {self._length}"
        if self.algorithm == "rsa-pss-sha512" and isinstance(self.key, RSAPublicKey):
            try:
                self.key.verify(signature, message, _PSS_ANY_SALT, hashes.SHA512())
            except InvalidSignature:
                return ""
            return f"matches with a salt of another length than the {SALT_OCTETS} octets of RFC 9421 3.3.1"
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class PrivateSigner:
    """A private key and its one algorithm. Raises ValueError where the key is not fit for it."""

    algorithm: str
    key: PrivateKey

    def __post_init__(self) -> None:
        PublicVerifier(self.algorithm, self.key.public_key())

    def __repr__(self) -> str:
        return f"PrivateSigner({self.algorithm!r})"

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        return _PUBLIC[self.algorithm].sign(self.key, message)


@dataclass(frozen=True, slots=True, eq=False)
class SecretSigner:
    """A shared secret, for hmac-sha256 (RFC 9421 3.3.3)."""

    secret: Secret

    @property
    def algorithm(self) -> str:
        """Always hmac-sha256."""
        return HMAC_SHA256

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        return self.secret.mac("sha256").digest(message)


def _check_ed25519(key: PublicKey) -> int:
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"is {_kind(key)}, not an Ed25519 key")  # noqa: TRY004 - a fault of the file it came from
    load_public_key(key.public_bytes_raw())
    return 64


def _check_rsa(key: PublicKey) -> int:
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"is {_kind(key)}, not an RSA key")  # noqa: TRY004 - as above
    if key.key_size not in RSA_BITS:
        limits = f"{RSA_BITS.start} to {RSA_BITS.stop - 1}"
        raise ValueError(f"is an RSA key of {key.key_size} bits; {limits} are taken")
    numbers = key.public_numbers()
    if numbers.e not in RSA_EXPONENTS or numbers.e % 2 == 0 or numbers.n % 2 == 0:
        raise ValueError("is an RSA key whose exponent or modulus is even, or whose exponent is below 65537")
    return (key.key_size + 7) // 8


def _ecdsa(curve: type[ec.EllipticCurve], name: str, digest: hashes.HashAlgorithm, size: int) -> _Algorithm:
    """Give ECDSA over a curve; the signature is r and s, `size` octets each (RFC 9421 3.3.4)."""
    method = ec.ECDSA(digest)

    def check(key: PublicKey) -> int:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curve):
            raise ValueError(f"is {_kind(key)}, not a key on the curve {name}")  # noqa: TRY004 - as above
        return 2 * size

    def verify(key: PublicKey, message: bytes, signature: bytes) -> None:
        numbers = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        cast("ec.EllipticCurvePublicKey", key).verify(encode_dss_signature(*numbers), message, method)

    def sign(key: PrivateKey, message: bytes) -> bytes:
        r, s = decode_dss_signature(cast("ec.EllipticCurvePrivateKey", key).sign(message, method))
        return r.to_bytes(size) + s.to_bytes(size)

    return _Algorithm(check, verify, sign)


def _rsa(scheme: padding.AsymmetricPadding, digest: hashes.HashAlgorithm) -> _Algorithm:
    return _Algorithm(
        _check_rsa,
        lambda key, message, signature: cast("RSAPublicKey", key).verify(signature, message, scheme, digest),
        lambda key, message: cast("RSAPrivateKey", key).sign(message, scheme, digest),
    )


_PUBLIC: Mapping[str, _Algorithm] = {
    "ed25519": _Algorithm(
        _check_ed25519,
        lambda key, message, signature: cast("Ed25519PublicKey", key).verify(signature, message),
        lambda key, message: cast("Ed25519PrivateKey", key).sign(message),
    ),
    "ecdsa-p256-sha256": _ecdsa(ec.SECP256R1, "P-256", hashes.SHA256(), 32),
    "ecdsa-p384-sha384": _ecdsa(ec.SECP384R1, "P-384", hashes.SHA384(), 48),
    "rsa-pss-sha512": _rsa(_PSS, hashes.SHA512()),
    "rsa-v1_5-sha256": _rsa(padding.PKCS1v15(), hashes.SHA256()),
    "rsa-pss-sha256": _rsa(_PSS_SHA256, hashes.SHA256()),
    "rsa-v1_5-sha512": _rsa(padding.PKCS1v15(), hashes.SHA512()),
    "ecdsa-p521-sha512": _ecdsa(ec.SECP521R1, "P-521", hashes.SHA512(), 66),
    "rsa-v1_5-sha1": _rsa(padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - for vendors, by `allow_weak` only
}

PUBLIC_KEY_ALGORITHMS = tuple(_PUBLIC)
"""Algorithms whose signatures are verified with a public key."""

ALGORITHMS = (HMAC_SHA256, "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256")
"""All of RFC 9421 section 3.3; the others are those of JWS and of vendors."""

WEAK_PUBLIC: Mapping[str, str] = {"rsa-v1_5-sha1": "SHA-1 is broken for signatures, and withdrawn by NIST"}
"""Why algorithms should no longer be used."""

_FIXED = {"ed25519": 64, "ecdsa-p256-sha256": 64, "ecdsa-p384-sha384": 96, "ecdsa-p521-sha512": 132}


def signature_size(algorithm: str) -> int | None:
    """Give how many bytes a signature has, DER left aside; None where the key says it."""
    return _FIXED.get(algorithm)


def der_to_raw(algorithm: str, der: bytes) -> bytes:
    """Give r and s of an ECDSA signature in DER, as RFC 9421 3.3.4 has them. Raises ValueError."""
    size = _FIXED[algorithm] // 2
    r, s = decode_dss_signature(der)
    if encode_dss_signature(r, s) != der:
        raise ValueError("not the one spelling of DER")
    try:
        return r.to_bytes(size) + s.to_bytes(size)
    except OverflowError:
        raise ValueError("beyond the curve's order") from None


def raw_to_der(raw: bytes) -> bytes:
    """Give an ECDSA signature in DER."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def _kind(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"a key on the curve {key.curve.name}"
    if isinstance(key, RSAPublicKey):
        return "an RSA key"
    return "an Ed25519 key" if isinstance(key, Ed25519PublicKey) else "a key of another kind"
