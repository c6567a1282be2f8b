"""Signatures of vendors' schemes: what somebody who saw a signed request tries with it."""

import json
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.message import Headers
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.policy.presets import preset
from gateway.signing.jose import encode_base64url
from tests import vendors
from tests.messages import KINDS
from tests.mint import NOW, private_key
from tests.vendors import KEY_ID, Request, keys, signed, verify, with_field


def refused(name: str, made: Request, known: dict[str, SigningKey] | None = None) -> tuple[Reason, str]:
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme(name), made, known or keys(preset(name).key["algorithm"]))
    return caught.value.reason, caught.value.detail


def with_fields(made: Request, *fields: tuple[str, str]) -> Request:
    return made._replace(head=made.head._replace(headers=Headers([*made.head.headers.fields, *fields])))


def test_an_unsigned_item_beside_the_signed_one() -> None:
    made = signed("adyen")
    content = json.loads(made.body)
    content["notificationItems"].append({"NotificationRequestItem": {"pspReference": "forged", "success": "true"}})
    for items in (content["notificationItems"], content["notificationItems"][::-1]):
        body = json.dumps({**content, "notificationItems": items}).encode()
        assert refused("adyen", made._replace(body=body)) == (
            Reason.SIGNATURE_CONTENT, "2 items in a list of which one is signed",
        )  # fmt: skip


@pytest.mark.parametrize("first", [True, False])
def test_a_member_that_stands_twice(first: bool) -> None:
    """Parsers differ in which of the two counts."""
    made = signed("gitslotpark")
    forged = b'"amount":9999.99,'
    body = b"{" + forged + made.body[1:] if first else made.body[:-1] + b"," + forged[:-1] + b"}"
    assert refused("gitslotpark", made._replace(body=body))[0] is Reason.SIGNATURE_CONTENT


def test_a_form_field_that_stands_twice_under_another_spelling() -> None:
    made = signed("pragmatic")
    assert refused("pragmatic", made._replace(body=made.body + b"&%61mount=9999"))[0] is Reason.SIGNATURE_CONTENT


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("gitslotpark", "application/x-www-form-urlencoded"),
        ("gitslotpark", "text/plain"),
        ("far-games", "multipart/form-data; boundary=x"),
        ("pragmatic", "application/json"),
        ("pragmatic", "text/plain"),
    ],
)
def test_a_body_that_upstream_would_read_in_another_way(name: str, media_type: str) -> None:
    assert refused(name, with_field(signed(name), "content-type", media_type))[0] is Reason.SIGNATURE_CONTENT


def test_a_value_that_runs_into_the_next_parameter() -> None:
    """`a=1&b=2` and a parameter a of the value `1&b=2` would sign alike."""
    made = signed("pragmatic")
    moved = made.body.replace(b"amount=100.0&reference", b"amount=100.0%26reference")
    assert moved != made.body
    assert refused("pragmatic", made._replace(body=moved))[0] is Reason.SIGNATURE_CONTENT


def test_content_that_moves_into_a_neighbour_with_a_colon() -> None:
    made = signed("adyen")
    moved = made.body.replace(b'"AUTHORISATION"', b'"AUTHORISATION:true"').replace(b'"success":"true"', b'"success":""')
    assert refused("adyen", made._replace(body=moved))[0] is Reason.SIGNATURE_CONTENT


def test_a_public_key_is_no_shared_secret() -> None:
    """The oldest attack on JWS: HS256 with the public key, which everybody has, as the secret."""
    algorithm = preset("uk-open-banking").key["algorithm"]
    public = private_key(KINDS[algorithm], "partner").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {
        "alg": "HS256", "kid": KEY_ID, "http://openbanking.org.uk/iat": int(NOW), "http://openbanking.org.uk/iss": "x",
        "http://openbanking.org.uk/tan": "openbanking.org.uk",
        "crit": [f"http://openbanking.org.uk/{name}" for name in ("iat", "iss", "tan")],
    }  # fmt: skip
    made = vendors.sample("uk-open-banking")
    text = encode_base64url(json.dumps(header).encode())
    mac = Secret(pem).mac("sha256").digest(f"{text}.{encode_base64url(made.body)}".encode())
    forged = with_fields(made, ("x-jws-signature", f"{text}..{encode_base64url(mac)}"))
    assert refused("uk-open-banking", forged)[0] is Reason.SIGNATURE_ALGORITHM


