"""AWS's own test suite for Signature Version 4."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing.sigv4 import SigV4Scheme
from tests.vendors import Request, request, verify, with_field

SUITE = json.loads((Path(__file__).parent / "sigv4.json").read_text())
SCHEME = SigV4Scheme("aws", SUITE["region"], SUITE["service"])
KEY = SigningKey(SUITE["key_id"], "hmac-sha256", Secret(SUITE["secret"].encode()))
NOW = Instant(SUITE["now"])


def made(case: Mapping[str, Any]) -> Request:
    scope = f"{SUITE['time'][:8]}/{SUITE['region']}/{SUITE['service']}/aws4_request"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={SUITE['key_id']}/{scope}, SignedHeaders={case['names']}, "
        f"Signature={case['signature']}"
    )
    fields = {"x-amz-date": SUITE["time"], "authorization": authorization, **case.get("fields", {})}
    plain = request(case["method"], case["target"], fields, case.get("body", "").encode())
    head = with_field(plain, "host", "example.amazonaws.com").head
    return Request(head._replace(authority="example.amazonaws.com", host="example.amazonaws.com"), plain.body)


@pytest.mark.parametrize("case", SUITE["cases"], ids=lambda case: case["comment"])
def test_the_suite(case: Mapping[str, Any]) -> None:
    assert verify(SCHEME, made(case), {KEY.id: KEY}, NOW).created == NOW
    other = made({**case, "method": "PUT"})
    with pytest.raises(Denied) as caught:
        verify(SCHEME, other, {KEY.id: KEY}, NOW)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH
