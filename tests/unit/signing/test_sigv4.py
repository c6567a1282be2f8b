from typing import Any

import pytest

from gateway.core.message import Headers, Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing.own import OwnKey
from gateway.signing.sigv4 import MAX_FIELDS, SigV4Scheme
from tests.mint import NOW
from tests.vendors import KEY_ID, SECRET, Request, keys, own_key, request, verify, with_field, with_target

SCHEME = SigV4Scheme("aws", "eu-west-1", "execute-api")
S3 = SigV4Scheme("s3", "eu-west-1", "s3")
BODY = b'{"amount":"10.00"}'
PLAIN = request("POST", "/a%20b/c?z=1&a=%C3%A9&a=&b", {"content-type": "application/json", "x-note": "a   b"}, BODY)
KEYS = keys("hmac-sha256")


def signed(plain: Request = PLAIN, by: SigV4Scheme = SCHEME, **options: Any) -> Request:
    made = by.sign(*plain, **{"key": own_key("hmac-sha256"), "now": NOW, "nonce": "left aside", **options})
    return Request(*made.applied(*plain))


def refused(made: Request, known: dict[str, SigningKey] | None = None, now: Instant = NOW) -> tuple[Reason, str]:
    with pytest.raises(Denied) as caught:
        verify(SCHEME, made, KEYS if known is None else known, now)
    return caught.value.reason, caught.value.detail


def changed(old: str, new: str) -> Request:
    made = signed()
    text = made.head.headers.single("authorization") or ""
    assert old in text
    return with_field(made, "authorization", text.replace(old, new))


def test_what_is_signed_is_verified() -> None:
    verified = verify(SCHEME, signed(), KEYS)
    assert (verified.key_id, verified.created, verified.nonce, verified.window_end) == (KEY_ID, NOW, None, NOW + 300)
    assert verify(SCHEME, signed(request("GET", "/", {}, b"")), KEYS).key_id == KEY_ID


def test_the_canonical_request() -> None:
    made = signed()
    names = "content-type;host;x-amz-content-sha256;x-amz-date"
    lines = SCHEME.canonical_request(*made, names).decode().split("\n")
    assert lines[:5] == [
        "POST", "/a%2520b/c", "a=&a=%C3%A9&b=&z=1", "content-type:application/json", "host:api.example",
    ]  # fmt: skip
    assert S3.canonical_request(*made, "x-note").decode().split("\n")[1:4] == [
        "/a%20b/c", "a=&a=%C3%A9&b=&z=1", "x-note:a b",
    ]  # fmt: skip
    assert SCHEME.string_to_sign(*made, SCHEME.read(made.head)).startswith(
        b"AWS4-HMAC-SHA256\n20261122T130000Z\n20261122/eu-west-1/execute-api/aws4_request\n"
    )


@pytest.mark.parametrize(
    "other",
    [
        signed()._replace(head=signed().head._replace(method="PUT")),
        with_target(signed(), "/a%20b/d?z=1&a=%C3%A9&a=&b"),
        with_target(signed(), "/a%20b/c?z=1&a=%C3%A9&a=&b&c"),
        with_field(signed(), "content-type", "text/plain"),
        signed(by=S3),
        signed()._replace(head=signed().head._replace(authority="other.example")),
    ],
)
def test_nothing_that_is_signed_can_be_changed(other: Request) -> None:
    assert refused(other)[0] in {Reason.SIGNATURE_MISMATCH, Reason.SIGNATURE_MALFORMED}


