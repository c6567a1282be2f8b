"""Ed25519 public keys (RFC 8032), checked before they are trusted."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P
_Y_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_LOW_ORDER = frozenset({0, 1, _P - 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})
"""The y coordinates of the eight points whose order divides 8."""


def load_public_key(octets: bytes) -> Ed25519PublicKey:
    """Load a public key of 32 octets.

    OpenSSL takes any 32 octets. Under a point of low order it verifies signatures that nobody made, so such keys
    are refused, as are non-canonical encodings and what is no point of the curve (RFC 8032 5.1.3): ValueError.
    """
    if len(octets) != 32:
        raise ValueError("an Ed25519 public key has 32 octets (RFC 8032 5.1.5)")
    y = int.from_bytes(octets, "little") & (1 << 255) - 1
    if y % _P in _LOW_ORDER:
        raise ValueError("an Ed25519 public key of low order: anybody can sign under it; replace it")
    # x^2 = (y^2 - 1) / (d y^2 + 1) has a root exactly where the product of both is a square (Euler's criterion).
    if y >= _P or pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) != 1:
        raise ValueError("not an Ed25519 public key: no point of the curve has this encoding")
    return Ed25519PublicKey.from_public_bytes(octets)
