"""Published cases of vendors, and what their own libraries sign and accept."""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from standardwebhooks import Webhook
from stripe import WebhookSignature

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.policy.presets import preset
from gateway.signing.algorithms import PublicKey, PublicVerifier
from gateway.signing.own import OwnKey
from tests import vendors
from tests.vendors import Request, request, verify

CASES = json.loads((Path(__file__).parent / "vendors.json").read_text())["cases"]
NOW = Instant(1_795_352_400.0)

BODY = b'{"id":"evt_1","amount":1000}'


def clock() -> Instant:
    """Give the time: the libraries read the clock themselves when they verify."""
    return Instant(float(int(time.time())))


def key_of(case: Mapping[str, Any]) -> SigningKey:
    algorithm = preset(case["preset"]).key["algorithm"]
    if "public_key" in case:
        public = cast("PublicKey", load_pem_public_key(case["public_key"].encode()))
        return SigningKey("k", algorithm, PublicVerifier(algorithm, public))
    secret = bytes.fromhex(case["secret_hex"]) if "secret_hex" in case else case["secret"].encode()
    return SigningKey("k", algorithm, Secret(secret))


def made(case: Mapping[str, Any], body: str) -> Request:
    fields = {"content-type": "application/json"} | ({case["field"]: case["signature"]} if "field" in case else {})
    return request("POST", "/vendor", fields, body.encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["comment"])
def test_published(case: Mapping[str, Any]) -> None:
    assert verify(vendors.scheme(case["preset"]), made(case, case["body"]), {"k": key_of(case)}).key_id == "k"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["comment"])
def test_published_and_changed(case: Mapping[str, Any]) -> None:
    name, _, value = case["changed"].partition(":") if not case["changed"].startswith('":') else ("", "", "")
    pattern = rf"{re.escape(name)}:[^,}}\n]*" if name else r'":slashes are fun"'
    changed = re.sub(pattern, lambda _: f"{name}:{value}" if name else case["changed"], case["body"], count=1)
    assert changed != case["body"]
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme(case["preset"]), made(case, changed), {"k": key_of(case)})
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


# Stripe's library

STRIPE = "whsec_0123456789abcdef0123456789abcdef"
STRIPE_KEY = {"k": SigningKey("k", "hmac-sha256", Secret(STRIPE.encode()))}


def stripe_request(*signatures: str, body: bytes = BODY) -> Request:
    items = ",".join([f"t={int(NOW)}", *signatures])
    return request("POST", "/stripe", {"stripe-signature": items}, body)


def test_what_stripes_library_signs() -> None:
    signature = WebhookSignature._compute_signature(f"{int(NOW)}.{BODY.decode()}", STRIPE)
    scheme = vendors.scheme("stripe")
    assert verify(scheme, stripe_request(f"v1={signature}"), STRIPE_KEY, NOW).created == NOW
    rotated = stripe_request("v0=abc", f"v1={'0' * 64}", f"v1={signature}")
    assert verify(scheme, rotated, STRIPE_KEY, NOW).key_id == "k"
    for other in (stripe_request(f"v1={'0' * 64}"), stripe_request(f"v1={signature}", body=BODY + b"\n")):
        with pytest.raises(Denied) as caught:
            verify(scheme, other, STRIPE_KEY, NOW)
        assert caught.value.reason is Reason.SIGNATURE_MISMATCH


def test_stripes_library_accepts_what_the_gate_signs() -> None:
    key = OwnKey("k", "hmac-sha256", Secret(STRIPE.encode()))
    fields = dict(vendors.scheme("stripe").sign(*request("POST", "/", {}, BODY), key=key, now=clock(), nonce="").fields)
    assert WebhookSignature.verify_header(BODY.decode(), fields["stripe-signature"], STRIPE, 300)


@pytest.mark.parametrize("items", ["t=1,t=2,v1=00", "v1=00", "t=1", "t=x,v1=00", "t=1795352400,v1=zz", "", ","])
def test_stripes_field_is_read_strictly(items: str) -> None:
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme("stripe"), request("POST", "/", {"stripe-signature": items}, BODY), STRIPE_KEY, NOW)
    assert caught.value.reason in {Reason.SIGNATURE_MISSING, Reason.SIGNATURE_MALFORMED}


# The library of Standard Webhooks

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_SECRET = Secret(bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0"))


def test_what_the_library_of_standard_webhooks_signs() -> None:
    signature = Webhook(WHSEC).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    fields = {
        "webhook-id": "msg_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": f"v1a,AAAA {signature}"
    }  # fmt: skip
    keys = {"k": SigningKey("k", "hmac-sha256", WEBHOOK_SECRET)}
    verified = verify(vendors.scheme("standard-webhooks"), request("POST", "/", fields, BODY), keys, NOW)
    assert (verified.nonce, verified.created) == ("msg_1", NOW)


def test_the_library_of_standard_webhooks_accepts_what_the_gate_signs() -> None:
    key = OwnKey("k", "hmac-sha256", WEBHOOK_SECRET)
    by = vendors.scheme("standard-webhooks")
    fields = dict(by.sign(*request("POST", "/", {}, BODY), key=key, now=clock(), nonce="msg_2").fields)
    assert Webhook(WHSEC).verify(BODY.decode(), fields) == json.loads(BODY)
