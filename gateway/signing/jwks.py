"""JSON Web Key Sets (RFC 7517): the public keys that an issuer's tokens are verified with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from jwt import get_algorithm_by_name

from gateway.signing.ed25519 import load_public_key
from gateway.signing.jose import decode_base64url, read_object

type PublicKey = RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey

MAX_BYTES = 262_144
"""Bytes of a key set: room for MAX_KEYS keys with their certificate chains, and for nothing else."""

MAX_KEYS = 64
"""Issuers publish two to ten keys; a set of hundreds is a mistake."""

RSA_BITS = range(2048, 8193)
"""Bits of an RSA modulus: below it is breakable (NIST SP 800-131A), above it every token costs milliseconds."""

RSA_EXPONENTS = range(65_537, 2**64)
"""FIPS 186-5 wants more than 2^16; OpenSSL verifies with no more than 64 bits under a large modulus."""

_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_EDDSA_ALGORITHMS = frozenset({"EdDSA", "Ed25519"})  # RFC 8037, and its fully specified name (RFC 9864)
_CURVES: Mapping[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}

ALGORITHMS = _RSA_ALGORITHMS | _EDDSA_ALGORITHMS | {algorithm for _, algorithm in _CURVES.values()}
"""Every algorithm a token may be signed with (RFC 7518 3.1, RFC 8037 3.1): asymmetric ones only."""

_VERIFIERS = {name: get_algorithm_by_name("EdDSA" if name == "Ed25519" else name) for name in ALGORITHMS}

_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Private and symmetric key material (RFC 7518 6.2.2, 6.3.2, 6.4): a set that holds any has leaked it."""


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """A public key, and the algorithms it may be used with."""

    kid: str
    algorithms: frozenset[str]
    public: PublicKey

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is the key's over `message`.

        An algorithm that the key is not for is the caller's fault: ValueError.
        """
        if algorithm not in self.algorithms:
            raise ValueError(f"key {self.kid!r} is not for {algorithm}")
        return bool(_VERIFIERS[algorithm].verify(message, self.public, signature))


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """An issuer's keys by their kid. Two sets are never equal: what one verified, another one has not."""

    keys: Mapping[str, VerificationKey]
    skipped: tuple[str, ...] = ()
    """Keys left out because no token can be verified with them: which, and why."""
    twins: Mapping[str, tuple[VerificationKey, ...]] = MappingProxyType({})
    """Further keys of a kid, each for other algorithms."""

    def find(self, kid: str, algorithm: str) -> VerificationKey | None:
        """Give the key of a kid: the one for the algorithm, where there is one."""
        key = self.keys.get(kid)
        if key is None or algorithm in key.algorithms:
            return key
        return next((twin for twin in self.twins.get(kid, ()) if algorithm in twin.algorithms), key)

    @property
    def every(self) -> tuple[VerificationKey, ...]:
        """All keys."""
        return (*self.keys.values(), *(twin for twins in self.twins.values() for twin in twins))

    @staticmethod
    def load(text: bytes, *, lenient: bool = False) -> "KeySet":
        """Read a key set strictly.

        1. the text is one JSON object of bounded size, without duplicate members
        2. no key holds private or symmetric material
        3. keys for encryption, and of types and curves that no algorithm here uses, are skipped (RFC 7517 5)
        4. every other key is for verifying, names itself by a kid, and is strong and well formed; keys share a kid only
           where type or alg tell which one is meant (FAPI 2.0 wants that handled)
        5. at least one key is left

        `lenient` skips keys that break rule 4, as RFC 7517 5 recommends for what others publish: one odd key of an
        issuer must not lock out everybody. Of two keys that cannot be told apart none is taken.

        Raises ValueError with a message that says which key is wrong and how, and shows no key material.
        """
        if len(text) > MAX_BYTES:
            raise ValueError(f"a key set of {len(text)} bytes; at most {MAX_BYTES} are read")
        listed = read_object(text).get("keys")
        if not isinstance(listed, list):
            raise ValueError("no list `keys`, which makes an object a key set (RFC 7517 5)")  # noqa: TRY004 - a fault of the text
        if len(listed) > MAX_KEYS:
            raise ValueError(f"{len(listed)} keys; at most {MAX_KEYS} are read")
        reading = _Reading(lenient=lenient)
        for index, member in enumerate(listed):
            reading.take(_place(index, member), member)
        return reading.done()


class _Reading:
    """A key set while it is read."""

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self._keys: dict[str, list[VerificationKey]] = {}
        self._skipped: list[str] = []
        self._unclear: set[str] = set()

    def take(self, place: str, member: object) -> None:
        """Take one key in. Raises ValueError."""
        try:
            key = _read_key(member)
        except _Skipped as reason:
            self._skipped.append(f"{place}: {reason}")
        except _LeakedError as error:
            raise ValueError(f"{place}: {error}") from None
        except ValueError as error:
            self._object(f"{place}: {error}")
        else:
            rivals = self._keys.setdefault(key.kid, [])
            if any(rival.algorithms & key.algorithms for rival in rivals):
                self._unclear.add(key.kid)
                self._object(f"{place}: another key has the same kid; give each its own")
            rivals.append(key)

    def _object(self, problem: str) -> None:
        if not self._lenient:
            raise ValueError(problem)
        self._skipped.append(problem)

    def done(self) -> KeySet:
        """Give the key set. Raises ValueError where no key is left."""
        found = {kid: keys for kid, keys in self._keys.items() if keys and kid not in self._unclear}
        if not found:
            raise ValueError("no key that a token could be verified with: publish one with `use: sig`")
        first = {kid: keys[0] for kid, keys in found.items()}
        twins = {kid: tuple(keys[1:]) for kid, keys in found.items() if len(keys) > 1}
        return KeySet(MappingProxyType(first), tuple(self._skipped), MappingProxyType(twins))


