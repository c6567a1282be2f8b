"""The parts that a string to sign can be composed of."""

from dataclasses import dataclass
from typing import Literal as Choice

from gateway.signing.encoding import Encoding


@dataclass(frozen=True, slots=True)
class Literal:
    """The same text in every request."""

    text: str


@dataclass(frozen=True, slots=True)
class Shared:
    """The shared secret itself, for schemes that hash it together with what is signed."""


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
class Crc32:
    """CRC-32 over the body's bytes as received, as a decimal number. No hash: it binds the body only by accident."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The timestamp's text as received."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """The nonce's text as received."""


type Source = Choice["query", "form", "json"]
"""Where a parameter stands: in the query, in a form, or in a JSON body."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter's value: text decoded, numbers as they are written."""

    source: Source
    name: str
    """The parameter's name; in JSON a pointer (RFC 6901)."""
    format: Choice["text", "two-decimals"] = "text"
    """`two-decimals` writes the number 12.3 as 12.30."""
    optional: bool = False
    """Whether it may be absent, and then signs as empty text."""
    free: bool = False
    """Whether it may hold the delimiter that follows it; one part of a string can be told by its neighbours."""


@dataclass(frozen=True, slots=True)
class QueryWithout:
    """The query as received without one parameter, and without the ampersand beside that."""

    name: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters, sorted by the bytes of their names, those of several sources together."""

    sources: tuple[Source, ...]
    """Members of JSON are those of the top level, and must not be composed."""
    headers: tuple[str, ...] = ()
    """Fields that count as parameters, under the names as they are written here."""
    without: tuple[str, ...] = ()
    skip_empty: bool = False
    """Whether parameters with an empty value are left out."""
    encoded: bool = False
    """Whether names and values are percent-encoded as in a form (PHP's http_build_query)."""
    write: Choice["pairs", "values"] = "pairs"
    """`values` leaves the names unsigned."""
    equals: str = "="
    join: str = "&"


@dataclass(frozen=True, slots=True)
class SortedJson:
    """A JSON object written anew without white space, members sorted by name."""

    source: Choice["json", "query"] = "json"
    """The body; or an object of the query's parameters, all of them texts."""
    depth: Choice["all", "top"] = "all"
    """Whether objects inside are sorted too."""
    php: bool = False
    """Whether slashes and all but ASCII are escaped, as PHP does by default."""


@dataclass(frozen=True, slots=True)
class Serialized:
    """What a pointer into the JSON body points to, run together: sorted names, each followed by its value."""

    pointer: str


type Part = (
    Literal
    | Shared
    | Method
    | Path
    | Query
    | Target
    | Header
    | Body
    | BodyDigest
    | Crc32
    | Timestamp
    | Nonce
    | Field
    | QueryWithout
    | Parameters
    | SortedJson
    | Serialized
)

DERIVED = (Crc32, Field, QueryWithout, Parameters, SortedJson, Serialized)
"""Parts for which query or body are taken apart."""

_LABELS: dict[type[Part], str] = {
    BodyDigest: "body digest",
    Crc32: "checksum of the body",
    Shared: "secret",
    QueryWithout: "query",
    Parameters: "parameters",
    SortedJson: "sorted JSON",
}


def label(part: Part) -> str:
    """Name a part for people."""
    if isinstance(part, Header):
        return f"field {part.name}"
    if isinstance(part, Field):
        return f"{part.source} {part.name}"
    if isinstance(part, Serialized):
        return f"json {part.pointer}"
    return _LABELS.get(type(part)) or type(part).__name__.lower()


def sources(part: Part) -> frozenset[Source]:
    """Give what a part takes from query and body."""
    if isinstance(part, (Field, SortedJson)):
        return frozenset({part.source})
    if isinstance(part, Parameters):
        return frozenset(part.sources)
    if isinstance(part, Serialized):
        return frozenset({"json"})
    return frozenset({"query"}) if isinstance(part, (Query, Target, QueryWithout)) else frozenset()


def needs_body(part: Part) -> bool:
    """Whether the body must be at hand."""
    return isinstance(part, (Body, BodyDigest, Crc32)) or bool(sources(part) & {"form", "json"})
