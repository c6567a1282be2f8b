"""Vendors' own packages of npm, and ones that others wrote for their schemes, against the presets: both ways."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.policy.presets import preset
from tests import messages, node, vendors
from tests.mint import NOW, private_key
from tests.vendors import KEY_ID, Request, request, verify

BODY = '{"id":"evt_1","amount":"10.00","name":"Zoë"}'
JSON = {"content-type": "application/json"}
STRIPE = "whsec_0123456789abcdef0123456789abcdef"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WHSEC_SECRET = bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")
AWS_SECRET = vendors.SECRET
OPEN_BANKING = "http://openbanking.org.uk/"
UNDERSTOOD = [f"{OPEN_BANKING}{name}" for name in ("iat", "iss", "tan")]
TRUELAYER_FIELDS = {"Idempotency-Key": "619410b3-b00c-406e-bb1b-2982f97edb8b", "X-Custom": "a b"}
AWS_TARGET = "/v1/payouts/p%201?dry=no&account=a-1"


def private(algorithm: str) -> str:
    return node.pem(private_key(messages.KINDS[algorithm], "partner"))


def public(algorithm: str) -> str:
    return messages.public_pem(algorithm).decode()


def open_banking(*, b64: bool) -> dict[str, Any]:
    """Give the header of a detached JWS of Open Banking UK."""
    own: dict[str, Any] = dict(zip(UNDERSTOOD, (int(NOW), "CN=acme", "openbanking.org.uk"), strict=True))
    unencoded = {} if b64 else {"b64": False}
    header = {"alg": "PS256", "kid": KEY_ID, "typ": "JOSE", "cty": "application/json", **own, **unencoded}
    return {**header, "crit": [*UNDERSTOOD, *unencoded]}


JOBS: dict[str, dict[str, Any]] = {
    "stripe": {"by": "stripe", "key": STRIPE, "time": int(NOW)},
    "standard-webhooks": {"by": "standardwebhooks", "key": WHSEC, "time": int(NOW), "id": "msg_1"},
    "truelayer": {
        "by": "truelayer-signing", "key": private("ecdsa-p521-sha512"), "keyId": KEY_ID, "method": "POST",
        "path": "/payouts", "headers": TRUELAYER_FIELDS,
    },
    "uk-open-banking": {
        "by": "jose", "key": private("rsa-pss-sha256"), "header": open_banking(b64=True)
    },
    "uk-open-banking, unencoded": {
        "by": "jose", "key": private("rsa-pss-sha256"), "header": open_banking(b64=False)
    },
    "aws-sigv4": {
        "by": "aws4", "key": AWS_SECRET.decode(), "keyId": KEY_ID, "method": "POST", "host": "api.example",
        "target": AWS_TARGET, "region": "eu-west-1", "service": "execute-api",
        "headers": {**JSON, "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(NOW))},
    },
}  # fmt: skip


def made(case: str, signature: Any) -> Request:
    """Give the request with what the package made."""
    build: Mapping[str, Callable[[], tuple[str, Mapping[str, str]]]] = {
        "stripe": lambda: ("/stripe", {**JSON, "stripe-signature": signature}),
        "standard-webhooks": lambda: ("/hooks", {**JSON, **webhook(signature)}),
        "truelayer": lambda: ("/payouts", {**JSON, **lower(TRUELAYER_FIELDS), "tl-signature": signature}),
        "uk-open-banking": lambda: ("/pisp", {**JSON, "x-jws-signature": signature}),
        "aws-sigv4": lambda: (AWS_TARGET, lower(signature)),
    }
    target, fields = build[name_of(case)]()
    fields = {name: value for name, value in fields.items() if name != "content-length"}
    return request("POST", target, fields, BODY.encode())


def webhook(signature: str) -> dict[str, str]:
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}


def lower(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in fields.items()}


def name_of(case: str) -> str:
    return case.partition(",")[0]


def keys(name: str) -> Mapping[str, SigningKey]:
    """Give what the gate has of the key."""
    algorithm = preset(name).key["algorithm"]
    secrets = {"stripe": STRIPE.encode(), "standard-webhooks": WHSEC_SECRET}
    if name in secrets:
        return {KEY_ID: SigningKey(KEY_ID, algorithm, Secret(secrets[name]))}
    return vendors.keys(algorithm)


@pytest.fixture(scope="module")
def signed(npm: node.Packages) -> Mapping[str, Any]:
    """What each package signs."""
    return dict(zip(JOBS, npm.run(*({"body": BODY, **job} for job in JOBS.values())), strict=True))


@pytest.mark.parametrize("case", JOBS)
def test_what_a_package_signs_is_accepted(case: str, signed: Mapping[str, Any]) -> None:
    name = name_of(case)
    assert verify(vendors.scheme(name), made(case, signed[case]), keys(name), NOW).key_id == KEY_ID


@pytest.mark.parametrize("case", JOBS)
def test_a_changed_byte_is_refused(case: str, signed: Mapping[str, Any]) -> None:
    name, right = name_of(case), made(case, signed[case])
    for place in range(len(right.body)):
        body = right.body[:place] + bytes([right.body[place] ^ 1]) + right.body[place + 1 :]
        with pytest.raises(Denied) as caught:
            verify(vendors.scheme(name), right._replace(body=body), keys(name), NOW)
        assert caught.value.reason.code in {"signature.mismatch", "signature.digest_mismatch"}


def by_the_gate(name: str, target: str = "/") -> Mapping[str, str]:
    """Give the fields of a request that the gate signs."""
    plain = request("POST", target, JSON, BODY.encode())
    own = vendors.own_key(preset(name).key["algorithm"])
    (key,) = keys(name).values()
    if isinstance(key.material, Secret):
        own = type(own)(KEY_ID, key.algorithm, key.material)
    now = Instant(float(int(time.time())))  # two of the packages read the clock when they verify
    return dict(vendors.scheme(name).sign(*plain, key=own, now=now, nonce="n-1").fields)


def test_packages_accept_what_the_gate_signs(npm: node.Packages) -> None:
    truelayer = by_the_gate("truelayer", "/payouts")
    jobs = [
        {"by": "stripe verifies", "key": STRIPE, "signature": by_the_gate("stripe")["stripe-signature"]},
        {"by": "standardwebhooks verifies", "key": WHSEC, "headers": by_the_gate("standard-webhooks")},
        {
            "by": "truelayer-signing verifies", "key": public("ecdsa-p521-sha512"), "method": "POST",
            "path": "/payouts", "headers": truelayer, "signature": truelayer["tl-signature"],
            "requiredHeaders": ["Idempotency-Key"],
        },
        {
            "by": "jose verifies", "key": public("rsa-pss-sha256"), "algorithm": "PS256", "understood": UNDERSTOOD,
            "signature": by_the_gate("uk-open-banking")["x-jws-signature"],
        },
    ]  # fmt: skip
    assert npm.run(*({"body": BODY, **job} for job in jobs)) == ["evt_1", json.loads(BODY), True, True]
