"""Puts the string to sign together, from parts compiled once.

Most schemes sign the head's parts and the body as a whole: for them `Assembly` fills templates. Where a part has to be
taken out of query or body, or the secret is signed too, `Collection` joins the pieces one by one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import new as new_hash

from gateway.core.message import RequestHead
from gateway.signing.content import Content
from gateway.signing.derived import derive
from gateway.signing.encoding import encode
from gateway.signing.layout import Guard
from gateway.signing.parts import (
    DERIVED,
    Body,
    BodyDigest,
    Header,
    Literal,
    Method,
    Nonce,
    Part,
    Path,
    Query,
    Shared,
    Target,
    Timestamp,
    label,
)

type Value = Callable[[RequestHead, bytes, str, str], str]
"""Gives a part's text of a head, a body, a timestamp and a nonce."""

_VALUES: Mapping[type[Part], Value] = {
    Method: lambda head, _body, _timestamp, _nonce: head.method,
    Path: lambda head, _body, _timestamp, _nonce: head.path,
    Query: lambda head, _body, _timestamp, _nonce: head.query or "",
    Target: lambda head, _body, _timestamp, _nonce: head.target,
    Timestamp: lambda _head, _body, timestamp, _nonce: timestamp,
    Nonce: lambda _head, _body, _timestamp, nonce: nonce,
}


@dataclass(frozen=True, slots=True)
class Assembly:
    """The string to sign as text before the body and text after it; without a body of its own, all stands before.

    Texts are latin-1, as in `Headers`, so that encoding gives the bytes received.
    """

    before: str
    before_values: tuple[Value, ...]
    body: bool
    after: str
    after_values: tuple[Value, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], separator: bytes) -> "Assembly":
        """Compile the parts, none of them derived. Raises ValueError where the body stands among them twice."""
        _check_one_body(parts)
        texts = [_escaped(part.text.encode()) if isinstance(part, Literal) else "%s" for part in parts]
        bodies = [index for index, part in enumerate(parts) if isinstance(part, Body)]
        between, at = _escaped(separator), bodies[0] if bodies else len(parts)
        return cls(
            # The empty string in the body's place has `join` put the separator that belongs beside it.
            before=between.join([*texts[:at], ""] if bodies else texts),
            before_values=_values(parts[:at]),
            body=bool(bodies),
            after=between.join(["", *texts[at + 1 :]]),
            after_values=_values(parts[at + 1 :]),
        )

    def build(self, head: RequestHead, body: bytes, timestamp: str, nonce: str) -> bytes:
        """Give the string to sign for a request."""
        values = tuple([value(head, body, timestamp, nonce) for value in self.before_values])
        before = (self.before % values).encode("latin-1")
        if not self.body:
            return before
        if not self.after:
            return before + body
        values = tuple([value(head, body, timestamp, nonce) for value in self.after_values])
        return b"".join((before, body, (self.after % values).encode("latin-1")))


type Piece = Callable[[Content, str, str, bytes], bytes]
"""Gives a piece's bytes of a content, a timestamp, a nonce and the secret. Raises ValueError where it has none."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The string to sign as pieces, some of them taken out of query and body."""

    pieces: tuple[Piece, ...]
    separator: bytes

    @classmethod
    def of(cls, parts: Sequence[Part], separator: bytes, guards: Iterable[Guard]) -> "Collection":
        """Compile the parts. Raises ValueError as `Assembly.of`, and for a part that can never be found."""
        _check_one_body(parts)
        by_part: dict[int, list[Guard]] = {}
        for guard in guards:
            by_part.setdefault(id(guard.part), []).append(guard)
        return cls(tuple(_guarded(part, by_part.get(id(part), [])) for part in parts), separator)

    def collect(self, content: Content, timestamp: str, nonce: str, secret: bytes) -> bytes:
        """Give the string to sign, `secret` in its place. Raises ValueError where a part cannot be had."""
        return self.separator.join([piece(content, timestamp, nonce, secret) for piece in self.pieces])


def _guarded(part: Part, guards: Sequence[Guard]) -> Piece:
    piece = _piece(part)
    if not guards:
        return piece

    def checked(content: Content, timestamp: str, nonce: str, secret: bytes) -> bytes:
        value = piece(content, timestamp, nonce, secret)
        if any(guard.refuses(value) for guard in guards):
            raise ValueError(f"the {label(part)} holds the separator, so it could be read in two ways")
        return value

    return checked


def _piece(part: Part) -> Piece:
    if isinstance(part, Literal):
        constant = part.text.encode()
        return lambda _content, _timestamp, _nonce, _secret: constant
    if isinstance(part, Shared):
        return lambda _content, _timestamp, _nonce, secret: secret
    if isinstance(part, Body):
        return lambda content, _timestamp, _nonce, _secret: content.body
    if isinstance(part, DERIVED):
        taken = derive(part)
        return lambda content, _timestamp, _nonce, _secret: taken(content).encode()
    value = value_of(part)
    return lambda content, timestamp, nonce, _secret: value(content.head, content.body, timestamp, nonce).encode(
        "latin-1"
    )


def value_of(part: Part) -> Value:
    """Give the function that finds a part's text in the head. Raises KeyError for other parts."""
    if isinstance(part, Header):
        name = part.name
        if name == "host":
            return lambda head, _body, _timestamp, _nonce: head.authority
        return lambda head, _body, _timestamp, _nonce: head.headers.single(name) or ""
    if isinstance(part, BodyDigest):
        algorithm, encoding = part.hash, part.encoding
        return lambda _head, body, _timestamp, _nonce: encode(new_hash(algorithm, body).digest(), encoding)
    return _VALUES[type(part)]


def _check_one_body(parts: Sequence[Part]) -> None:
    if sum(isinstance(part, Body) for part in parts) > 1:
        raise ValueError("the body can stand only once among the parts")


def _values(parts: Sequence[Part]) -> tuple[Value, ...]:
    return tuple(value_of(part) for part in parts if not isinstance(part, Literal))


def _escaped(constant: bytes) -> str:
    return constant.decode("latin-1").replace("%", "%%")