class _LeakedError(ValueError):
    """A set that holds this has made a secret public."""


class _Skipped(Exception):  # noqa: N818 - not an error
    """The key is of no use here, and does no harm."""


def _place(index: int, member: object) -> str:
    kid = member.get("kid") if isinstance(member, dict) else None
    return f"keys[{index}]" + (f" (kid {kid[:64]!r})" if isinstance(kid, str) else "")


def read_public_key(jwk: dict[str, object]) -> VerificationKey:
    """Read one public key (RFC 7517), as strictly as those of a set; it needs no kid. Raises ValueError."""
    try:
        return _read_key({"kid": "-", **jwk})
    except _Skipped as reason:
        raise ValueError(str(reason)) from None


def _read_key(member: object) -> VerificationKey:
    if not isinstance(member, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a fault of the text
    jwk = cast("dict[str, object]", member)
    kind = _text(jwk, "kty")
    secrets = sorted(_SECRET_MEMBERS & jwk.keys())
    if kind == "oct" or secrets:
        what = "a symmetric key" if kind == "oct" else f"private key material ({', '.join(secrets)})"
        raise _LeakedError(f"holds {what}: replace the key, for it has leaked, and publish public keys only")
    if jwk.get("use") == "enc":
        raise _Skipped("its use is enc")
    reader = _READERS.get(kind)
    if reader is None:
        raise _Skipped(f"its kty is {kind[:32]!r}")
    public, algorithms = reader(jwk)
    if jwk.get("use", "sig") != "sig":
        raise ValueError("use is neither sig nor enc (RFC 7517 4.2)")
    if jwk.get("key_ops", ["verify"]) != ["verify"]:
        raise ValueError('key_ops is not ["verify"] (RFC 7517 4.3)')
    if "alg" in jwk:
        algorithms &= {_text(jwk, "alg")}
        if not algorithms:
            raise ValueError("alg does not fit the key, or is not one that tokens may be signed with")
    return VerificationKey(_text(jwk, "kid"), algorithms, public)


def _read_rsa(jwk: dict[str, object]) -> tuple[PublicKey, frozenset[str]]:
    modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
    if modulus.bit_length() not in RSA_BITS:
        limits = f"{RSA_BITS.start} to {RSA_BITS.stop - 1}"
        raise ValueError(f"an RSA key of {modulus.bit_length()} bits; {limits} are taken")
    if exponent not in RSA_EXPONENTS or exponent % 2 == 0 or modulus % 2 == 0:
        raise ValueError("RSA exponent or modulus is even, or the exponent is not between 65537 and 2^64")
    return _built(RSAPublicNumbers(exponent, modulus).public_key), _RSA_ALGORITHMS


def _read_ec(jwk: dict[str, object]) -> tuple[PublicKey, frozenset[str]]:
    name = _text(jwk, "crv")
    if name not in _CURVES:
        raise _Skipped(f"its curve is {name[:32]!r}")
    curve, algorithm = _CURVES[name]
    size = (curve.key_size + 7) // 8
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    if len(x) != size or len(y) != size:
        raise ValueError(f"x and y of {name} are {size} octets each, leading zeros included (RFC 7518 6.2.1.2)")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
    return _built(numbers.public_key), frozenset({algorithm})


def _read_okp(jwk: dict[str, object]) -> tuple[PublicKey, frozenset[str]]:
    name = _text(jwk, "crv")
    if name != "Ed25519":
        raise _Skipped(f"its curve is {name[:32]!r}")
    return load_public_key(_octets(jwk, "x")), _EDDSA_ALGORITHMS


_READERS: Mapping[str, Callable[[dict[str, object]], tuple[PublicKey, frozenset[str]]]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
}


def _built(build: Callable[[], PublicKey]) -> PublicKey:
    try:
        return build()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the numbers are no public key of that type") from None


def _text(jwk: dict[str, object], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing, empty or not a string")
    return value


def _octets(jwk: dict[str, object], name: str) -> bytes:
    try:
        return decode_base64url(_text(jwk, name))
    except ValueError:
        raise ValueError(f"{name} is missing or not base64url without padding (RFC 7518 2)") from None


def _number(jwk: dict[str, object], name: str) -> int:
    octets = _octets(jwk, name)
    if octets.startswith(b"\0"):
        raise ValueError(f"{name} starts with a zero octet: leave it out (RFC 7518 2)")
    return int.from_bytes(octets)
