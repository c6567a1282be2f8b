"""Strict reading of what JOSE is made of: one spelling for every value, one meaning for every object."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from math import isfinite
from typing import Never


def decode_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2); raises ValueError for any spelling but the canonical one.

    Python skips characters outside the alphabet and drops stray bits, so that one value would have many spellings:
    only text that comes out again when it is encoded is taken.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = None
    if raw is None or encode_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw


def encode_base64url(raw: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def read_object(raw: bytes) -> dict[str, object]:
    """Read a JSON object as I-JSON wants it (RFC 7493 section 2).

    Raises ValueError, with a message that shows none of the values, for anything but UTF-8 without a byte order
    mark, duplicate members at any depth, NaN, Infinity, numbers beyond a double, and strings with half a surrogate
    pair, which could be written nowhere again.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    try:
        value = json.loads(
            text, object_pairs_hook=unique_members, parse_constant=refuse_constant, parse_float=_finite_number
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeEncodeError:
        raise ValueError("a string holds half a surrogate pair (RFC 7493 2.1)") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a fault of the text
    return value


def unique_members[V](pairs: list[tuple[str, V]]) -> dict[str, V]:
    """Make an object of its members. Raises ValueError where one stands twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice in one object (RFC 7493 2.3)")
    return members


def refuse_constant(constant: str) -> Never:
    """Refuse NaN and Infinity, which Python reads."""
    raise ValueError(f"{constant} is not JSON")


def _finite_number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number is beyond the range of a double (RFC 7493 2.2)")
    return number
