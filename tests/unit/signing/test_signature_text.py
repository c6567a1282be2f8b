from base64 import b64encode

import pytest

from gateway.core.reasons import Denied, Reason
from gateway.signing.algorithms import raw_to_der
from gateway.signing.signature_text import MAX_SIGNATURES, SignatureText


def refused(read: SignatureText, text: str) -> str:
    with pytest.raises(Denied) as caught:
        read.read(text, "x-sign")
    assert caught.value.reason is Reason.SIGNATURE_MALFORMED
    return caught.value.detail


def test_a_signature_of_fixed_length() -> None:
    read = SignatureText("hmac-sha256", "hex")
    assert read.read("ab" * 32, "x-sign") == bytes.fromhex("ab" * 32)
    assert refused(read, "ab" * 31) == "x-sign has 62 characters, expected 64 characters of hex"
    assert refused(read, "zz" * 32) == "x-sign is not hex"


def test_the_length_of_an_rsa_signature_is_its_keys() -> None:
    read = SignatureText("rsa-v1_5-sha256", "base64")
    assert read.read(b64encode(bytes(256)).decode(), "x-sign") == bytes(256)
    assert read.read(b64encode(bytes(1_024)).decode(), "x-sign") == bytes(1_024)
    assert "expected up to 1368 of base64" in refused(read, b64encode(bytes(1_027)).decode())
    assert "has 0 characters" in refused(read, "")


def test_ecdsa_in_der() -> None:
    raw = bytes(range(1, 65))
    read = SignatureText("ecdsa-p256-sha256", "hex", der=True)
    assert read.read(raw_to_der(raw).hex(), "x-sign") == raw
    for other in (raw.hex(), raw_to_der(raw).hex() + "00", raw_to_der(b"\xff" * 33 + b"\x01" * 33).hex(), "3000"):
        assert refused(read, other) == "x-sign is no signature in DER"


def test_several_signatures_are_bounded() -> None:
    read = SignatureText("hmac-md5", "hex")
    assert read.read_several(["00" * 16] * MAX_SIGNATURES, "x-sign") == [bytes(16)] * MAX_SIGNATURES
    with pytest.raises(Denied, match="9 signatures, at most 8"):
        read.read_several(["00" * 16] * (MAX_SIGNATURES + 1), "x-sign")
