from typing import Any

import pytest

from gateway.signing.jose import encode_base64url
from gateway.signing.jws import CompactJws
from tests import world


def test_a_token_is_taken_apart() -> None:
    token = world.token(b"{}")
    jws = CompactJws.read(token)
    assert (jws.algorithm, jws.key_id, jws.payload) == ("ES256", world.KEY_ID, b"{}")
    assert f"{jws.signing_input.decode()}.{encode_base64url(jws.signature)}" == token


def test_a_token_without_kid_and_typ_is_taken_apart() -> None:
    assert CompactJws.read(world.token(header={"kid": None, "typ": None})).key_id is None


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_types_of_a_token_are_known(kind: str) -> None:
    assert CompactJws.read(world.token(header={"typ": kind})).algorithm == "ES256"


def test_a_token_is_not_shown() -> None:
    token = world.token()
    shown = repr(CompactJws.read(token))
    assert not any(part in shown for part in token.split("."))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param({"crit": ["exp"], "exp": 1}, "header has crit", id="crit"),
        pytest.param({"b64": False}, "header has b64", id="unencoded payload"),
        pytest.param({"jwk": world.jwk()}, "header has jwk", id="embedded key"),
        pytest.param({"jku": "https://evil.example"}, "header has jku", id="key set elsewhere"),
        pytest.param({"x5c": ["MIIB"]}, "header has x5c", id="embedded certificate"),
        pytest.param({"x5u": "https://evil.example"}, "header has x5u", id="certificate elsewhere"),
        pytest.param({"enc": "A256GCM"}, "header has enc", id="encryption"),
        pytest.param({"zip": "DEF"}, "header has zip", id="compression"),
        pytest.param({"cty": "JWT"}, "header has cty", id="nested token"),
        pytest.param({"typ": "dpop+jwt"}, "typ is neither", id="another type"),
        pytest.param({"typ": ["JWT"]}, "typ is neither", id="typ not text"),
        pytest.param({"alg": None}, "alg is missing", id="no alg"),
        pytest.param({"alg": 5}, "alg is missing or not a string", id="alg not text"),
        pytest.param({"kid": 5}, "kid is not a string", id="kid not text"),
        pytest.param(b'{"alg":"none","alg":"ES256"}', "stands twice", id="duplicate parameter"),
        pytest.param('{"alg":"ES256"}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'"ES256"', "not a JSON object", id="no object"),
    ],
)
def test_a_header_that_changes_the_reading_is_refused(header: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompactJws.read(world.token(header=header))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda token: token.rpartition(".")[0], "2 parts", id="no signature part"),
        pytest.param(lambda token: f"{token}.AAAA.AAAA", "5 parts", id="encrypted"),
        pytest.param(lambda token: f"{token}=", "base64url", id="padding"),
        pytest.param(lambda token: token[:-1] + chr(ord(token[-1]) + 1), "base64url", id="stray bits"),
        pytest.param(lambda token: token.replace(".", ".+", 1), "base64url", id="plain base64"),
        pytest.param(lambda token: f"\u00e9{token}", "base64url", id="not ASCII"),
        pytest.param(lambda _: "", "1 parts", id="nothing"),
        pytest.param(lambda _: "..", "not JSON", id="nothing but dots"),
    ],
)
def test_another_form_than_the_compact_one_is_refused(spoil: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompactJws.read(spoil(world.token()))
