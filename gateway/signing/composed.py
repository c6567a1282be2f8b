"""Signature schemes composed in a policy: which parts are signed by HMAC, and which fields carry what.

Whatever a request presents is bounded and read strictly before any work is done with it. A check comes in three steps,
so that nothing is read of a body before its sender has named a key in force and a time within the window:

1. `read`: every field is there, once, and has its form
2. `admit`: the key is known, made for the algorithm and in force; the timestamp lies within the window
3. `match`: the HMAC over the bytes received is the one presented, compared in constant time

Errors never hold a signature, a secret, or what was signed.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal as Choice
from typing import NamedTuple

from gateway.core.facts import VerifiedSignature
from gateway.core.memo import Bounded
from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing import parts as p
from gateway.signing.assembly import Assembly, value_of
from gateway.signing.encoding import (
    Encoding,
    TimestampFormat,
    decode,
    encode,
    encoded_length,
    read_timestamp,
    write_timestamp,
)
from gateway.signing.layout import Layout
from gateway.signing.own import OwnKey, Signed, with_fields
from gateway.signing.scheme import Known, inactive
from gateway.signing.window import CHALLENGE, Window

type Algorithm = Choice["hmac-sha256", "hmac-sha384", "hmac-sha512"]

HASHES: Mapping[str, tuple[str, int]] = {
    "hmac-sha256": ("sha256", 32),
    "hmac-sha384": ("sha384", 48),
    "hmac-sha512": ("sha512", 64),
}
"""Hash and size of its value in bytes, by algorithm."""

_VISIBLE = re.compile(r"[\x21-\x7e]{1,128}\Z")
"""Key ids and nonces: longer ones identify nothing better, and cost memory and log space."""

_INSTANTS = Bounded[tuple[str, TimestampFormat], Instant](capacity=1_024, size=lambda key: len(key[0]))
"""Timestamps that were read: those of a second are the same."""

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^`|~0-9a-z]+")


class Presented(NamedTuple):
    """What a request presents as its signature: well-formed, unverified."""

    key_id: str | None
    timestamp: str
    created: Instant | None
    nonce: str | None
    signature: bytes

    def __repr__(self) -> str:
        """Without the signature: it opens the door until it is claimed."""
        return f"Presented(key_id={self.key_id!r}, timestamp={self.timestamp!r}, nonce={self.nonce!r})"


@dataclass(frozen=True, slots=True)
class ComposedScheme:
    """A scheme: the parts of the string to sign, and the fields that carry key id, timestamp, nonce and signature.

    Raises ValueError where it would not protect what it names: a timestamp or nonce that is not signed, say.
    """

    name: str
    parts: tuple[p.Part, ...]
    separator: bytes
    algorithm: Algorithm
    encoding: Encoding
    signature_field: str
    signature_prefix: str = ""
    """Text before the signature in its field, `sha256=` for example."""
    key_id_field: str | None = None
    """None: every key in force is tried."""
    timestamp_field: str | None = None
    timestamp_format: TimestampFormat = "unix"
    nonce_field: str | None = None

    needs_body: bool = field(init=False, repr=False, compare=False)
    """Whether the body is signed."""
    carriers: frozenset[str] = field(init=False, repr=False, compare=False)
    """Fields of signature and key id."""
    _assembly: Assembly = field(init=False, repr=False, compare=False)
    _layout: Layout = field(init=False, repr=False, compare=False)
    _signature_length: int = field(init=False, repr=False, compare=False)
    """Characters of the signature in its field, without its prefix."""
    _covered: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Names of the signed fields that a request may lack or repeat."""

    def __post_init__(self) -> None:
        self._check_fields()
        covered = tuple(part.name for part in self.parts if isinstance(part, p.Header) and part.name != "host")
        needs_body = any(isinstance(part, (p.Body, p.BodyDigest)) for part in self.parts)
        object.__setattr__(self, "needs_body", needs_body)
        object.__setattr__(self, "_assembly", Assembly.of(self.parts, self.separator))
        object.__setattr__(self, "_layout", Layout.of(self.parts, self.separator, self.timestamp_format))
        object.__setattr__(self, "_signature_length", encoded_length(HASHES[self.algorithm][1], self.encoding))
        object.__setattr__(self, "_covered", covered)
        carriers = frozenset(name for name in (self.signature_field, self.key_id_field) if name is not None)
        object.__setattr__(self, "carriers", carriers)

    def _check_fields(self) -> None:
        if not any(not isinstance(part, p.Literal) for part in self.parts):
            raise ValueError("nothing of the request is signed: name its parts")
        if self.algorithm not in HASHES:
            raise ValueError(f"algorithm {self.algorithm!r} is none of {', '.join(HASHES)}")
        for what, part, name in (
            ("timestamp", p.Timestamp, self.timestamp_field),
            ("nonce", p.Nonce, self.nonce_field),
        ):
            signed = any(isinstance(one, part) for one in self.parts)
            if name is not None and not signed:
                raise ValueError(f"the {what} of {name} is not signed, so anyone could change it: add it to the parts")
            if name is None and signed:
                raise ValueError(f"the {what} is signed, but no field carries it: name its field")
        own = [self.signature_field, self.key_id_field, self.timestamp_field, self.nonce_field]
        named = [name for name in own if name is not None]
        if len(set(named)) < len(named):
            raise ValueError("key id, timestamp, nonce and signature each need a field of their own")
        for name in (*named, *(part.name for part in self.parts if isinstance(part, p.Header))):
            if not _FIELD_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no field name in lower case")
        if p.Header(self.signature_field) in self.parts:
            raise ValueError("the signature cannot sign itself")

    @property
    def algorithms(self) -> frozenset[str]:
        """The one algorithm of its keys."""
        return frozenset({self.algorithm})

    @property
    def names_key(self) -> bool:
        """Whether a field carries the key's id."""
        return self.key_id_field is not None

    @property
    def dated(self) -> bool:
        """Whether a field carries a timestamp."""
        return self.timestamp_field is not None

    def weaknesses(self) -> tuple[str, ...]:
        """Give what the scheme leaves unprotected, one sentence each with the way to mend it; for the linter."""
        kinds = {type(part) for part in self.parts}
        found = []
        if not self.needs_body:
            found.append("the body is not signed, so it can be changed: add body or body_digest")
        if p.Method not in kinds:
            found.append("the method is not signed, so a request can be turned into another: add method")
        if not kinds & {p.Path, p.Target}:
            found.append("the path is not signed, so a request can be sent to another resource: add path or target")
        if not kinds & {p.Query, p.Target}:
            found.append("the query is not signed, so it can be changed: add query or target")
        if self.timestamp_field is None:
            found.append("there is no timestamp, so a request counts for ever once its replay memory ends: add one")
        if self.nonce_field is None:
            found.append("there is no nonce, so a repeated request cannot be told from a replayed one: add one")
        if self._layout.run_together:
            names = " and ".join(p.label(part) for part in self._layout.run_together)
            found.append(f"nothing stands between {names}, so content can move between them: add a separator")
        return tuple(found)

    def verify(
        self, head: RequestHead, body: bytes, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> VerifiedSignature:
        """Check a request whose body is at hand: `read`, `admit`, `match`. Raises Denied as they do."""
        presented = self.read(head)
        return self.match(head, body, presented, self.admit(presented, keys, window, now), window)

    def read(self, head: RequestHead, _known: Known | None = None, /) -> Presented:
        """Read what the request presents; there is one signature, so that nobody has to choose.

        Raises Denied: SIGNATURE_MISSING where a field is absent, FIELD_REPEATED where one stands twice,
        SIGNATURE_MALFORMED where one does not have its form or could be read into its neighbour.
        """
        headers = head.headers
        text = _required(headers, self.signature_field, "signature")
        key_id = nonce = created = None
        timestamp = ""
        if self.key_id_field is not None:
            key_id = _visible(_required(headers, self.key_id_field, "key id"), self.key_id_field)
        if self.timestamp_field is not None:
            timestamp = _required(headers, self.timestamp_field, "timestamp")
            created = _INSTANTS.get((timestamp, self.timestamp_format)) or self._instant(timestamp)
        if self.nonce_field is not None:
            nonce = _visible(_required(headers, self.nonce_field, "nonce"), self.nonce_field)
        for name in self._covered:
            _required(headers, name, "signed field")
        if head.query == "" and p.Query() in self.parts:
            raise _malformed("the target ends with an empty query, which signs like none: leave the `?` out")
        presented = Presented(key_id, timestamp, created, nonce, self._signature(text))
        for guard in self._layout.guards:
            value = value_of(guard.part)(head, b"", timestamp, nonce or "")
            if guard.refuses(value.encode("latin-1")):
                raise _malformed(f"the {p.label(guard.part)} holds the separator, so it could be read in two ways")
        return presented

    def _instant(self, timestamp: str) -> Instant:
        try:
            read = read_timestamp(timestamp, self.timestamp_format)
        except ValueError as error:
            raise _malformed(f"{self.timestamp_field}: {error}") from None
        return _INSTANTS.keep((timestamp, self.timestamp_format), read)

    def _signature(self, text: str) -> bytes:
        prefix, length = self.signature_prefix, self._signature_length
        if not text.startswith(prefix):
            raise _malformed(f"{self.signature_field} does not begin with {prefix!r}")
        if len(text) != len(prefix) + length:
            expected = f"{length} characters of {self.encoding}"
            raise _malformed(f"{self.signature_field} has {len(text) - len(prefix)} characters, expected {expected}")
        try:
            return decode(text[len(prefix) :], self.encoding)
        except ValueError:
            raise _malformed(f"{self.signature_field} is not {self.encoding}") from None

    def admit(
        self, presented: Presented, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the keys that may have made the signature: the one that is named, or all in force.

        Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_KEY_INACTIVE, SIGNATURE_STALE or SIGNATURE_FUTURE.
        """
        fitting = self._fitting(presented.key_id, keys)
        admitted = tuple([key for key in fitting if key.in_force(now)])
        if not admitted:
            raise _denied(Reason.SIGNATURE_KEY_INACTIVE, ", ".join(inactive(key, now) for key in fitting))
        if presented.created is not None:
            window.check(presented.created, now)
        return admitted

    def _fitting(self, key_id: str | None, keys: Mapping[str, SigningKey]) -> list[SigningKey]:
        if key_id is None:
            fitting = [key for key in keys.values() if key.algorithm == self.algorithm]
            if not fitting:
                raise _denied(Reason.SIGNATURE_KEY_UNKNOWN, f"the partner has no key for {self.algorithm}")
            return fitting
        key = keys.get(key_id)
        if key is None:
            raise _denied(Reason.SIGNATURE_KEY_UNKNOWN, f"key {key_id!r} is none of the partner's")
        if key.algorithm != self.algorithm:
            detail = f"key {key_id!r} is for {key.algorithm}, the scheme signs by {self.algorithm}"
            raise _denied(Reason.SIGNATURE_KEY_UNKNOWN, detail)
        return [key]

    def match(
        self, head: RequestHead, body: bytes, presented: Presented, keys: Iterable[SigningKey], window: Window
    ) -> VerifiedSignature:
        """Compare the signature with those that the keys give. Raises Denied(SIGNATURE_MISMATCH)."""
        signed = self._assembly.build(head, body, presented.timestamp, presented.nonce or "")
        name = HASHES[self.algorithm][0]
        for key in keys:
            if hmac.compare_digest(key.secret.mac(name).digest(signed), presented.signature):
                _, _, created, nonce, _ = presented
                # Neither key id nor nonce holds a line feed, so no other pair gives the same bytes.
                identity = sha256(signed).digest() if nonce is None else f"{key.id}\n{nonce}".encode()
                end = None if created is None else window.end(created)
                return VerifiedSignature(key.id, created, nonce, identity, end)
        raise _denied(Reason.SIGNATURE_MISMATCH, f"differs from what {self.name} gives over {len(signed)} bytes")

    def string_to_sign(self, head: RequestHead, body: bytes, presented: Presented, /) -> bytes:
        """Give what the signature must be over."""
        return self._assembly.build(head, body, presented.timestamp, presented.nonce or "")

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Give the fields that a client adds to its request. Raises ValueError as every scheme does."""
        if key.algorithm != self.algorithm:
            raise ValueError(f"key {key.id!r} is for {key.algorithm}, the scheme signs by {self.algorithm}")
        timestamp = write_timestamp(now, self.timestamp_format) if self.timestamp_field is not None else ""
        carried = ((self.key_id_field, key.id), (self.timestamp_field, timestamp), (self.nonce_field, nonce))
        fields = [(name, value) for name, value in carried if name is not None]
        signed = self._assembly.build(head, body, timestamp, nonce)
        signature = encode(key.secret.mac(HASHES[self.algorithm][0]).digest(signed), self.encoding)
        fields.append((self.signature_field, self.signature_prefix + signature))
        try:
            self.read(with_fields(head, fields))
        except Denied as denied:
            raise ValueError(f"scheme {self.name} would refuse the request: {denied.detail}") from None
        return Signed(fields)


def _required(headers: Headers, name: str, what: str) -> str:
    value = headers.single(name)
    if value is None:
        raise _denied(Reason.SIGNATURE_MISSING, f"no {name} field for the {what}")
    return value


def _visible(text: str, name: str) -> str:
    if not _VISIBLE.match(text):
        raise _malformed(f"{name} is not 1 to 128 visible ASCII characters")
    return text


def _malformed(detail: str) -> Denied:
    return _denied(Reason.SIGNATURE_MALFORMED, detail)


def _denied(reason: Reason, detail: str) -> Denied:
    return Denied(reason, detail, (CHALLENGE,))
