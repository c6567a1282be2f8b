"""Puts the string to sign together, from parts compiled once into templates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import new as new_hash

from gateway.core.message import RequestHead
from gateway.signing.encoding import encode
from gateway.signing.parts import (
    Body,
    BodyDigest,
    Header,
    Literal,
    Method,
    Nonce,
    Part,
    Path,
    Query,
    Target,
    Timestamp,
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
        """Compile the parts. Raises ValueError where the body stands among them twice."""
        bodies = [index for index, part in enumerate(parts) if isinstance(part, Body)]
        if len(bodies) > 1:
            raise ValueError("the body can stand only once among the parts")
        texts = [_escaped(part.text.encode()) if isinstance(part, Literal) else "%s" for part in parts]
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


def value_of(part: Part) -> Value:
    """Give the function that finds a part's text. Raises KeyError for parts that are none: literals and the body."""
    if isinstance(part, Header):
        name = part.name
        if name == "host":
            return lambda head, _body, _timestamp, _nonce: head.authority
        return lambda head, _body, _timestamp, _nonce: head.headers.single(name) or ""
    if isinstance(part, BodyDigest):
        algorithm, encoding = part.hash, part.encoding
        return lambda _head, body, _timestamp, _nonce: encode(new_hash(algorithm, body).digest(), encoding)
    return _VALUES[type(part)]


def _values(parts: Sequence[Part]) -> tuple[Value, ...]:
    return tuple(value_of(part) for part in parts if not isinstance(part, Literal))


def _escaped(constant: bytes) -> str:
    return constant.decode("latin-1").replace("%", "%%")
