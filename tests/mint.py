"""Keys, and tokens of an issuer: valid ones, and whatever else a test wants signed."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import get_algorithm_by_name

from gateway.core.message import Instant
from gateway.signing.jose import encode_base64url
from gateway.signing.jwks import KeySet

NOW = Instant(1_795_352_400.0)
"""2026-11-22T13:00:00Z, the time of every request unless a test moves it."""

ISSUER = "https://idp.operator.example"
AUDIENCE = "psp"
SCOPE = "deposit:write"
SUBJECT = "acme-backend"
OTHER_SUBJECT = "blue-backend"
KEY_ID = "operator-1"

type PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def private_key(kind: str = "P-256", name: str = KEY_ID) -> PrivateKey:
    """Give the session's key of a kind: P-256, P-384, P-521, Ed25519, or RSA-2048 and the like. `name` makes others."""
    return _private_key(kind, name)


@cache
def _private_key(kind: str, name: str) -> PrivateKey:
    del name  # part of the cache's key only
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65_537, int(kind.removeprefix("RSA-")))
    return ec.generate_private_key({"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[kind]())


def jwk(key: PrivateKey | None = None, **changes: Any) -> dict[str, Any]:
    """Give the public JWK of a key as an issuer publishes it; a member changed to None is left out."""
    public = (key or private_key()).public_key()
    members: dict[str, Any] = {"kid": KEY_ID, "use": "sig"}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        members |= {"kty": "RSA", "n": _octets(numbers.n), "e": _octets(numbers.e)}
    elif isinstance(public, ed25519.Ed25519PublicKey):
        members |= {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(public.public_bytes_raw())}
    else:
        point, size = public.public_numbers(), (public.key_size + 7) // 8
        members |= {
            "kty": "EC",
            "crv": f"P-{public.key_size}",
            "x": _octets(point.x, size),
            "y": _octets(point.y, size),
        }
    return changed(members, changes)


def jwks(*keys: Mapping[str, Any]) -> bytes:
    """Give the text of a key set; without arguments, the issuer's."""
    return json.dumps({"keys": keys or (jwk(),)}).encode()


@cache
def key_set() -> KeySet:
    """Give the issuer's key set."""
    return KeySet.load(jwks())


def claims(**changes: Any) -> dict[str, Any]:
    """Give the claims of a valid token; a claim changed to None is left out."""
    valid = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "iat": int(NOW) - 60,
        "nbf": int(NOW) - 60,
        "exp": int(NOW) + 240,
        "jti": "token-1",
        "scope": f"openid {SCOPE}",
    }
    return changed(valid, changes)


def token(
    payload: Mapping[str, Any] | bytes | None = None,
    *,
    header: Mapping[str, Any] | bytes | None = None,
    algorithm: str = "ES256",
    key: PrivateKey | None = None,
) -> str:
    """Mint a token, signed in earnest whatever it says: bytes are taken as they are, mappings as JSON.

    `header` mappings change the valid header: a parameter changed to None is left out.
    """
    if not isinstance(header, bytes):
        header = json.dumps(changed({"alg": algorithm, "kid": KEY_ID, "typ": "at+jwt"}, header or {})).encode()
    if not isinstance(payload, bytes):
        payload = json.dumps(claims() if payload is None else payload).encode()
    signing_input = f"{encode_base64url(header)}.{encode_base64url(payload)}"
    signature = get_algorithm_by_name(algorithm).sign(signing_input.encode(), key or private_key())
    return f"{signing_input}.{encode_base64url(signature)}"


def changed[V](valid: Mapping[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    """Give the mapping with changes; what is changed to None is left out."""
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def _octets(number: int, size: int | None = None) -> str:
    return encode_base64url(number.to_bytes(size or (number.bit_length() + 7) // 8))
