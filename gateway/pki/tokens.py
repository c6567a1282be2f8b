"""An issuer of access tokens for development: what the operator's identity provider does in production."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec


class TokenIssuer:
    """Signs JWTs (RFC 7519) with one ES256 key, and publishes it as a JWK set (RFC 7517)."""

    def __init__(self, url: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.url = url
        """The iss claim."""
        self._key = key
        self._jwk = _public_jwk(key.public_key())
        self.key_id = _thumbprint(self._jwk)

    @classmethod
    def generate(cls, url: str) -> Self:
        """Make an issuer with a new P-256 key."""
        return cls(url, ec.generate_private_key(ec.SECP256R1()))

    def key_set(self) -> bytes:
        """Give the JWK set: public keys only."""
        key = {**self._jwk, "kid": self.key_id, "use": "sig", "alg": "ES256"}
        return json.dumps({"keys": [key]}, indent=2).encode() + b"\n"

    def sign(self, claims: Mapping[str, object], *, key_id: str | None = None) -> str:
        """Sign the claims as they are; `key_id` claims to be another key, as a forger would."""
        header = {"kid": self.key_id if key_id is None else key_id, "typ": "at+jwt"}  # RFC 9068 2.1
        return jwt.encode({"iss": self.url, **claims}, self._key, algorithm="ES256", headers=header)


def _public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Give the members that make up a P-256 key (RFC 7518 6.2.1), coordinates of 32 octets."""
    numbers = key.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(numbers.x.to_bytes(32)),
        "y": _base64url(numbers.y.to_bytes(32)),
    }


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638: SHA-256 over the required members in lexical order, without white space."""
    return _base64url(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
