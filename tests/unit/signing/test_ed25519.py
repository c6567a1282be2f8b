from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.signing.ed25519 import load_public_key
from tests import world

P = 2**255 - 19
SQUARE_ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
PRIME_ORDER = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
D = -121_665 * pow(121_666, -1, P) % P

type Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """Add two points of the curve (RFC 8032 5.1.4, in affine coordinates)."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def times(number: int, point: Point) -> Point:
    total: Point = (0, 1)
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def point_at(y: int) -> Point | None:
    """Give a point with this y (RFC 8032 5.1.3); None where there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    roots = (root, root * SQUARE_ROOT_OF_MINUS_1 % P)
    return next(((x, y) for x in roots if x * x % P == square), None)


@cache
def points_of_low_order() -> tuple[Point, ...]:
    """Compute them: the prime order times any point has an order that divides 8, and one of order 8 gives all."""
    multiples = (times(PRIME_ORDER, point) for y in range(2, 200) if (point := point_at(y)))
    generator = next(point for point in multiples if times(4, point) != (0, 1))
    return tuple(times(number, generator) for number in range(8))


def on_curve(point: Point) -> bool:
    x, y = point
    return (y * y - x * x - 1 - D * x * x * y * y) % P == 0


def encodings(point: Point) -> list[bytes]:
    """Every encoding that masks to the point's y: both signs, and y + p where it fits 255 bits."""
    _, y = point
    ys = [y] if y + P >= 2**255 else [y, y + P]
    return [(value | sign << 255).to_bytes(32, "little") for value in ys for sign in (0, 1)]


def test_a_key_is_loaded() -> None:
    public = world.private_key("Ed25519").public_key()
    assert isinstance(public, Ed25519PublicKey)
    assert load_public_key(public.public_bytes_raw()) == public


def test_the_points_of_low_order_are_eight() -> None:
    points = points_of_low_order()
    assert len(set(points)) == 8
    assert all(on_curve(point) for point in points)


@pytest.mark.parametrize("octets", sorted({encoded for point in points_of_low_order() for encoded in encodings(point)}))
def test_a_key_of_low_order_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match="low order"):
        load_public_key(octets)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        load_public_key(b"\x09" * size)


def test_what_is_no_point_is_refused() -> None:
    assert point_at(2) is None
    with pytest.raises(ValueError, match="no point"):
        load_public_key((2).to_bytes(32, "little"))


def test_a_y_beyond_the_field_is_refused() -> None:
    assert point_at(3)
    assert load_public_key((3).to_bytes(32, "little"))
    with pytest.raises(ValueError, match="no point"):
        load_public_key((3 + P).to_bytes(32, "little"))
