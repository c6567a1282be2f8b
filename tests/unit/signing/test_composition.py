from typing import Any

import pytest

from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.composition import signs, weakness_of
from gateway.signing.places import InContent, InHeader, InItems, Place


def scheme(*parts: p.Part, **changes: Any) -> ComposedScheme:
    valid = {
        "name": "vendor",
        "parts": parts or (p.Body(),),
        "separator": b"\n",
        "algorithm": "hmac-sha256",
        "encoding": "hex",
        "signature": InHeader("x-sign"),
    }
    return ComposedScheme(**valid | changes)


@pytest.mark.parametrize(
    ("parts", "changes", "message"),
    [
        ((p.Literal("x"), p.Shared()), {}, "nothing of the request is signed"),
        ((p.Body(),), {"algorithm": "hmac-sha3"}, "is none of hmac-sha256"),
        ((p.Body(),), {"algorithm": "digest-sha256"}, "add secret to the parts, once"),
        ((p.Shared(), p.Body(), p.Shared()), {"algorithm": "digest-sha256"}, "add secret to the parts, once"),
        ((p.Shared(), p.Body()), {}, "the secret is the key of hmac-sha256"),
        ((p.Shared(), p.Body()), {"algorithm": "ed25519"}, "the secret is the key of ed25519"),
        ((p.Body(),), {"der": True}, "only ECDSA"),
        ((p.Body(),), {"timestamp": InHeader("x-time")}, "timestamp of x-time is not signed"),
        ((p.Body(),), {"nonce": InContent("query", "n")}, "nonce of n is not signed"),
        ((p.Body(), p.Timestamp()), {}, "no field carries it"),
        ((p.Body(),), {"key_id": InHeader("x-sign")}, "a field of their own"),
        ((p.Body(),), {"key_id": InItems("x-sign", ",", "k=")}, "a field of their own"),
        (
            (p.Body(),),
            {"signature": InItems("x-sign", ",", "s="), "key_id": InItems("x-sign", ";", "k=")},
            "a field of their own",
        ),
        ((p.Body(),), {"key_id_until": "/", "key_id": InHeader("x-id")}, "a key id before the signature"),
        ((p.Method(),), {"key_id_until": "/", "signature": InContent("query", "s")}, "a key id before the signature"),
        ((p.Parameters(("form",), headers=("X One",)),), {}, "no field name"),
    ],
)
def test_what_cannot_be_composed(parts: tuple[p.Part, ...], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scheme(*parts, **changes)


SIGNED: list[tuple[p.Part, Place, bool]] = [
    (p.Header("x-sign"), InHeader("x-sign"), True),
    (p.Parameters(("form",), headers=("X-Sign",)), InHeader("x-sign"), True),
    (p.Body(), InHeader("x-sign"), False),
    (p.Body(), InContent("json", "/sign"), True),
    (p.BodyDigest("sha256"), InContent("form", "sign"), True),
    (p.Crc32(), InContent("form", "sign"), True),
    (p.Body(), InContent("query", "sign"), False),
    (p.Query(), InContent("query", "sign"), True),
    (p.Target(), InContent("query", "sign"), True),
    (p.QueryWithout("sign"), InContent("query", "sign"), False),
    (p.QueryWithout("other"), InContent("query", "sign"), True),
    (p.Parameters(("form",)), InContent("form", "sign"), True),
    (p.Parameters(("form",), without=("sign",)), InContent("form", "sign"), False),
    (p.Parameters(("json",), without=("sign",)), InContent("json", "/sign"), False),
    (p.Parameters(("json",)), InContent("json", "/sign"), True),
    (p.Parameters(("query",)), InContent("form", "sign"), False),
    (p.SortedJson(), InContent("json", "/sign"), True),
    (p.SortedJson("query"), InContent("json", "/sign"), False),
    (p.Serialized("/params"), InContent("json", "/params/sign"), True),
    (p.Serialized("/params/Data"), InContent("json", "/params/sign"), False),
    (p.Field("json", "/sign"), InContent("json", "/sign"), True),
    (p.Field("json", "/other"), InContent("json", "/sign"), False),
]


@pytest.mark.parametrize(("part", "place", "signed"), SIGNED)
def test_what_signs_a_place(part: p.Part, place: Place, signed: bool) -> None:
    assert signs([part], place) is signed
    if signed:
        with pytest.raises(ValueError, match="cannot sign itself"):
            scheme(part, signature=place)


@pytest.mark.parametrize(
    ("parts", "first"),
    [
        ((p.Method(),), "the body is not signed"),
        ((p.Crc32(),), "only a checksum of the body is signed"),
        ((p.Field("json", "/a"), p.Field("form", "b")), "only /a, b of the body are signed"),
        ((p.Serialized("/a"),), "only /a of the body are signed"),
        ((p.Field("query", "a"),), "the body is not signed"),
        ((p.Parameters(("form",)),), "the method is not signed"),
        ((p.SortedJson(), p.Method()), "the path is not signed"),
        ((p.Body(), p.Method(), p.Path()), "the query is not signed"),
        ((p.Body(), p.Method(), p.Path(), p.QueryWithout("a")), "there is no timestamp"),
        ((p.Body(), p.Method(), p.Path(), p.Field("query", "a")), "the query is not signed"),
    ],
)
def test_what_is_left_open(parts: tuple[p.Part, ...], first: str) -> None:
    assert scheme(*parts).weaknesses()[0].startswith(first)


def test_values_without_names_and_weak_algorithms_are_told() -> None:
    told = scheme(p.Parameters(("json",), write="values"), algorithm="hmac-sha1").weaknesses()
    assert any(sentence.startswith("the names of parameters are not signed") for sentence in told)
    assert told[-1].startswith("hmac-sha1 is weak")
    assert weakness_of("rsa-v1_5-sha1")
    assert weakness_of("ed25519") == weakness_of("hmac-sha256") == ""
