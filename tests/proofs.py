"""Proofs of possession (RFC 9449), as a client makes them: by joserfc, without the code under test."""

import base64
import hashlib
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests import world

URI = f"https://{world.HOST}/v1/deposits"
KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")


def generated(kind: str) -> Key:
    """Make a key: P-256, Ed25519, or RSA-2048 and the like."""
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519")
    return RSAKey.generate_key(int(kind[4:])) if kind.startswith("RSA-") else ECKey.generate_key(kind)


def jkt(key: Key = KEY) -> str:
    """Give the thumbprint that a token states of a key."""
    return key.thumbprint()


def ath(token: str) -> str:
    """Give the digest of a token that a proof states."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof(
    token: str, key: Key = KEY, *, header: dict[str, Any] | None = None, algorithm: str = "ES256", **changes: Any
) -> str:
    """Make a proof for the world's request; a claim that is changed to None is left out."""
    claims = {"jti": "proof-1", "htm": "POST", "htu": URI, "iat": int(world.NOW), "ath": ath(token), **changes}
    valid = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False), **(header or {})}
    given = {name: value for name, value in claims.items() if value is not None}
    fields = {name: value for name, value in valid.items() if value is not None}
    return jwt.encode(fields, given, key, algorithms=[algorithm])
