import json

import pytest

from gateway.signing.dpop import MAX_PROOF_BYTES, UnverifiedError, read_proof, thumbprint_of
from gateway.signing.jose import encode_base64url
from tests import proofs, world
from tests.proofs import KEY, OTHER_KEY, proof

TOKEN = "token"


def test_a_proof_is_read() -> None:
    read = read_proof(proof(TOKEN, nonce="n"))
    assert (read.thumbprint, read.id, read.method, read.uri) == (proofs.jkt(), "proof-1", "POST", proofs.URI)
    assert (read.issued_at, read.token_hash, read.nonce) == (world.NOW, proofs.ath(TOKEN), "n")


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA-2048", "PS256"), ("Ed25519", "Ed25519")]
)
def test_keys_of_every_type_and_their_thumbprints(kind: str, algorithm: str) -> None:
    key = proofs.generated(kind)
    read = read_proof(proof(TOKEN, key, algorithm=algorithm))
    assert (read.thumbprint, read.algorithm) == (key.thumbprint(), algorithm)


def test_the_thumbprint_is_that_of_the_rfc() -> None:
    """RFC 7638 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint_of(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def spoiled(part: int, value: str) -> str:
    parts = proof(TOKEN).split(".")
    parts[part] = value
    return ".".join(parts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 parts"),
        ("a.b", "2 parts"),
        ("A" * (MAX_PROOF_BYTES + 1), "bytes"),
        (spoiled(0, "!!"), "base64url"),
        (proof(TOKEN) + "=", "base64url"),
        (spoiled(0, encode_base64url(b"[]")), "not a JSON object"),
        (spoiled(0, encode_base64url(b'{"typ":"dpop+jwt","typ":"dpop+jwt"}')), "a member stands twice"),
        (proof(TOKEN, header={"typ": "JWT"}), "typ is not dpop"),
        (proof(TOKEN, header={"typ": None}), "typ is not dpop"),
        (proof(TOKEN, header={"jwk": None}), "jwk is missing"),
        (proof(TOKEN, header={"jwk": KEY.as_dict(private=True)}), "private key material"),
        (proof(TOKEN, header={"jwk": {"kty": "oct", "k": "AAAA"}}), "a symmetric key"),
        (proof(TOKEN, header={"jwk": {"kty": "EC", "crv": "secp256k1"}}), "its curve is"),
        (proof(TOKEN, header={"kid": "a"}), "header has kid"),
        (proof(TOKEN, header={"jku": "https://evil.example"}), "header has jku"),
        (proof(TOKEN, jti=None), "jti is missing"),
        (proof(TOKEN, jti="a" * 257), "jti is missing, empty, too long"),
        (proof(TOKEN, htm=None), "htm is missing"),
        (proof(TOKEN, htu=None), "htu is missing"),
        (proof(TOKEN, ath=None), "ath is missing"),
        (proof(TOKEN, nonce=1), "nonce is not a string"),
    ],
)
def test_what_is_no_proof(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_proof(text)


@pytest.mark.parametrize("iat", ["1795352400", True, -1, 1e300, None])
def test_a_time_that_is_none(iat: object) -> None:
    header, _, signature = proof(TOKEN).split(".")
    claims = {"jti": "a", "htm": "GET", "htu": "x", "ath": "x", "iat": iat}
    del signature
    payload = encode_base64url(json.dumps(claims).encode())
    key = world.private_key("P-256", "dpop")
    signed = world.token(
        json.dumps(claims).encode(), header={"typ": "dpop+jwt", "kid": None, "jwk": public(key)}, key=key
    )
    assert payload in signed
    assert header
    with pytest.raises(ValueError, match="iat is missing"):
        read_proof(signed)


def public(key: object) -> dict[str, str]:
    return {name: value for name, value in world.jwk(key).items() if name in ("kty", "crv", "x", "y")}  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES384"])
def test_an_algorithm_that_is_not_the_keys(algorithm: str) -> None:
    header = json.dumps({"typ": "dpop+jwt", "alg": algorithm, "jwk": KEY.as_dict(private=False)})
    with pytest.raises(ValueError, match="alg is not one"):
        read_proof(spoiled(0, encode_base64url(header.encode())))


def test_a_proof_that_another_key_made() -> None:
    with pytest.raises(UnverifiedError):
        read_proof(proof(TOKEN, OTHER_KEY, header={"jwk": KEY.as_dict(private=False)}))
    read_proof(proof(TOKEN))
    with pytest.raises(UnverifiedError):  # also where the header is known
        read_proof(spoiled(2, encode_base64url(b"\0" * 64)))
