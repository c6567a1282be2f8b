"""Certificates as somebody would craft them who wants the reader to suffer: DER by hand, signed by nobody."""

import base64
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.pki.der import integer, wrapped
from tests.engine import pki

RSA, RSA_PSS = "2a864886f70d010101", "2a864886f70d01010a"
EC, DSA, ED25519, X25519 = "2a8648ce3d0201", "2a8648ce380401", "2b6570", "2b656e"
P256, P224, SECT571 = "2a8648ce3d030107", "2b81040021", "2b81040027"
ECDSA_SHA256 = "2a8648ce3d040302"
TWO_ADIC = 3 * 2**201 + 1
"""A prime by which a square root takes long: it is one more than a multiple of a great power of two."""


def sequence(*parts: bytes) -> bytes:
    return wrapped(0x30, b"".join(parts))


def number(value: int) -> bytes:
    return wrapped(0x02, integer(value))


def identifier(octets: str) -> bytes:
    return wrapped(0x06, bytes.fromhex(octets))


def bits(octets: bytes) -> bytes:
    return wrapped(0x03, b"\0" + octets)


def key(kind: str, parameters: bytes = b"", point: bytes = b"\x04" + bytes(64)) -> bytes:
    """Give a SubjectPublicKeyInfo."""
    return sequence(sequence(identifier(kind), parameters), bits(point))


def rsa(size: int = 2_048, exponent: int = 65_537, kind: str = RSA) -> bytes:
    return key(kind, b"\x05\x00", sequence(number((1 << size) - 1), number(exponent)))


def curve(name: str) -> bytes:
    return key(EC, identifier(name))


def spelt_out() -> bytes:
    """Give a key on a curve that is spelt out, whose points are given by one coordinate: the other costs a root."""
    octets = (TWO_ADIC.bit_length() + 7) // 8
    x, y = 5, 7
    b = (y * y - x**3 - x) % TWO_ADIC
    point = b"\x03" + x.to_bytes(octets)
    field = sequence(identifier("2a8648ce3d0101"), number(TWO_ADIC))
    coefficients = sequence(wrapped(0x04, (1).to_bytes(octets)), wrapped(0x04, b.to_bytes(octets)))
    return key(EC, sequence(number(1), field, coefficients, wrapped(0x04, point), number(TWO_ADIC)), point)


def certificate(info: bytes, *, extra: int = 0) -> bytes:
    """Give a certificate with this key, and so many bytes of extensions beside."""
    name = sequence(wrapped(0x31, sequence(identifier("550403"), wrapped(0x0C, b"nobody"))))
    algorithm = sequence(identifier(ECDSA_SHA256))
    validity = sequence(wrapped(0x17, b"260101000000Z"), wrapped(0x17, b"280101000000Z"))
    extension = sequence(identifier("2a0304"), wrapped(0x04, bytes(extra)))
    signed = sequence(
        wrapped(0xA0, number(2)), number(7), algorithm, name, validity, name, info, wrapped(0xA3, sequence(extension))
    )
    return sequence(signed, algorithm, bits(sequence(number(3), number(5))))


def message(*certificates: bytes, with_context: bool = True) -> bytes:
    """Give the body of a Certificate message."""
    after = b"\0\0" if with_context else b""
    entries = b"".join(len(der).to_bytes(3) + der + after for der in certificates)
    return (b"\0" if with_context else b"") + len(entries).to_bytes(3) + entries


def client(directory: Path, *along: bytes, first: bytes | None = None) -> ssl.SSLContext:
    """Give a client that sends certificates along with a partner's own, or behind `first`, which has its key."""
    own = (directory / "partner.pem").read_text()
    if first is not None:
        private = pki.pki().clients["partner"].key
        own = ssl.DER_cert_to_PEM_cert(first)
        own += private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    pem = "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n" for der in along
    )
    (directory / "offer.pem").write_text(own + pem)
    context = ssl.create_default_context(cafile=str(directory / "operator-ca.pem"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # of its own certificates too
    context.load_cert_chain(directory / "offer.pem")
    return context


def good_key() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1()).public_key()
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