def test_the_body_is_what_was_signed() -> None:
    assert refused(signed()._replace(body=b"{}"))[0] is Reason.SIGNATURE_DIGEST
    without = changed(";x-amz-content-sha256", "")
    head = without.head
    fields = [(name, text) for name, text in head.headers.fields if name != "x-amz-content-sha256"]
    assert refused(Request(head._replace(headers=Headers(fields)), BODY))[0] is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA1 ", "no authorization field"),
        ("Signature=", "Signed=", "each once"),
        ("SignedHeaders=", "Credential=", "each once"),
        (", Signature", ",Signature", ""),
        ("Credential=", "X=1, Credential=", "each once"),
        ("aws4_request", "aws5_request", "is not KEY/DATE"),
        ("eu-west-1", "us-east-1", "is not for eu-west-1/execute-api"),
        ("/20261122/", "/20261121/", "differ"),
        (f"{KEY_ID}/", "/", "is not KEY/DATE"),
        ("content-type;host", "host;content-type", "no sorted list"),
        ("content-type;host", "content-type;host;host", "no sorted list"),
        ("content-type;host", "Content-Type;host", "no sorted list"),
        ("content-type;host", "content-type", "does not cover host"),
        ("content-type;host", "host", "does not cover content-type"),
        ("host;x-amz", "host;x-absent;x-amz", "covers x-absent, absent here"),
        ("Signature=", "Signature=A", "64 lower-case hex digits"),
        (f"{KEY_ID}/", f"{'k' * 5_000}/", "each once"),
    ],
)
def test_what_is_read_strictly(old: str, new: str, said: str) -> None:
    if not said:
        assert verify(SCHEME, changed(old, new), KEYS).key_id == KEY_ID
        return
    assert said in refused(changed(old, new))[1]


def test_too_many_fields() -> None:
    names = ";".join(["host", *(f"x-{number:03}" for number in range(MAX_FIELDS))])
    assert "no sorted list" in refused(changed("content-type;host;x-amz-content-sha256;x-amz-date", names))[1]


@pytest.mark.parametrize("value", ["20261122T130000", "20261322T130000Z", "2026-11-22T13:00:00Z", "\u0662" * 8])
def test_what_is_no_time(value: str) -> None:
    made = signed()
    fields = [(name, value if name == "x-amz-date" else text) for name, text in made.head.headers.fields]
    other = Request(made.head._replace(headers=Headers(fields)), BODY)
    assert refused(other)[0] is Reason.SIGNATURE_MALFORMED


def test_what_is_absent() -> None:
    for name in ("authorization", "x-amz-date"):
        assert refused(with_field(signed(), name, None))[0] is Reason.SIGNATURE_MISSING


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""])
def test_a_body_that_is_not_signed_as_a_whole(value: str) -> None:
    assert "must be signed as a whole" in refused(with_field(signed(), "x-amz-content-sha256", value))[1]


@pytest.mark.parametrize("query", ["a=b+c", "a=%c3%a9", "a=\xe9", "a=b=c", "a=/"])
def test_a_query_that_is_encoded_in_another_way(query: str) -> None:
    assert "not percent-encoded" in refused(with_target(signed(), f"/x?{query}"))[1]


def test_every_amz_field_is_signed() -> None:
    head = signed().head
    extended = head._replace(headers=Headers([*head.headers.fields, ("x-amz-security-token", "t")]))
    assert refused(Request(extended, BODY)) == (
        Reason.SIGNATURE_COVERAGE, "the signature does not cover x-amz-security-token",
    )  # fmt: skip


def test_keys_and_times() -> None:
    assert refused(signed(), {})[0] is Reason.SIGNATURE_KEY_UNKNOWN
    assert refused(signed(), dict(keys("ed25519")))[0] is Reason.SIGNATURE_KEY_UNKNOWN
    ended = SigningKey(KEY_ID, "hmac-sha256", Secret(SECRET), None, Instant(NOW - 1))
    assert refused(signed(), {KEY_ID: ended})[0] is Reason.SIGNATURE_KEY_INACTIVE
    assert refused(signed(), now=Instant(NOW + 301))[0] is Reason.SIGNATURE_STALE
    assert refused(signed(), now=Instant(NOW - 11))[0] is Reason.SIGNATURE_FUTURE


def test_what_would_be_refused_is_not_signed() -> None:
    with pytest.raises(ValueError, match="is for ed25519"):
        signed(key=own_key("ed25519"))
    with pytest.raises(ValueError, match="would refuse the request: the query"):
        signed(request("GET", "/?a=b+c", {}, b""))
    with pytest.raises(ValueError, match="would refuse the request: Credential"):
        signed(key=OwnKey("a b", "hmac-sha256", Secret(SECRET)))


def test_what_it_leaves_open() -> None:
    assert len(SCHEME.weaknesses()) == 1
    presented = SCHEME.read(signed().head)
    assert presented.signature not in repr(presented)
    assert SCHEME.read_body(presented, *signed(), lambda _: True) is presented
