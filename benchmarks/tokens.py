"""Requests with tokens: of each algorithm, new to the gate or known to it, with proofs of possession, and introspected.

Nothing is signed but the token, so that its cost shows. All of it is made before a round: the load generator does not
sign.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import get_algorithm_by_name

from benchmarks.lab import TOKEN_SECONDS, Lab
from gateway.core.message import Instant
from gateway.signing.dpop import thumbprint_of
from gateway.signing.jose import encode_base64url

COLD_TOKENS = 12_000
"""More than the gate remembers, so that each is verified anew when its turn comes again."""

PROOFS_PER_SECOND = 15_000
"""More than one core takes: each proof counts once, so that a repeated one would be refused and the row fail."""

OPAQUE = "opaque-token-of-the-benchmarks"

BODY = b'{"player":"p-100234","currency":"EUR","amount":"12.50","note":"' + 95 * b"x" + b'"}'

type Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@cache
def key_for(algorithm: str) -> Key:
    """Give the issuer's key for an algorithm, made once a run."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())


def jwk(key: Key) -> dict[str, str]:
    """Give the public half."""
    if isinstance(key, rsa.RSAPrivateKey):
        of_rsa = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _octets(of_rsa.n), "e": _octets(of_rsa.e)}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(key.public_key().public_bytes_raw())}
    point = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": _octets(point.x, 32), "y": _octets(point.y, 32)}


def write_keys(folder: Path, algorithm: str) -> Path:
    """Write the issuer's key set; gives the file."""
    file = folder / f"tokens-{algorithm}.json"
    file.write_text(json.dumps({"keys": [{**jwk(key_for(algorithm)), "kid": "k1", "use": "sig"}]}))
    return file


def write(lab: Lab, kind: str, authority: str, now: Instant, seconds: int) -> Path:
    """Write the requests of a row for `workload.lua`: a folder with `fields`, `body`, and `each`, what differs."""
    folder = lab.folder / f"tokens-{kind}"
    folder.mkdir(exist_ok=True)
    (folder / "fields").write_text("content-type: application/json\n")
    (folder / "body").write_bytes(BODY)
    with (folder / "each").open("w") as file:
        file.writelines("\t".join(fields) + "\n" for fields in _requests(kind, authority, now, seconds))
    return folder


def _requests(kind: str, authority: str, now: Instant, seconds: int) -> Iterator[list[str]]:
    if kind == "introspection":
        yield [f"authorization: Bearer {OPAQUE}"]
    elif kind == "dpop":
        holder = key_for("holder")
        token = _token("ES256", now, 0, cnf={"jkt": thumbprint_of(jwk(holder))})
        run, bound_to = os.urandom(8).hex(), encode_base64url(sha256(token.encode()).digest())
        for number in range(seconds * PROOFS_PER_SECOND):
            proof = _proof(holder, authority, now, f"{run}-{number}", bound_to)
            yield [f"authorization: DPoP {token}", f"dpop: {proof}"]
    else:
        algorithm, _, how = kind.partition("-")
        for number in range(COLD_TOKENS if how == "cold" else 1):
            yield [f"authorization: Bearer {_token(algorithm, now, number)}"]


def _token(algorithm: str, now: Instant, number: int, **more: object) -> str:
    claims = {
        "iss": "https://idp.lab",
        "aud": "wallet",
        "sub": "partner-1",
        "scope": "wallet:debit",
        "iat": int(now),
        "exp": int(now) + TOKEN_SECONDS,
        "jti": f"token-{number}",
        **more,
    }
    return _signed({"alg": algorithm, "kid": "k1", "typ": "at+jwt"}, claims, key_for(algorithm))


def _proof(key: Key, authority: str, now: Instant, identifier: str, token_hash: str) -> str:
    claims = {
        "jti": identifier,
        "htm": "POST",
        "htu": f"https://{authority}/wallet/debit",
        "iat": int(now),
        "ath": token_hash,
    }
    return _signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(key)}, claims, key)


def _signed(header: dict[str, object], claims: dict[str, object], key: Key) -> str:
    text = f"{encode_base64url(json.dumps(header).encode())}.{encode_base64url(json.dumps(claims).encode())}"
    return f"{text}.{encode_base64url(get_algorithm_by_name(str(header['alg'])).sign(text.encode(), key))}"


def _octets(number: int, size: int | None = None) -> str:
    return encode_base64url(number.to_bytes(size or (number.bit_length() + 7) // 8))
