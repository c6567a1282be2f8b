"""Signature schemes composed in a policy: which parts are signed, by which algorithm, and what stands where.

Whatever a request presents is bounded and read strictly before any work is done with it. A check comes in three steps,
so that nothing is read of a body before its sender has named a key in force and a time within the window:

1. `read`: everything is there, once, and has its form; a scheme that carries some of it in the body needs that first
   (`read_body`)
2. `admit`: the key is known, made for the algorithm and in force; the timestamp lies within the window
3. `match`: the signature over the bytes received is the key's, compared in constant time

Errors never hold a signature, a secret, or what was signed.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.core.facts import VerifiedSignature
from gateway.core.memo import Bounded
from gateway.core.message import Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing import parts as p
from gateway.signing.algorithms import raw_to_der
from gateway.signing.assembly import Assembly, Collection, value_of
from gateway.signing.composition import check_composition, weaknesses
from gateway.signing.content import Content
from gateway.signing.encoding import Encoding, TimestampFormat, encode, read_timestamp, write_timestamp
from gateway.signing.layout import Guard, Layout
from gateway.signing.own import OwnKey, Signed
from gateway.signing.places import InContent, InHeader, InItems, Place, Writing, write
from gateway.signing.presented import (
    LATER,
    VISIBLE,
    Presented,
    invisible,
    malformed,
    required,
    text_at,
    texts_at,
    visible,
)
from gateway.signing.scheme import Known, inactive, read_whole, refusal
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from gateway.signing.signature_text import SignatureText
from gateway.signing.window import Window

SECRET_SHOWN = b"{secret}"
"""What stands for a secret in a string that is shown."""

_INSTANTS = Bounded[tuple[str, TimestampFormat], Instant](capacity=1_024, size=lambda key: len(key[0]))
"""Timestamps that were read: those of a second are the same."""


@dataclass(frozen=True, slots=True)
class ComposedScheme:
    """A scheme: the parts of the string to sign, the algorithm, and where key id, timestamp, nonce, signature stand.

    Raises ValueError where it would not protect what it names: a timestamp or nonce that is not signed, say.
    """

    name: str
    parts: tuple[p.Part, ...]
    separator: bytes
    algorithm: str
    encoding: Encoding
    signature: Place
    key_id: Place | None = None
    """None: every key in force is tried."""
    timestamp: Place | None = None
    timestamp_format: TimestampFormat = "unix"
    nonce: Place | None = None
    der: bool = False
    """Whether ECDSA signatures come in DER (RFC 3279 2.2.3), as most libraries make them."""
    key_id_until: str = ""
    """Text that ends the key id before the signature in the same item; empty where none stands there."""
    weak_until: Instant | None = None
    """When the exception ends by which a weak algorithm is taken."""
    origin: str = ""
    """The preset that it is made of, for people."""

    needs_body: bool = field(init=False, repr=False, compare=False)
    """Whether the body is signed, or carries something."""
    carried_in_body: bool = field(init=False, repr=False, compare=False)
    carriers: frozenset[str] = field(init=False, repr=False, compare=False)
    """Fields of signature and key id."""
    sets: frozenset[str] = field(init=False, repr=False, compare=False)
    """Those, and fields of timestamp and nonce."""
    algorithms: frozenset[str] = field(init=False, repr=False, compare=False)
    """The one algorithm of its keys."""
    _assembly: Assembly | None = field(init=False, repr=False, compare=False)
    """None where parts are taken out of query or body, or the secret is one."""
    _collection: Collection = field(init=False, repr=False, compare=False)
    _layout: Layout = field(init=False, repr=False, compare=False)
    """Where parts run together, a nonce could be made anew from its neighbours' content, and tells nothing apart."""
    _guards: tuple[Guard, ...] = field(init=False, repr=False, compare=False)
    """Those of the head's parts, checked before the body is asked for."""
    _plain: bool = field(init=False, repr=False, compare=False)
    """Whether everything stands in fields of its own, without prefixes but the signature's."""
    _fields: tuple[str, str | None, str | None, str | None] = field(init=False, repr=False, compare=False)
    """Where they stand then: signature, key id, timestamp, nonce."""
    _mac: str | None = field(init=False, repr=False, compare=False)
    """The hash of HMAC; None for other algorithms."""
    _text: SignatureText = field(init=False, repr=False, compare=False)
    _covered: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Names of the signed fields that a request may lack or repeat."""

    def __post_init__(self) -> None:
        check_composition(self)
        others = (self.key_id, self.timestamp, self.nonce)
        places = [place for place in (self.signature, *others) if place is not None]
        whole = isinstance(self.signature, InHeader) and not self.key_id_until
        prefix = self.signature.prefix if isinstance(self.signature, InHeader) and whole else ""
        algorithm = SECRET_ALGORITHMS.get(self.algorithm)
        layout = Layout.of(self.parts, self.separator, self.timestamp_format)
        simple = not any(isinstance(part, (*p.DERIVED, p.Shared)) for part in self.parts)
        carriers = [place.name for place in (self.signature, self.key_id) if isinstance(place, (InHeader, InItems))]
        own = {place.name for place in places if isinstance(place, (InHeader, InItems))}
        covered = tuple(part.name for part in self.parts if isinstance(part, p.Header) and part.name != "host")
        in_body = any(place.in_body for place in places)
        for name, value in (
            ("needs_body", in_body or any(map(p.needs_body, self.parts))),
            ("carried_in_body", in_body),
            ("carriers", frozenset(carriers)),
            ("sets", frozenset(own)),
            ("algorithms", frozenset({self.algorithm})),
            ("_assembly", Assembly.of(self.parts, self.separator) if simple else None),
            ("_collection", Collection.of(self.parts, self.separator, layout.guards)),
            ("_layout", layout),
            ("_guards", layout.guards if simple else ()),
            ("_plain", all(isinstance(place, InHeader) and not place.prefix for place in places[1:]) and whole),
            ("_fields", tuple(place and place.name for place in (self.signature, *others))),
            ("_mac", algorithm.hash if algorithm is not None and algorithm.keyed else None),
            ("_text", SignatureText(self.algorithm, self.encoding, self.der, prefix)),
            ("_covered", covered),
        ):
            object.__setattr__(self, name, value)

    @property
    def carried_in_query(self) -> bool:
        """Whether something of it stands in the query, which no response has."""
        places = (self.signature, self.key_id, self.timestamp, self.nonce)
        return any(isinstance(place, InContent) and not place.in_body for place in places)

    @property
    def names_key(self) -> bool:
        """Whether a request names its key."""
        return self.key_id is not None or bool(self.key_id_until)

    @property
    def dated(self) -> bool:
        """Whether a request states when it was signed."""
        return self.timestamp is not None

    def weaknesses(self) -> tuple[str, ...]:
        """Give what the scheme leaves unprotected, one sentence each with the way to mend it; for the linter."""
        return weaknesses(self, self._layout.run_together)

    def verify(
        self, head: RequestHead, body: bytes, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> VerifiedSignature:
        """Check a request whose body is at hand: `read`, `admit`, `match`. Raises Denied as they do."""
        presented = read_whole(self, head, body, keys.__contains__)
        return self.match(head, body, presented, self.admit(presented, keys, window, now), window)

    def read(self, head: RequestHead, known: Known | None = None, /) -> Presented:
        """Read what the request presents; of several signatures, those by a known key count.

        Raises Denied: SIGNATURE_MISSING where something is absent, FIELD_REPEATED where a field stands twice,
        SIGNATURE_MALFORMED where something does not have its form or could be read into its neighbour,
        SIGNATURE_CONTENT where query or body cannot be read.
        """
        for name in self._covered:
            required(head.headers, name, "signed field")
        if head.query == "" and p.Query() in self.parts:
            raise malformed("the target ends with an empty query, which signs like none: leave the `?` out")
        if self._plain:
            return self._read_fields(head)
        for what, place in (
            ("signature", self.signature),
            ("key id", self.key_id),
            ("timestamp", self.timestamp),
            ("nonce", self.nonce),
        ):
            if isinstance(place, (InHeader, InItems)):
                place.find(head.headers, what)
        return LATER if self.carried_in_body else self._read_apart(Content(head, b""), known)

    def _read_fields(self, head: RequestHead) -> Presented:
        headers = head.headers
        signature_field, key_id_field, timestamp_field, nonce_field = self._fields
        key_id = nonce = created = None
        timestamp = ""
        text = required(headers, signature_field, "signature")
        if key_id_field is not None:
            key_id = required(headers, key_id_field, "key id")
            if not VISIBLE.match(key_id):
                raise invisible(key_id_field)
        if timestamp_field is not None:
            timestamp = required(headers, timestamp_field, "timestamp")
            created = _INSTANTS.get((timestamp, self.timestamp_format)) or self._instant(timestamp, timestamp_field)
        if nonce_field is not None:
            nonce = required(headers, nonce_field, "nonce")
            if not VISIBLE.match(nonce):
                raise invisible(nonce_field)
        presented = Presented(key_id, timestamp, created, nonce, self._text.read(text, signature_field))
        if self._guards:
            self._check_guards(head, timestamp, nonce)
        return presented

    def read_body(
        self, _presented: Presented, head: RequestHead, body: bytes, known: Known | None = None, /
    ) -> Presented:
        """Read what the request presents, some of it in the body. Raises Denied as `read`."""
        content = Content(head, body)
        return self._read_apart(content, known)._replace(content=content)

    def _read_apart(self, content: Content, known: Known | None) -> Presented:
        created, key_id, nonce = None, None, None
        timestamp = ""
        texts = texts_at(self.signature, content, "signature")
        if self.key_id_until:
            key_id, texts = self._named(texts, known)
        elif self.key_id is not None:
            key_id = visible(text_at(self.key_id, content, "key id"), self.key_id)
        if self.timestamp is not None:
            timestamp = text_at(self.timestamp, content, "timestamp")
            created = self._instant(timestamp, self.timestamp.name)
        if self.nonce is not None:
            nonce = visible(text_at(self.nonce, content, "nonce"), self.nonce)
        self._check_guards(content.head, timestamp, nonce)
        signature, *others = self._text.read_several(texts, self.signature.name)
        return Presented(key_id, timestamp, created, nonce, signature, tuple(others))

    def _named(self, texts: list[str], known: Known | None) -> tuple[str, list[str]]:
        """Give the key that signatures name beside themselves, and its signatures: the first one that is known."""
        by_key: dict[str, list[str]] = {}
        for text in texts:
            key_id, found, signature = text.partition(self.key_id_until)
            if found:
                by_key.setdefault(visible(key_id, self.signature), []).append(signature)
        if not by_key:
            raise malformed(f"{self.signature.name} names no key before {self.key_id_until!r}")
        chosen = next((key_id for key_id in by_key if known is None or known(key_id)), next(iter(by_key)))
        return chosen, by_key[chosen]

    def _check_guards(self, head: RequestHead, timestamp: str, nonce: str | None) -> None:
        for guard in self._guards:
            value = value_of(guard.part)(head, b"", timestamp, nonce or "")
            if guard.refuses(value.encode("latin-1")):
                raise malformed(f"the {p.label(guard.part)} holds the separator, so it could be read in two ways")

    def _instant(self, timestamp: str, where: str) -> Instant:
        try:
            read = read_timestamp(timestamp, self.timestamp_format)
        except ValueError as error:
            raise malformed(f"{where}: {error}") from None
        return _INSTANTS.keep((timestamp, self.timestamp_format), read)

    def admit(
        self, presented: Presented, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the keys that may have made the signature: the one that is named, or all in force.

        Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_KEY_INACTIVE, SIGNATURE_WEAK, SIGNATURE_STALE or
        SIGNATURE_FUTURE.
        """
        fitting = self._fitting(presented.key_id, keys)
        admitted = tuple([key for key in fitting if key.in_force(now)])
        if not admitted:
            raise refusal(Reason.SIGNATURE_KEY_INACTIVE, ", ".join(inactive(key, now) for key in fitting))
        if self.weak_until is not None and now >= self.weak_until:
            raise refusal(
                Reason.SIGNATURE_WEAK, f"{self.algorithm} was allowed until {now - self.weak_until:.0f} s ago"
            )
        if presented.created is not None:
            window.check(presented.created, now)
        return admitted

    def _fitting(self, key_id: str | None, keys: Mapping[str, SigningKey]) -> list[SigningKey]:
        if key_id is None:
            fitting = [key for key in keys.values() if key.algorithm == self.algorithm]
            if not fitting:
                raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, f"the partner has no key for {self.algorithm}")
            return fitting
        key = keys.get(key_id)
        if key is None:
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, f"key {key_id!r} is none of the partner's")
        if key.algorithm != self.algorithm:
            detail = f"key {key_id!r} is for {key.algorithm}, the scheme signs by {self.algorithm}"
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, detail)
        return [key]

    def match(
        self, head: RequestHead, body: bytes, presented: Presented, keys: Iterable[SigningKey], window: Window
    ) -> VerifiedSignature:
        """Compare the signature with those that the keys give.

        Raises Denied: SIGNATURE_MISMATCH; SIGNATURE_CONTENT where what is signed is absent from query or body, or could
        be read in two ways.
        """
        _, timestamp, created, nonce, signature, _, content = presented
        mac, assembly = self._mac, self._assembly
        if assembly is not None:
            signed = assembly.build(head, body, timestamp, nonce or "")
        else:
            if content is None or content.body is not body or content.head is not head:
                content = Content(head, body)
            signed = self._collect(content, timestamp, nonce, b"")
        for key in keys:
            if (mac is not None and hmac.compare_digest(key.secret.mac(mac).digest(signed), signature)) or (
                (mac is None or presented.others) and self._fits(key, signed, content, presented)
            ):
                # Neither key id nor nonce holds a line feed, so no other pair gives the same bytes.
                by_nonce = nonce is not None and not self._layout.run_together
                identity = f"{key.id}\n{nonce}".encode() if by_nonce else sha256(signed).digest()
                end = None if created is None else window.end(created)
                return VerifiedSignature(key.id, created, nonce, identity, end)
        raise refusal(Reason.SIGNATURE_MISMATCH, f"differs from what {self.name} gives over {len(signed)} bytes")

    def _fits(self, key: SigningKey, signed: bytes, content: Content | None, presented: Presented) -> bool:
        signatures = (presented.signature, *presented.others)
        algorithm = SECRET_ALGORITHMS.get(self.algorithm)
        if algorithm is None:
            return any(key.public.verifies(signed, each) for each in signatures)
        secret = key.secret
        if not algorithm.keyed and content is not None:
            signed = self._collect(content, presented.timestamp, presented.nonce, secret.reveal())
        digest = algorithm.digest(secret, signed)
        return any(hmac.compare_digest(digest, each) for each in signatures)

    def _collect(self, content: Content, timestamp: str, nonce: str | None, secret: bytes) -> bytes:
        try:
            return self._collection.collect(content, timestamp, nonce or "", secret)
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_CONTENT, str(error)) from None

    def string_to_sign(self, head: RequestHead, body: bytes, presented: Presented, /) -> bytes:
        """Give what the signature must be over, `{secret}` where the secret stands."""
        return self._collect(Content(head, body), presented.timestamp, presented.nonce, SECRET_SHOWN)

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Give what a client adds to its request. Raises ValueError as every scheme does."""
        if key.algorithm != self.algorithm:
            raise ValueError(f"key {key.id!r} is for {key.algorithm}, the scheme signs by {self.algorithm}")
        if self.weak_until is not None and now >= self.weak_until:
            raise ValueError(f"{self.algorithm} is weak, and the exception for it has ended")
        timestamp = write_timestamp(now, self.timestamp_format) if self.timestamp is not None else ""
        numeric = self.timestamp_format != "rfc3339"
        carried = [
            Writing(place, text, number)
            for place, text, number in (
                (self.key_id, key.id, False),
                (self.timestamp, timestamp, numeric),
                (self.nonce, nonce, False),
            )
            if place is not None
        ]
        algorithm = SECRET_ALGORITHMS.get(self.algorithm)
        secret = b"" if algorithm is None or algorithm.keyed else key.secret.reveal()
        content = Content(*write(head, body, carried).applied(head, body))
        try:
            signed = self._collect(content, timestamp, nonce, secret)
            raw = key.private.sign(signed) if algorithm is None else algorithm.digest(key.secret, signed)
            named = f"{key.id}{self.key_id_until}" if self.key_id_until else ""
            text = named + encode(raw_to_der(raw) if self.der else raw, self.encoding)
            made = write(head, body, [*carried, Writing(self.signature, text)])
            read_whole(self, *made.applied(head, body), lambda _: True)
        except Denied as denied:
            raise ValueError(f"scheme {self.name} would refuse the request: {denied.detail}") from None
        return made
