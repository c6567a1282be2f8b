"""What a client sends as its certificates, looked at before any library reads it.

Reading a certificate can cost more than all that follows: an elliptic curve that is spelt out, point by point, takes
OpenSSL a quarter of a second in 800 bytes, before it asks who issued it. So the gate reads first, and only what tells
the cost of the rest:

1. the message of RFC 5246 7.4.6 or RFC 8446 4.4.2, with at most MAX_CERTIFICATES
2. of each certificate, its key: only kinds whose use costs a few milliseconds at most
3. what is neither a key nor a signature, all certificates together: names, constraints and whatever else is compared

Only elements with tags and lengths as DER has them are walked, so that OpenSSL cannot read another key there.
"""

from dataclasses import dataclass

from gateway.core.reasons import Denied, Reason

MAX_CERTIFICATES = 8
MAX_KEY_BITS = 8_192
MAX_EXPONENT_BITS = 32
"""Of RSA: 65,537 is what everybody has; the time to verify grows with it."""

MAX_STATED = 8_192
"""Bytes that are neither keys nor signatures: names are compared with constraints, each with each."""

MAX_BYTES = 16_384
"""Of the whole message; whoever has OpenSSL receive it sets that there."""

_INTEGER, _BIT_STRING, _OID, _SEQUENCE, _VERSION = 0x02, 0x03, 0x06, 0x30, 0xA0

_RSA = frozenset({"2a864886f70d010101", "2a864886f70d01010a"})
"""rsaEncryption and RSASSA-PSS."""
_DSA = "2a8648ce380401"
_EC = "2a8648ce3d0201"
_EDWARDS = frozenset({"2b6570", "2b6571"})
"""Ed25519 and Ed448."""

_CURVES = frozenset({
    "2a8648ce3d030107", "2b81040022", "2b81040023",  # P-256, P-384, P-521
    "2b2403030208010107", "2b240303020801010b", "2b240303020801010d",  # Brainpool P256r1, P384r1, P512r1
})  # fmt: skip
_SMALL_CURVES = frozenset({"2a8648ce3d030101", "2b81040021"})
"""P-192 and P-224."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an offer will have others do."""

    certificates: int = 0
    stated: int = 0
    """Bytes beside keys and signatures."""


def examine(message: bytes, *, with_context: bool) -> Cost:
    """Look at the body of a Certificate message; `with_context`: as TLS 1.3 has it.

    Raises Denied(TLS_CERTIFICATE_COSTLY), (TLS_CERTIFICATE_WEAK) for keys that would be refused later anyhow, and
    (TLS_CERTIFICATE_INVALID) where it cannot be read.
    """
    try:
        offered = _offered(message, with_context=with_context)
        if len(offered) > MAX_CERTIFICATES:
            raise _costly(f"{len(offered)} certificates, at most {MAX_CERTIFICATES} are taken")
        stated = sum(map(_stated, offered))
    except (ValueError, IndexError) as error:
        raise Denied(Reason.TLS_CERTIFICATE_INVALID, f"cannot be read: {error}") from None
    if stated > MAX_STATED:
        raise _costly(f"{stated:,} bytes of names and extensions, at most {MAX_STATED:,} are taken")
    return Cost(len(offered), stated)


def check_key(info: bytes) -> None:
    """Look at a SubjectPublicKeyInfo. Raises Denied as `examine`, and ValueError where it cannot be read."""
    start, _ = _element(info, 0, _SEQUENCE)
    algorithm, key = _element(info, start, _SEQUENCE)
    kind, parameters = _element(info, algorithm, _OID)
    name = info[kind:parameters].hex()
    if name in _RSA:
        _check_rsa(info, key)
    elif name == _EC:
        _check_curve(info[parameters:key])
    elif name == _DSA:
        raise Denied(Reason.TLS_CERTIFICATE_WEAK, "DSA is no longer taken")
    elif name not in _EDWARDS:
        raise _costly("a key that is neither RSA, nor of a curve that is taken")


def _offered(message: bytes, *, with_context: bool) -> list[bytes]:
    at = 1 + message[0] if with_context else 0
    end = at + 3 + int.from_bytes(message[at : at + 3])
    if end != len(message):
        raise ValueError("the list has another length than it says")
    at += 3
    found = []
    while at < end:
        last = at + 3 + int.from_bytes(message[at : at + 3])
        found.append(message[at + 3 : last])
        at = last
        if with_context:
            at += 2 + int.from_bytes(message[at : at + 2])
    if at != end:
        raise ValueError("a certificate ends beyond the list")
    return found


def _stated(der: bytes) -> int:
    """Look at a certificate's key; gives the bytes beside it and the signature."""
    outer, end = _element(der, 0, _SEQUENCE)
    at, signed = _element(der, outer, _SEQUENCE)
    if der[at] == _VERSION:
        _, at = _element(der, at, _VERSION)
    _, at = _element(der, at, _INTEGER)
    for _ in ("signature", "issuer", "validity", "subject"):
        _, at = _element(der, at, _SEQUENCE)
    _, after = _element(der, at, _SEQUENCE)
    check_key(der[at:after])
    _, algorithm = _element(der, signed, _SEQUENCE)
    signature, last = _element(der, algorithm, _BIT_STRING)
    if last != end or end != len(der):
        raise ValueError("goes on behind its signature")
    return len(der) - (after - at) - (last - signature)


def _check_rsa(info: bytes, at: int) -> None:
    bits, _ = _element(info, at, _BIT_STRING)
    numbers, _ = _element(info, bits + 1, _SEQUENCE)
    modulus, after = _element(info, numbers, _INTEGER)
    exponent, end = _element(info, after, _INTEGER)
    if int.from_bytes(info[modulus:after]).bit_length() > MAX_KEY_BITS:
        raise _costly(f"an RSA key of more than {MAX_KEY_BITS:,} bits")
    if int.from_bytes(info[exponent:end]).bit_length() > MAX_EXPONENT_BITS:
        raise _costly(f"an RSA key with an exponent of more than {MAX_EXPONENT_BITS} bits")


def _check_curve(parameters: bytes) -> None:
    if parameters[:1] != bytes((_OID,)):
        raise _costly("an elliptic curve that is spelt out rather than named")
    start, end = _element(parameters, 0, _OID)
    name = parameters[start:end].hex()
    if name in _SMALL_CURVES:
        raise Denied(Reason.TLS_CERTIFICATE_WEAK, "a curve below 256 bits")
    if name not in _CURVES or end != len(parameters):
        raise _costly("an elliptic curve that is not taken")


def _element(der: bytes, start: int, tag: int) -> tuple[int, int]:
    """Give where the contents of the element at `start` begin, and where it ends. Raises ValueError, IndexError."""
    if der[start] != tag:
        raise ValueError(f"no element {tag:#x} at octet {start}")
    length, contents = der[start + 1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4:
            raise ValueError(f"no definite length at octet {start}")
        length = int.from_bytes(der[contents : contents + octets])
        contents += octets
    if contents + length > len(der):
        raise ValueError(f"element at octet {start} ends beyond the whole")
    return contents, contents + length


def _costly(detail: str) -> Denied:
    return Denied(Reason.TLS_CERTIFICATE_COSTLY, detail)
