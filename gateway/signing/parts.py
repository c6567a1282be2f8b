"""The parts that a string to sign can be composed of."""

from dataclasses import dataclass
from typing import Literal as Choice

from gateway.signing.encoding import Encoding


@dataclass(frozen=True, slots=True)
class Literal:
    """The same text in every request."""

    text: str


@dataclass(frozen=True, slots=True)
class Method:
    """The method, in upper case as received."""


@dataclass(frozen=True, slots=True)
class Path:
    """The path as received, without the query."""


@dataclass(frozen=True, slots=True)
class Query:
    """The query as received, without the question mark; nothing where there is none."""


@dataclass(frozen=True, slots=True)
class Target:
    """The request target as received: path, and question mark and query where they are there."""


@dataclass(frozen=True, slots=True)
class Header:
    """The value of a field that must stand exactly once. `host` is :authority in HTTP/2 (RFC 9113 8.3.1)."""

    name: str
    """Lower case."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body's bytes as received."""


@dataclass(frozen=True, slots=True)
class BodyDigest:
    """A hash over the body's bytes as received."""

    hash: Choice["sha256", "sha384", "sha512"]
    encoding: Encoding = "hex"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The timestamp field's text as received."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """The nonce field's text as received."""


type Part = Literal | Method | Path | Query | Target | Header | Body | BodyDigest | Timestamp | Nonce


def label(part: Part) -> str:
    """Name a part for people."""
    if isinstance(part, Header):
        return f"field {part.name}"
    return "body digest" if isinstance(part, BodyDigest) else type(part).__name__.lower()
