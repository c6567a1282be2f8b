"""Proofs of possession (DPoP, RFC 9449 section 4): a JWT for one request, by the key that a token is bound to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from gateway.core.memo import Bounded
from gateway.signing.jose import decode_base64url, encode_base64url, read_object
from gateway.signing.jwks import VerificationKey, read_public_key

MAX_PROOF_BYTES = 4_096
"""Bytes of a proof: one with an RSA key of 4,096 bits has some 2,000."""

MAX_ID = 256
"""Characters of a jti."""

MAX_URI = 8_192
"""Characters of an htu."""

_REFUSED = frozenset({"crit", "b64", "jku", "x5c", "x5u", "kid", "enc", "zip", "cty"})
"""Header parameters that bring another key, or another reading. RFC 9449 4.2 knows typ, alg and jwk alone."""

_KEYS: Bounded[str, tuple[VerificationKey, str, str]] = Bounded(capacity=1_024, longest=2_048)
"""Key, algorithm and thumbprint of headers that were read: a client's is the same with each of its proofs."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says whose own key verified it. If that is the token's key is up to rules."""

    thumbprint: str
    """SHA-256 of the key, in base64url (RFC 7638)."""
    algorithm: str
    id: str
    method: str
    uri: str
    issued_at: float
    token_hash: str
    nonce: str | None


class UnverifiedError(ValueError):
    """The proof is not its own key's."""


def read_proof(text: str) -> Proof:
    """Read a proof, and verify its signature by the key that it brings.

    Raises ValueError, with a message that shows nothing of it, for any but a well-formed proof.
    """
    if len(text) > MAX_PROOF_BYTES:
        raise ValueError(f"{len(text)} bytes; at most {MAX_PROOF_BYTES} are read")
    parts = text.split(".")
    if len(parts) != 3:
        raise ValueError(f"{len(parts)} parts; a proof has three (RFC 7515 7.1)")
    key, algorithm, thumbprint = _KEYS.get(parts[0]) or _KEYS.keep(parts[0], _read_header(parts[0]))
    payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    if not key.verifies(algorithm, text[: text.rindex(".")].encode("ascii"), signature):
        raise UnverifiedError("its own key did not make it")
    claims = read_object(payload)
    nonce = claims.get("nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise ValueError("nonce is not a string")
    return Proof(
        thumbprint,
        algorithm,
        _text(claims, "jti", MAX_ID),
        _text(claims, "htm", 32),
        _text(claims, "htu", MAX_URI),
        _seconds(claims, "iat"),
        _text(claims, "ath", 64),
        nonce,
    )


def thumbprint_of(jwk: Mapping[str, object]) -> str:
    """Give the thumbprint of a key that was read (RFC 7638 3): over its required members, sorted by name."""
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}[str(jwk["kty"])]
    text = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"), sort_keys=True)
    return encode_base64url(sha256(text.encode()).digest())


def _read_header(text: str) -> tuple[VerificationKey, str, str]:
    header = read_object(decode_base64url(text))
    refused = sorted(_REFUSED & header.keys())
    if refused:
        raise ValueError(f"header has {', '.join(refused)}")
    kind, algorithm, jwk = header.get("typ"), header.get("alg"), header.get("jwk")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") != "dpop+jwt":
        raise ValueError("typ is not dpop+jwt (RFC 9449 4.2)")
    if not isinstance(algorithm, str):
        raise ValueError("alg is missing or not a string")  # noqa: TRY004 - a fault of the text
    if not isinstance(jwk, dict):
        raise ValueError("jwk is missing or not an object")  # noqa: TRY004 - as above
    key = read_public_key(jwk)
    if algorithm not in key.algorithms:
        raise ValueError("alg is not one that the key is for")
    return key, algorithm, thumbprint_of(jwk)


def _text(claims: Mapping[str, object], name: str, most: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise ValueError(f"{name} is missing, empty, too long or not a string")
    return value


def _seconds(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise ValueError(f"{name} is missing or not a number of seconds since 1970")
    return float(value)
