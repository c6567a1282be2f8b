"""The partners' own signatures, by hand-computed values."""

import hashlib
import hmac

from gateway.demo.signing import Stamp, sign_oldreels, sign_wallet

SECRET = b"0123456789abcdef0123456789abcdef"
STAMP = Stamp("acme-2026-11", 1_795_348_800, "n-1")


def expected(text: bytes) -> str:
    return hmac.new(SECRET, text, hashlib.sha256).hexdigest()


def test_wallet_signs_method_target_timestamp_nonce_and_body() -> None:
    fields = sign_wallet(SECRET, STAMP, "POST", "/psp/v1/deposits?x=1", b'{"a":1}')
    assert fields == {
        "X-Key-Id": "acme-2026-11",
        "X-Timestamp": "1795348800",
        "X-Nonce": "n-1",
        "X-Signature": expected(b'POST\n/psp/v1/deposits?x=1\n1795348800\nn-1\n{"a":1}'),
    }


def test_oldreels_signs_without_a_nonce() -> None:
    fields = sign_oldreels(SECRET, STAMP, "POST", "/casino/v1/oldreels/debit", b'{"a":1}')
    assert fields == {
        "X-Client-Key": "acme-2026-11",
        "X-Client-TS": "1795348800",
        "X-Client-Signature": expected(b'1795348800\nPOST\n/casino/v1/oldreels/debit\n{"a":1}'),
    }


def test_a_body_that_is_no_text_is_signed_as_it_is() -> None:
    fields = sign_wallet(SECRET, STAMP, "POST", "/", b"\xff\x00")
    assert fields["X-Signature"] == expected(b"POST\n/\n1795348800\nn-1\n\xff\x00")
