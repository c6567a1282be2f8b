"""What came in, in the words of RFC 9110 and RFC 5280: untrusted facts, frozen when they were read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from math import inf
from types import MappingProxyType
from typing import NamedTuple, NewType

from gateway.core.reasons import Denied, Reason

type Address = IPv4Address | IPv6Address

Instant = NewType("Instant", float)
"""A point in time: seconds since 1970-01-01T00:00:00Z, leap seconds not counted."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The client certificate whose chain OpenSSL accepted in the handshake.

    Its chain and purpose are verified; which partner it stands for is not decided yet.
    """

    fingerprint: str
    """SHA-256 of the DER encoding, lower-case hex."""
    public_key_fingerprint: str
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex (RFC 7469 calls it the SPKI pin)."""
    subject: str
    """Distinguished name in the form of RFC 4514."""
    issuer: str
    serial: str
    """Serial number in lower-case hex."""
    not_before: Instant
    not_after: Instant
    """Earliest end of validity in the verified chain, so that an expired issuer counts too."""
    san_dns: tuple[str, ...] = ()
    san_uri: tuple[str, ...] = ()
    san_email: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    """SHA-256 of the SubjectPublicKeyInfo of each issuer in the verified chain, the nearest first."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Facts of the handshake that carried the request."""

    version: str
    """As OpenSSL names it: `TLSv1.3`."""
    cipher: str
    server_name: str | None
    """The name the client asked for (SNI, unverified)."""
    alpn: str | None
    certificate: Certificate | None


class Standing:
    """Whether a connection may still be used: true of each one when it is admitted, until the engine withdraws it."""

    __slots__ = ("chain", "until", "withdrawn")

    def __init__(self, chain: object = None, until: Instant = Instant(inf)) -> None:
        self.chain = chain
        """The certificate chain that the engine verified; nobody else reads it."""
        self.until = until
        """When it has to be looked at anew."""
        self.withdrawn: tuple[Reason, str] | None = None
        """Why every request of the connection is denied from now on, and the detail."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of the connection."""

    address: Address
    """Address of the TCP peer, or the one its PROXY header named where the listener demands such a header.

    IPv4-mapped IPv6 addresses are stored as IPv4.
    """
    port: int
    listener: str
    """Name of the policy's listener that accepted the connection."""
    tls: Tls | None
    connection_id: str
    standing: Standing = field(default_factory=Standing, compare=False, repr=False)


_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Headers:
    """The header section of a message: field lines in the order received, names in lower case.

    Values are latin-1 text without surrounding white space, so that the bytes received can be had back
    by encoding.
    """

    __slots__ = ("_last", "_repeated", "fields")

    fields: tuple[tuple[str, str], ...]

    def __init__(self, fields: Iterable[tuple[str, str]] = (), values: dict[str, str] | None = None) -> None:
        """Make a section of field lines, or of the `values` of names that stand once each."""
        self.fields = tuple(fields) if values is None else tuple(values.items())
        self._last = dict(self.fields) if values is None else values
        """The last value of each name: the only one, but for the names in `_repeated`."""
        self._repeated = _NOTHING if len(self._last) == len(self.fields) else _repeated(self.fields)

    def __contains__(self, name: object) -> bool:
        return name in self._last

    def __repr__(self) -> str:
        """Names only: values may hold tokens and signatures."""
        return f"Headers({', '.join(name for name, _ in self.fields)})"

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of the field `name` (lower case), in order; empty where it is absent."""
        value = self._last.get(name)
        return () if value is None else self._repeated.get(name) or (value,)

    def single(self, name: str) -> str | None:
        """Give the value of a field that may stand only once; None where it is absent.

        Raises Denied(FIELD_REPEATED) where it stands more than once: whose reading would count?
        """
        if name in self._repeated:
            raise Denied(Reason.FIELD_REPEATED, f"{name} stands {len(self._repeated[name])} times")
        return self._last.get(name)


def _repeated(fields: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for name, value in fields:
        values[name] = (*values.get(name, ()), value)
    return {name: several for name, several in values.items() if len(several) > 1}


class RequestHead(NamedTuple):
    """The control data and header section of a request, strictly read (`gateway.core.syntax` makes these)."""

    method: str
    target: str
    """The request target in origin form exactly as received: path and query, percent-encoding untouched."""
    path: str
    query: str | None
    """The part after the first `?`; None where there is none."""
    version: str
    """`1.1` or `2`."""
    authority: str
    """Host and port as received in Host or :authority."""
    host: str
    """The host alone in lower case, brackets of an IPv6 literal kept."""
    headers: Headers
    content_length: int | None
    """Length of the body in bytes as declared; None where it was not declared."""
    has_body: bool
    """Whether a body follows the head."""
    trailers: Headers | None = None
    """What came behind the body, once that is read and where a signature covers it; not forwarded."""

    def __repr__(self) -> str:
        """Without query and values: they may hold personal data."""
        return f"RequestHead({self.method} {self.path} HTTP/{self.version}, {self.headers!r})"
