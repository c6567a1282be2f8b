import json
from typing import Any

import pytest

from gateway.signing.jose import encode_base64url
from gateway.signing.jws_header import MAX_HEADER, Expected, JoseHeader

IAT = "http://openbanking.org.uk/iat"
HOSTS = frozenset({"keys.example"})


def text(**parameters: Any) -> str:
    return encode_base64url(json.dumps({"alg": "ES256", "kid": "k", **parameters}).encode())


def read(written: str | None = None, expected: Expected | None = None, **parameters: Any) -> JoseHeader:
    return JoseHeader.read(text(**parameters) if written is None else written, expected or Expected())


def test_a_header() -> None:
    header = read(typ="JOSE", x5t="ab", cty="json")
    assert (header.algorithm, header.key_id, header.unencoded, header.text) == (
        "ES256", "k", False, text(typ="JOSE", x5t="ab", cty="json"),
    )  # fmt: skip
    assert "ab" not in repr(header)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alg": None}, "alg is missing"),
        ({"kid": 1}, "kid is not a string"),
        ({"kid": ""}, "kid is not a string"),
        ({"kid": "\xe9"}, "kid is not a string"),
        ({"kid": "k" * 129}, "kid is not a string"),
        ({"typ": "at+jwt"}, "typ is none of JOSE, JWT"),
        ({"jwk": {}}, "header has jwk"),
        ({"x5c": [], "enc": "x", "zip": "DEF"}, "header has enc, x5c, zip"),
        ({"crit": []}, "crit is no list of names"),
        ({"crit": "b64"}, "crit is no list of names"),
        ({"crit": ["b64", "b64"], "b64": True}, "crit is no list of names"),
        ({"crit": [f"p{n}" for n in range(17)]}, "crit is no list of names"),
        ({"crit": ["alg"]}, "none that it may list"),
        ({"crit": [1]}, "none that it may list"),
        ({"crit": ["exp"]}, "lists what is no parameter here"),
        ({"crit": ["exp"], "exp": 1}, "does not understand"),
        ({"b64": False}, "not listed in crit"),
        ({"b64": "false", "crit": ["b64"]}, "b64 is not true or false"),
        ({"b64": False, "crit": ["b64"]}, "b64 is false, which the scheme does not take"),
    ],
)
def test_what_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**parameters)


@pytest.mark.parametrize(
    "written", ["", "e30=", "bnVsbA", encode_base64url(b'{"alg":"a","alg":"b"}'), "A" * (MAX_HEADER + 4)]
)
def test_text_that_is_no_header(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(written)


def test_unencoded_payloads() -> None:
    assert read(expected=Expected(unencoded=True), b64=False, crit=["b64"]).unencoded
    assert read(expected=Expected(unencoded=None), b64=False, crit=["b64"]).unencoded
    assert not read(expected=Expected(unencoded=None)).unencoded
    assert not read(b64=True, crit=["b64"]).unencoded
    with pytest.raises(ValueError, match="b64 is true"):
        read(expected=Expected(unencoded=True))


def test_critical_parameters_that_are_understood() -> None:
    expected = Expected(critical=frozenset({IAT}))
    assert read(expected=expected, crit=[IAT], **{IAT: 1}).parameters[IAT] == 1
    with pytest.raises(ValueError, match=f"crit does not list {IAT}"):
        read(expected=expected, **{IAT: 1})


def test_parameters_that_are_asked_for() -> None:
    expected = Expected(required={"iss": None, "tan": "openbanking.org.uk"})
    assert read(expected=expected, iss="x", tan="openbanking.org.uk").key_id == "k"
    with pytest.raises(ValueError, match="header has no iss"):
        read(expected=expected, tan="openbanking.org.uk")
    with pytest.raises(ValueError, match=r"tan is not 'openbanking.org.uk'"):
        read(expected=expected, iss="x", tan="evil.example")


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_urls_of_keys_name_listed_hosts_only(name: str) -> None:
    expected = Expected(key_url_hosts=HOSTS)
    for url in ("https://keys.example/jwks", "https://KEYS.example:443/"):
        assert read(expected=expected, **{name: url}).key_id == "k"
    for other in (
        "http://keys.example/jwks", "https://evil.example/", "https://keys.example@evil.example/",
        "https://evil.example/#https://keys.example", "https://keys.example:8443/", "https://keys.example.evil.example/",
        "https://keys.example\\@evil.example/", "https://[", 7, "", "https://keys.example\n.evil.example/",
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} is no https URL at a host"):
            read(expected=expected, **{name: other})
    with pytest.raises(ValueError, match=f"{name} is no https URL"):
        read(**{name: "https://keys.example/jwks"})
