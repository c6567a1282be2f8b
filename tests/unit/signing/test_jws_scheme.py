import hashlib
import json
from typing import Any

import pytest
from jwt.api_jws import PyJWS

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.jose import encode_base64url
from gateway.signing.jws_header import Expected
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JOSE_ALGORITHMS, JwsScheme
from tests.messages import KINDS
from tests.mint import NOW, private_key
from tests.vendors import KEY_ID, SECRET, Request, keys, own_key, request, verify

BODY = b'{"amount": "2.50"}'
PLAIN = request("POST", "/pay", {"content-type": "application/json"}, BODY)
FIELD = "x-jws-signature"
ES256 = "ecdsa-p256-sha256"


def scheme(*algorithms: str, **changes: Any) -> JwsScheme:
    return JwsScheme(
        **{"name": "jws", "algorithms": frozenset(algorithms or {ES256}), "header_field": FIELD, **changes}
    )


def signed(by: JwsScheme, algorithm: str = ES256, plain: Request = PLAIN, **options: Any) -> Request:
    made = by.sign(*plain, key=own_key(algorithm), **{"now": NOW, "nonce": "n-1", **options})
    return Request(*made.applied(*plain))


def refused(by: JwsScheme, made: Request, known: dict[str, SigningKey] | None = None, now: Instant = NOW) -> Reason:
    with pytest.raises(Denied) as caught:
        verify(by, made, known or keys(ES256), now)
    return caught.value.reason


def with_jws(text: str, body: bytes = BODY) -> Request:
    return request("POST", "/pay", {FIELD: text}, body)


def by_pyjwt(name: str, headers: dict[str, Any], *, detached: bool = True) -> str:
    algorithm = JOSE_ALGORITHMS[name]
    key: Any = SECRET if name.startswith("HS") else private_key(KINDS[algorithm], "partner")
    unencoded = headers.get("b64") is False  # PyJWT detaches such payloads only
    header, payload, signature = PyJWS().encode(BODY, key, name, headers, is_payload_detached=unencoded).split(".")
    return f"{header}.{'' if detached else payload}.{signature}"


@pytest.mark.parametrize("name", JOSE_ALGORITHMS)
@pytest.mark.parametrize("unencoded", [False, True])
def test_what_another_library_signed(name: str, unencoded: bool) -> None:
    algorithm = JOSE_ALGORITHMS[name]
    extra: dict[str, Any] = {"b64": False, "crit": ["b64"]} if unencoded else {}
    jws = by_pyjwt(name, {"kid": KEY_ID, "typ": "JOSE", **extra})
    by = scheme(algorithm, expected=Expected(unencoded=unencoded))
    verified = verify(by, with_jws(jws), keys(algorithm))
    assert (verified.key_id, verified.created, verified.window_end) == (KEY_ID, None, None)
    assert refused(by, with_jws(jws, BODY + b" "), dict(keys(algorithm))) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("algorithm", JOSE_ALGORITHMS.values())
def test_what_the_gate_signs_it_verifies(algorithm: str) -> None:
    by = scheme(algorithm)
    assert verify(by, signed(by, algorithm), keys(algorithm)).key_id == KEY_ID


@pytest.mark.parametrize("unencoded", [True, None])
def test_unencoded_payloads_are_signed_as_they_are(unencoded: bool | None) -> None:
    by = scheme(expected=Expected(unencoded=unencoded))
    made = signed(by)
    shown = by.string_to_sign(*made, by.read(made.head))
    assert shown.endswith(BODY if unencoded else encode_base64url(BODY).encode())
    assert verify(by, made, keys(ES256)).identity == hashlib.sha256(shown).digest()


def test_an_attached_payload_is_the_body() -> None:
    by = scheme(carried="attached")
    made = signed(by)
    assert verify(by, made, keys(ES256)).key_id == KEY_ID
    assert refused(by, made._replace(body=b"{}")) is Reason.SIGNATURE_MISMATCH
    assert refused(by, signed(scheme())) is Reason.SIGNATURE_MALFORMED
    assert refused(scheme(), made) is Reason.SIGNATURE_MALFORMED


def test_the_body_may_be_the_jws() -> None:
    by = scheme(header_field="", carried="body")
    made = signed(by)
    assert made.body.count(b".") == 2
    assert by.carried_in_body
    assert verify(by, made, keys(ES256)).key_id == KEY_ID
    first = made.body.index(b".") + 5
    other = made.body[:first] + (b"A" if made.body[first : first + 1] != b"A" else b"B") + made.body[first + 1 :]
    assert refused(by, made._replace(body=other)) is Reason.SIGNATURE_MISMATCH
    assert refused(by, request("POST", "/", {}, b"")) is Reason.SIGNATURE_MISSING
    assert refused(by, request("POST", "/", {}, b"\xff..")) is Reason.SIGNATURE_MALFORMED
    in_field = scheme()
    presented = in_field.read(signed(in_field).head)
    assert in_field.read_body(presented, made.head, made.body) is presented


@pytest.mark.parametrize(
    "text",
    ["", "a", "a.b", "..", "a..b.c", "e30..AA", "e30.e30.AA", "e30..*", "e30.." + "A" * 2_000, "A" * 5_000 + "..AA"],
)
def test_what_is_no_detached_jws(text: str) -> None:
    assert refused(scheme(), with_jws(text)) is Reason.SIGNATURE_MALFORMED


