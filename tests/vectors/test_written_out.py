"""Vendors without a published case: their description written out with the standard library, and what the preset says.

Nothing of the gate is used to sign, so that a preset and its test cannot be wrong in the same way.
"""

import hashlib
import hmac
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.core.reasons import Denied, Reason
from gateway.policy.presets import preset
from tests import vendors
from tests.mint import NOW, private_key
from tests.vendors import KEY_ID, SECRET, Request, keys, request, verify

AT = str(int(NOW))
MILLISECONDS = f"{AT}000"
BODY = b'{"player": "p/1", "amount": 12.5, "currency": "EUR"}'
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def hex_mac(name: str, *texts: str | bytes) -> str:
    return hmac.new(SECRET, joined(*texts), name).hexdigest()


def base64_mac(name: str, *texts: str | bytes) -> str:
    return b64encode(hmac.new(SECRET, joined(*texts), name).digest()).decode()


def joined(*texts: str | bytes) -> bytes:
    return b"".join(text.encode() if isinstance(text, str) else text for text in texts)


def by_rsa(text: bytes) -> str:
    key = private_key("RSA-2048", "partner")
    assert isinstance(key, RSAPrivateKey)
    return b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def post(body: bytes = BODY, target: str = "/pay", media: Mapping[str, str] = JSON, **fields: str) -> Request:
    return request("POST", target, {**media, **{name.replace("_", "-"): text for name, text in fields.items()}}, body)


def slotegrator() -> Request:
    parameters = {"action": "bet", "amount": "2.50", "note": "a b~*", "list[0]": "x"}
    own = {"X-Merchant-Id": KEY_ID, "X-Timestamp": AT, "X-Nonce": "n-1"}
    pairs = sorted({**parameters, **own}.items())
    text = "&".join(f"{quote_plus(name)}={quote_plus(value).replace('~', '%7E')}" for name, value in pairs)
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in parameters.items()).encode()
    fields = {name.lower(): value for name, value in own.items()}
    return request("POST", "/pay", {**FORM, **fields, "x-sign": hex_mac("sha1", text)}, body)


def pragmatic() -> Request:
    parameters = {"userId": "421", "amount": "100.0", "gameId": "vs50", "empty": ""}
    text = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    digest = hashlib.md5(text.encode() + SECRET).hexdigest()  # noqa: S324 - the vendor's
    body = "&".join(f"{name}={value}" for name, value in {**parameters, "hash": digest}.items())
    return post(body.encode(), media=FORM)


def blueocean() -> Request:
    query = "action=debit&amount=2.50&note=a%20b"
    return request("GET", f"/pay?{query}&key={hashlib.sha1(SECRET + query.encode()).hexdigest()}", {}, b"")  # noqa: S324


def far_games() -> Request:
    data = {"timestamp": int(NOW), "agent_id": 1, "name": "é/x", "inner": {"b": 1, "a": 2}}
    php = json.dumps(dict(sorted(data.items())), separators=(",", ":")).replace("/", "\\/")
    return post(json.dumps(data).encode(), x_signature=hex_mac("sha256", php))


def nuvei() -> Request:
    fields = {"merchantId": "1", "merchantSiteId": "2", "clientRequestId": "3", "timeStamp": "20261122191622"}
    checksum = hashlib.sha256("".join(fields.values()).encode() + SECRET).hexdigest()
    return post(json.dumps({**fields, "checksum": checksum}).encode())


def paypal() -> Request:
    time = "2026-11-22T13:00:00Z"
    text = f"id-1|{time}|1JE4291016473214C|{zlib.crc32(BODY)}"
    return post(
        paypal_transmission_id="id-1", paypal_transmission_time=time, paypal_transmission_sig=by_rsa(text.encode())
    )


def hook0() -> Request:
    text = joined(AT, ".content-type x-hook0-id.", "application/json", ".", "h-1", ".", BODY)
    return post(x_hook0_id="h-1", x_hook0_signature=f"t={AT},h=content-type x-hook0-id,v1={hex_mac('sha256', text)}")


