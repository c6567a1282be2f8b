"""Ids of requests."""

import os

_AT_ONCE = 64

_random_digits: list[str] = []


def new_request_id() -> str:
    """Make a random UUID (RFC 9562, version 4) as text; the kernel is asked for the bits of many at once."""
    if not _random_digits:
        digits = os.urandom(16 * _AT_ONCE).hex()
        _random_digits.extend([digits[place : place + 32] for place in range(0, len(digits), 32)])
    digits = _random_digits.pop()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random_digits.clear)