def test_absent_or_twice() -> None:
    assert refused(scheme(), PLAIN) is Reason.SIGNATURE_MISSING
    head = signed(scheme()).head
    twice = head._replace(headers=type(head.headers)([*head.headers.fields, (FIELD, "x")]))
    assert refused(scheme(), Request(twice, BODY)) is Reason.FIELD_REPEATED


def test_a_key_must_be_named_where_the_scheme_says_so() -> None:
    jws = by_pyjwt("ES256", {})
    assert (
        refused(scheme(expected=Expected(types=frozenset({"JWT", "JOSE"}))), with_jws(jws)) is Reason.SIGNATURE_MISSING
    )
    assert verify(scheme(key_named=False), with_jws(jws), keys(ES256)).key_id == KEY_ID
    assert not scheme(key_named=False).names_key


def test_keys() -> None:
    by = scheme(ES256, "ed25519")
    made = signed(by)
    other = SigningKey("other", ES256, keys(ES256)[KEY_ID].material)
    assert refused(by, made, {"other": other}) is Reason.SIGNATURE_KEY_UNKNOWN
    inactive = SigningKey(KEY_ID, ES256, keys(ES256)[KEY_ID].material, None, Instant(NOW - 1))
    assert refused(by, made, {KEY_ID: inactive}) is Reason.SIGNATURE_KEY_INACTIVE
    assert refused(by, made, dict(keys("ed25519"))) is Reason.SIGNATURE_ALGORITHM
    assert refused(scheme("ed25519"), made) is Reason.SIGNATURE_KEY_UNKNOWN
    assert refused(by, made, dict(keys(ES256, "another"))) is Reason.SIGNATURE_MISMATCH


def test_none_is_no_algorithm() -> None:
    header = encode_base64url(json.dumps({"alg": "none", "kid": KEY_ID}).encode())
    assert refused(scheme(), with_jws(f"{header}..AA")) is Reason.SIGNATURE_ALGORITHM


def test_a_time_in_the_header() -> None:
    by = scheme(created_parameter="iat", expected=Expected(critical=frozenset({"iat"})))
    verified = verify(by, signed(by), keys(ES256))
    assert (verified.created, verified.window_end, by.dated) == (NOW, NOW + 300, True)
    assert refused(by, signed(by), now=Instant(NOW + 301)) is Reason.SIGNATURE_STALE
    assert refused(by, signed(by), now=Instant(NOW - 11)) is Reason.SIGNATURE_FUTURE


@pytest.mark.parametrize("value", [None, "1795352400", 1.5, True, -1, 0, 10**11])
def test_what_is_no_time(value: object) -> None:
    jws = by_pyjwt("ES256", {"kid": KEY_ID, "iat": value})
    assert refused(scheme(created_parameter="iat"), with_jws(jws)) is Reason.SIGNATURE_MALFORMED


def test_a_nonce_in_the_header() -> None:
    by = scheme(nonce_parameter="jti")
    assert verify(by, signed(by), keys(ES256)).identity == f"{KEY_ID}\nn-1".encode()
    for value in (None, "", "a b", 7):
        jws = by_pyjwt("ES256", {"kid": KEY_ID, "jti": value})
        assert refused(by, with_jws(jws)) is Reason.SIGNATURE_MALFORMED


def test_time_and_nonce_in_signed_fields() -> None:
    payload = RequestPayload(("X-Time", "X-Nonce"))
    by = scheme(payload=payload, created_field="x-time", nonce_field="x-nonce")
    made = signed(by)
    verified = verify(by, made, keys(ES256))
    assert (verified.created, verified.nonce) == (NOW, "n-1")
    for name in ("x-time", "x-nonce"):
        fields = [(own, text) for own, text in made.head.headers.fields if own != name]
        head = made.head._replace(headers=type(made.head.headers)(fields))
        assert refused(by, Request(head, BODY)) is Reason.SIGNATURE_MISSING


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithms": frozenset()}, "are none of"),
        ({"algorithms": frozenset({"none"})}, "are none of"),
        ({"header_field": ""}, "stands in a field, or is the body"),
        ({"carried": "body"}, "stands in a field, or is the body"),
        ({"created_field": "x-time"}, "the timestamp of x-time is not signed"),
        ({"nonce_field": "x-nonce"}, "the nonce of x-nonce is not signed"),
        ({"nonce_field": "x", "nonce_parameter": "x"}, "the nonce stands in one place"),
        ({"carried": "attached", "expected": Expected(unencoded=True)}, "only a detached payload"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scheme(**changes)


def test_what_would_be_refused_is_not_signed() -> None:
    with pytest.raises(ValueError, match="is for ed25519"):
        signed(scheme(), "ed25519")
    with pytest.raises(ValueError, match="would refuse the request: the signature covers x-one"):
        signed(scheme(payload=RequestPayload(("X-One",))))
    with pytest.raises(ValueError, match="would refuse the request: the header has"):
        signed(scheme(expected=Expected(required={"x": "y" * 4_000})))


def test_weaknesses() -> None:
    told = [sentence.partition(",")[0] for sentence in scheme().weaknesses()]
    assert told == [
        "the method is not signed", "the path is not signed", "the query is not signed", "there is no timestamp",
        "there is no nonce",
    ]  # fmt: skip
    full = scheme(payload=RequestPayload(), created_parameter="iat", nonce_parameter="jti")
    assert [sentence.partition(",")[0] for sentence in full.weaknesses()] == ["the query is not signed"]


def test_no_signature_is_shown() -> None:
    by = scheme()
    presented = by.read(signed(by).head)
    assert repr(presented.signature) not in repr(presented)
    assert by.carriers == {FIELD}
