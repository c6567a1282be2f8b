"""Published JWS: of the RFCs, and of TrueLayer's libraries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.signing.algorithms import PublicKey, PublicVerifier
from gateway.signing.jose import decode_base64url
from gateway.signing.jws_header import Expected
from gateway.signing.jws_scheme import JOSE_ALGORITHMS, JwsScheme
from tests import vendors
from tests.mint import NOW
from tests.vendors import request, verify

FOLDER = Path(__file__).parent / "jws"
RFC = json.loads((FOLDER / "rfc.json").read_text())["cases"]
TRUELAYER = json.loads((FOLDER / "truelayer.json").read_text())


def key_of(case: Mapping[str, Any]) -> SigningKey:
    jwk = case["key"]
    algorithm = JOSE_ALGORITHMS[case["algorithm"]]
    if jwk["kty"] == "oct":
        return SigningKey("k", algorithm, Secret(decode_base64url(jwk["k"])))
    return SigningKey("k", algorithm, PublicVerifier(algorithm, PyJWK({**jwk}, case["algorithm"]).key))


@pytest.mark.parametrize("case", RFC, ids=lambda case: case["comment"])
def test_the_examples_of_the_rfcs(case: Mapping[str, Any]) -> None:
    key = key_of(case)
    field = "" if case["carried"] == "body" else "x-jws"
    scheme = JwsScheme(
        "rfc", frozenset({key.algorithm}), field, case["carried"],
        Expected(unencoded=case.get("unencoded", False)), key_named=False,
    )  # fmt: skip
    payload = case["payload"].encode()
    made = request("POST", "/", {"x-jws": case["jws"]} if field else {}, payload if field else case["jws"].encode())
    assert verify(scheme, made, {"k": key}).key_id == "k"
    other = payload + b" " if field else case["jws"].replace(".eyJp", ".eyJq").encode()
    with pytest.raises(Denied) as caught:
        verify(scheme, made._replace(body=other), {"k": key})
    assert caught.value.reason.code == "signature.mismatch"


@pytest.mark.parametrize("case", TRUELAYER["cases"], ids=lambda case: case["comment"])
def test_truelayers_own(case: Mapping[str, Any]) -> None:
    public = cast("PublicKey", load_pem_public_key(TRUELAYER["key"].encode()))
    key = SigningKey(TRUELAYER["key_id"], "ecdsa-p521-sha512", PublicVerifier("ecdsa-p521-sha512", public))
    made = request("POST", case["target"], case["fields"], case["body"].encode())
    scheme, now = vendors.scheme(case["preset"]), Instant(case.get("now", NOW))
    if case["expect"] == "verified":
        assert verify(scheme, made, {key.id: key}, now).key_id == key.id
        return
    with pytest.raises(Denied) as caught:
        verify(scheme, made, {key.id: key}, now)
    assert caught.value.reason.code == case["expect"]