def test_a_key_that_the_request_names_for_itself() -> None:
    """PayPal's libraries fetch the certificate from a URL in the request. The gate has the key, and looks nowhere."""
    made = signed("paypal")
    theirs = with_fields(made, ("paypal-cert-url", "https://evil.example/cert.pem"), ("paypal-auth-algo", "none"))
    assert verify(vendors.scheme("paypal"), theirs, keys("rsa-v1_5-sha256")).key_id == KEY_ID
    other = vendors.own_key("rsa-v1_5-sha256", "attacker").private.sign(b"anything")
    forged = with_field(theirs, "paypal-transmission-sig", b64encode(other).decode())
    assert refused("paypal", forged)[0] is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("url", ["https://evil.example/jwks", "http://webhooks.truelayer.com/", "file:///etc/passwd"])
def test_a_url_of_keys_elsewhere(url: str) -> None:
    header = {"alg": "ES512", "kid": KEY_ID, "tl_version": "2", "tl_headers": "X-Tl-Webhook-Timestamp", "jku": url}
    made = signed("truelayer-webhook")
    text = encode_base64url(json.dumps(header).encode())
    forged = with_field(made, "tl-signature", f"{text}..{encode_base64url(bytes(132))}")
    assert refused("truelayer-webhook", forged)[0] is Reason.SIGNATURE_MALFORMED


def test_a_hash_that_is_extended() -> None:
    """SHA-1 over secret and query can be extended without the secret, by bytes that no request target may have."""
    with pytest.raises(Denied) as caught:
        read_head(
            method=b"GET",
            target=b"/wallet?a=1\x80\x00&amount=9",
            version="HTTP/1.1",
            fields=[(b"host", b"api.example")],
        )
    assert caught.value.reason is Reason.TARGET_INVALID


def test_more_signatures_than_are_tried() -> None:
    made = signed("stripe")
    text = made.head.headers.single("stripe-signature") or ""
    many = ",".join([text.partition(",")[0], *[f"v1={'0' * 64}"] * 8, text.partition(",")[2]])
    assert refused("stripe", with_field(made, "stripe-signature", many))[0] is Reason.SIGNATURE_MALFORMED


def test_another_partners_key_id_before_the_signature() -> None:
    made = signed("worldpay")
    text = made.head.headers.single("event-signature") or ""
    other = with_field(made, "event-signature", text.replace(KEY_ID, "key-2"))
    assert refused("worldpay", other)[0] is Reason.SIGNATURE_KEY_UNKNOWN
    both = with_field(made, "event-signature", f"key-2/SHA256/{'0' * 64}, {text}")
    assert verify(vendors.scheme("worldpay"), both, keys("hmac-sha256")).key_id == KEY_ID


def test_a_nonce_made_anew_from_its_neighbour() -> None:
    """Trustly signs method and UUID with nothing between: moved by a letter, the same signature has another UUID."""
    made, scheme, known = signed("trustly"), vendors.scheme("trustly"), keys("rsa-v1_5-sha1")
    content = json.loads(made.body)
    content["method"], content["params"]["UUID"] = "credi", f"t{content['params']['UUID']}"
    moved = made._replace(body=json.dumps(content).encode())
    first, second = verify(scheme, made, known), verify(scheme, moved, known)
    assert first.nonce != second.nonce
    assert first.identity == second.identity, "the replay memory knows it by what was signed"