def standard_webhooks_v1a() -> Request:
    key = private_key("Ed25519", "partner")
    assert isinstance(key, Ed25519PrivateKey)
    signature = b64encode(key.sign(joined("msg_1.", AT, ".", BODY))).decode()
    return post(webhook_id="msg_1", webhook_timestamp=AT, webhook_signature=f"v1,AAAA v1a,{signature}")


def igamingace() -> Request:
    values = {"amount": 1500, "currency": "USD", "playerId": "user123", "timestamp": 1713792000}
    body = json.dumps(dict(reversed(values.items()))).encode()
    return post(body, x_request_signature=base64_mac("sha512", "1500,USD,user123,1713792000"))


SIGNED: Mapping[str, Callable[[], Request]] = {
    "softswiss": lambda: post(x_request_sign=hex_mac("sha256", BODY)),
    "softswiss-query": lambda: request(
        "GET", "/pay?b=x+y&a=1", {"x-request-sign": hex_mac("sha256", '{"a":"1","b":"x y"}')}, b""
    ),
    "hub88": lambda: post(x_hub88_signature=by_rsa(BODY)),
    "slotegrator": slotegrator,
    "pragmatic": pragmatic,
    "spribe": lambda: post(
        target="/pay?a=%20b", x_spribe_client_id=KEY_ID, x_spribe_client_ts=AT,
        x_spribe_client_signature=hex_mac("sha256", AT, "/pay?a=%20b", BODY),
    ),
    "booming": lambda: post(
        x_bg_api_key=KEY_ID, x_bg_nonce="17",
        x_bg_signature=hex_mac("sha512", "/pay17", hashlib.sha256(BODY).hexdigest()),
    ),
    "aviatrix": lambda: post(x_auth_signature=base64_mac("md5", BODY)),
    "evenbet-casino": lambda: post(authorization=hashlib.sha256(BODY + SECRET).hexdigest()),
    "blueocean": blueocean,
    "igamingace": igamingace,
    "far-games": far_games,
    "elephantgaming": lambda: post(x_timestamp=AT, x_nonce="n1", x_signature=hex_mac("sha256", f"{AT}:n1")),
    "paypal": paypal,
    "worldpay": lambda: post(event_signature=f"9/SHA256/{'0' * 64}, {KEY_ID}/SHA256/{hex_mac('sha256', BODY)}"),
    "paysafe": lambda: post(signature=base64_mac("sha256", BODY)),
    "nuvei": nuvei,
    "cashfree": lambda: post(
        x_webhook_timestamp=MILLISECONDS, x_webhook_signature=base64_mac("sha256", MILLISECONDS, BODY)
    ),
    "worldline": lambda: post(x_gcs_keyid=KEY_ID, x_gcs_signature=base64_mac("sha256", BODY)),
    "fiserv-latam": lambda: post(
        apikey="key", x_timestamp=MILLISECONDS, x_hmac_signature=base64_mac("sha256", "key", MILLISECONDS, BODY, "/pay")
    ),
    "hook0": hook0,
    "standard-webhooks-v1a": standard_webhooks_v1a,
}  # fmt: skip


BODILESS = ("blueocean", "softswiss-query", "elephantgaming")


@pytest.mark.parametrize("name", SIGNED)
def test_what_the_description_says_is_what_the_preset_takes(name: str) -> None:
    made = SIGNED[name]()
    assert verify(vendors.scheme(name), made, keys(preset(name).key["algorithm"])).key_id == KEY_ID


@pytest.mark.parametrize("name", [name for name in SIGNED if name not in BODILESS])
def test_and_not_with_another_body(name: str) -> None:
    made = SIGNED[name]()
    other = made._replace(body=made.body.replace(b"2", b"7", 1))
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme(name), other, keys(preset(name).key["algorithm"]))
    assert caught.value.reason in {Reason.SIGNATURE_MISMATCH, Reason.SIGNATURE_FUTURE}


def test_every_preset_is_checked_by_somebody_elses_program() -> None:
    published = {name for name in vendors.NAMES if preset(name).checked}
    by_pyjwt = {"betsy", "uk-open-banking"}
    assert published | by_pyjwt | set(SIGNED) == set(vendors.NAMES)
