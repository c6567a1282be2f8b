"""Composed schemes whose signatures, keys, times and nonces stand elsewhere than in fields of their own."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.own import with_fields
from gateway.signing.places import InContent, InHeader
from gateway.signing.scheme import read_whole
from gateway.signing.window import Window
from tests import vendors, world
from tests.mint import private_key
from tests.world import BODY, NOW, SIGNING_KEY_ID, own_key, signing_key

WINDOW = Window(60.0, 5.0)
KEYS = {SIGNING_KEY_ID: signing_key()}
JSON = {"content-type": "application/json"}


def test_everything_may_stand_in_the_query() -> None:
    scheme = ComposedScheme(
        "vendor", (p.Timestamp(), p.Nonce(), p.Body()), b"\n", "hmac-sha256", "base64url", InContent("query", "sign"),
        key_id=InContent("query", "key"), timestamp=InContent("query", "at"), nonce=InContent("query", "nonce"),
    )  # fmt: skip
    plain = vendors.request("POST", "/pay?a=1", JSON, BODY)
    head, body = scheme.sign(*plain, key=own_key(), now=NOW, nonce="n-1").applied(*plain)
    assert head.target.startswith(f"/pay?a=1&key={SIGNING_KEY_ID}&at=1795352400&nonce=n-1&sign=")
    assert not scheme.carried_in_body
    verified = scheme.verify(head, body, KEYS, WINDOW, NOW)
    assert (verified.key_id, verified.created, verified.nonce) == (SIGNING_KEY_ID, NOW, "n-1")


def test_everything_may_stand_in_json() -> None:
    scheme = ComposedScheme(
        "vendor", (p.Field("json", "/amount"), p.Timestamp(), p.Nonce()), b"\n", "hmac-sha512", "hex-upper",
        InContent("json", "/auth/sign"), key_id=InContent("json", "/auth/key"),
        timestamp=InContent("json", "/auth/at"), timestamp_format="unix-ms", nonce=InContent("json", "/auth/nonce"),
    )  # fmt: skip
    plain = vendors.request("POST", "/pay", JSON, b'{"amount": 1.50}')
    key = own_key(algorithm="hmac-sha512")
    head, body = scheme.sign(*plain, key=key, now=NOW, nonce="n-1").applied(*plain)
    assert b'"at":1795352400000' in body
    assert head.content_length == len(body)
    keys = {key.id: signing_key(algorithm="hmac-sha512")}
    assert scheme.verify(head, body, keys, WINDOW, NOW).nonce == "n-1"
    assert (
        scheme.string_to_sign(head, body, read_whole(scheme, head, body, lambda _: True)) == b"1.50\n1795352400000\nn-1"
    )


def test_ecdsa_in_der_as_most_libraries_make_it() -> None:
    scheme = ComposedScheme("vendor", (p.Body(),), b"", "ecdsa-p256-sha256", "base64", InHeader("x-sign"), der=True)
    plain = vendors.request("POST", "/pay", JSON, BODY)
    private = private_key("P-256", "partner")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    der = base64.b64encode(private.sign(BODY, ec.ECDSA(hashes.SHA256()))).decode()
    theirs = with_fields(plain.head, [("x-sign", der)])
    keys = vendors.keys("ecdsa-p256-sha256")
    assert scheme.verify(theirs, BODY, keys, WINDOW, NOW).key_id == vendors.KEY_ID
    ours = scheme.sign(*plain, key=vendors.own_key("ecdsa-p256-sha256"), now=NOW, nonce="").applied(*plain)
    private.public_key().verify(
        base64.b64decode(ours[0].headers.single("x-sign") or ""), BODY, ec.ECDSA(hashes.SHA256())
    )


def test_signatures_beside_their_keys() -> None:
    scheme = vendors.scheme("worldpay")
    made = vendors.signed("worldpay")
    text = made.head.headers.single("event-signature")
    keys = vendors.keys("hmac-sha256")
    for value, reason in (
        (f"nothing, {text}", None),
        ("nothing", Reason.SIGNATURE_MALFORMED),
        ("a b/SHA256/00", Reason.SIGNATURE_MALFORMED),
        (f"other/SHA256/{'0' * 64}", Reason.SIGNATURE_KEY_UNKNOWN),
    ):
        head = with_fields(made.head, [("event-signature", value)])
        if reason is None:
            assert scheme.verify(head, made.body, keys, WINDOW, NOW).key_id == vendors.KEY_ID
            continue
        with pytest.raises(Denied) as caught:
            scheme.verify(head, made.body, keys, WINDOW, NOW)
        assert caught.value.reason is reason


def test_a_time_that_has_ended_for_a_weak_algorithm() -> None:
    scheme = world.scheme(algorithm="hmac-sha1", weak_until=NOW)
    keys = {SIGNING_KEY_ID: signing_key(algorithm="hmac-sha1")}
    plain = world.World(fields=dict.fromkeys(("x-key-id", "x-timestamp", "x-nonce", "x-signature"))).head()
    before = Instant(NOW - 1)
    signed = scheme.sign(plain, BODY, key=own_key(algorithm="hmac-sha1"), now=before, nonce="n-1")
    head, _ = signed.applied(plain, BODY)
    with pytest.raises(Denied) as caught:
        scheme.verify(head, BODY, keys, WINDOW, NOW)
    assert caught.value.reason is Reason.SIGNATURE_WEAK
    with pytest.raises(ValueError, match="the exception for it has ended"):
        scheme.sign(plain, BODY, key=own_key(algorithm="hmac-sha1"), now=NOW, nonce="n-1")
    assert scheme.verify(head, BODY, keys, WINDOW, before).key_id == SIGNING_KEY_ID
