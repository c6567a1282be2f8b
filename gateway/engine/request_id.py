"""Ids of requests."""

import os

_AT_ONCE = 64

_VERSION = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))
"""For `bytes.translate`: the bits that RFC 9562 4.1 and 5.4 set."""

_ready: list[str] = []


def new_request_id() -> str:
    """Make a random UUID (RFC 9562, version 4) as text; the kernel is asked for the bits of many at once."""
    if not _ready:
        _make()
    return _ready.pop()


def _make() -> None:
    bits = bytearray(os.urandom(16 * _AT_ONCE))
    bits[6::16] = bits[6::16].translate(_VERSION)
    bits[8::16] = bits[8::16].translate(_VARIANT)
    digits = bits.hex()
    for at in range(0, len(digits), 32):
        one = digits[at : at + 32]
        _ready.append(f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)
