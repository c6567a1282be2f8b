"""Tokens of the development issuer, read by PyJWT."""

import json

import jwt
import pytest

from gateway.pki.tokens import TokenIssuer

ISSUER = TokenIssuer.generate("https://idp.operator.example")
CLAIMS = {"sub": "acme", "aud": "psp", "iat": 1_795_348_800, "exp": 1_795_349_400}


def read(token: str, **options: bool) -> dict[str, object]:
    key = jwt.PyJWKSet.from_json(ISSUER.key_set().decode())[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(
        token, key, algorithms=["ES256"], audience="psp", options={"verify_exp": False, "verify_iat": False, **options}
    )
    return claims


def test_a_token_verifies_under_the_published_key() -> None:
    assert read(ISSUER.sign(CLAIMS)) == {"iss": "https://idp.operator.example", **CLAIMS}


def test_another_issuers_signature_under_this_key_id_does_not() -> None:
    forged = TokenIssuer.generate(ISSUER.url).sign(CLAIMS, key_id=ISSUER.key_id)
    with pytest.raises(jwt.InvalidSignatureError):
        read(forged)


def test_the_claims_may_name_another_issuer() -> None:
    assert read(ISSUER.sign({**CLAIMS, "iss": "https://other.example"}))["iss"] == "https://other.example"


def test_the_key_set_is_public() -> None:
    (key,) = json.loads(ISSUER.key_set())["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_the_key_id_is_the_thumbprint() -> None:
    """RFC 7638, as PyJWT's own reading of the key gives it back."""
    (key,) = json.loads(ISSUER.key_set())["keys"]
    assert key["kid"] == ISSUER.key_id
    assert len(ISSUER.key_id) == 43
