"""Strict reading and writing of what stands in signature fields: hex, base64, and points in time.

Every value has one spelling, save that hex may come in either case. What is lenient elsewhere (white space in hex,
missing padding, left-over bits, leading zeros, signs, digits of other scripts) raises ValueError here.
"""

import binascii
import re
from datetime import UTC, datetime
from typing import Literal

from gateway.core.message import Instant
from gateway.signing.jose import decode_base64url, encode_base64url

type Encoding = Literal["hex", "hex-upper", "base64", "base64url"]
type TimestampFormat = Literal["unix", "unix-ms", "rfc3339"]

_DIGITS = {"unix": 10, "unix-ms": 13}
"""Fixed lengths, so that a timestamp cannot run into its neighbour: 2001-09-09 to 2286-11-20."""

_RFC3339 = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
"""RFC 3339 5.6 in upper case and without leap seconds, which an Instant does not count."""


def encoded_length(size: int, encoding: Encoding) -> int:
    """Give the number of characters that `size` bytes take."""
    if encoding == "base64url":
        return -(-size * 4 // 3)
    return 4 * -(-size // 3) if encoding == "base64" else 2 * size


def encode(raw: bytes, encoding: Encoding) -> str:
    """Write bytes as hex, as base64 with padding (RFC 4648 4), or as base64url without (RFC 7515 2)."""
    if encoding == "base64":
        return binascii.b2a_base64(raw, newline=False).decode("ascii")
    if encoding == "base64url":
        return encode_base64url(raw)
    return raw.hex() if encoding == "hex" else raw.hex().upper()


def decode(text: str, encoding: Encoding) -> bytes:
    """Read hex in either case, or base64 or base64url in its one spelling. Raises ValueError."""
    if encoding == "base64url":
        return decode_base64url(text)
    if encoding != "base64":
        return binascii.a2b_hex(text)
    raw = binascii.a2b_base64(text, strict_mode=True)
    if binascii.b2a_base64(raw, newline=False).decode("ascii") != text:
        raise ValueError("base64 with bits left over")
    return raw


def read_timestamp(text: str, form: TimestampFormat) -> Instant:
    """Read a point in time. Raises ValueError, saying what was expected."""
    if form == "rfc3339":
        if not _RFC3339.fullmatch(text):
            raise ValueError("expected an RFC 3339 time such as 2026-11-22T10:00:00Z")
        try:
            return Instant(datetime.fromisoformat(text).timestamp())
        except (ValueError, OverflowError):
            raise ValueError("expected an RFC 3339 time with a date that exists") from None
    digits = _DIGITS[form]
    if len(text) != digits or not text.isascii() or not text.isdigit() or text[0] == "0":
        raise ValueError(f"expected {form} as {digits} digits, got {len(text)} characters")
    return Instant(float(text) if form == "unix" else int(text) / 1000)


def write_timestamp(at: Instant, form: TimestampFormat) -> str:
    """Write a point in time, cut to the form's precision (whole seconds for RFC 3339)."""
    if form == "rfc3339":
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(int(at) if form == "unix" else int(at * 1000))
