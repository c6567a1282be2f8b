"""How a scheme's requests are signed, step by step and in no language: what the samples are written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.kit.answer_checks import AnswerKey
from gateway.signing import parts as p
from gateway.signing.encoding import Encoding, TimestampFormat
from gateway.signing.httpsig.scheme import EXPIRES_AFTER
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

ENCODINGS = ("utf-8", "hex", "base64", "whsec")
"""How the file of a shared secret may be written."""

BODY = "body"
SHARED = "shared"
"""Variables whose values are bytes: the body, and the secret where it is a part of what is hashed."""


SCALAR_OCTETS: Mapping[str, int] = {"p256": 32, "p384": 48, "p521": 66}
"""Bytes of each number of an ECDSA signature, by curve."""


type Kind = Literal["base64", "sha256", "encoded", "path-again", "sorted-query", "day", "length"]
"""What is made of a text: its base64, its SHA-256 in hex, its percent-encoding by RFC 9421 2.2.8; for AWS a path
encoded once more, the pairs of a query in their order, and the day of a time. And the body's length, of no text."""


class Piece(NamedTuple):
    """A piece of text: as it is, or the value of a variable of the sample's."""

    text: str
    variable: bool = False


type Pieces = tuple[Piece, ...]
type Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The request that the samples send."""

    method: str
    path: str
    body: str
    fields: Mapping[str, str]
    """Fields beside those of the signature, by name; a value that begins with `$` is the environment's."""
    query: str = ""
    """Without question mark, before anything of the signature is put into it; empty where there is none."""
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Digest fields (RFC 9530) that are sent, and the hashes in each, as hashlib calls them."""

    @property
    def target(self) -> str:
        """The request target."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Made(NamedTuple):
    """A variable that is made of text."""

    name: str
    kind: Kind
    of: Pieces


class Taken(NamedTuple):
    """A variable whose value is taken out of the query or the body."""

    name: str
    part: p.Part
    headers: tuple[tuple[str, Pieces], ...] = ()
    """Fields that count as parameters."""

    @property
    def of_query(self) -> bool:
        """Whether the query's parameters are among what is taken, or are it."""
        return "query" in p.sources(self.part)

    @property
    def of_body(self) -> bool:
        """Whether members of the body are."""
        return bool(p.sources(self.part) & {"form", "json"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is signed, by what, and where it is put."""

    string: Pieces
    algorithm: str
    encoding: Encoding
    headers: tuple[tuple[str, Pieces], ...]
    """Fields to send, the signature's last; `signature` is a variable of theirs."""
    timestamp_format: TimestampFormat | Literal["amz"] = "unix"
    der: bool = False
    """Whether an ECDSA signature goes out in DER."""
    expires_after: int = int(EXPIRES_AFTER)
    jose: Pieces = ()
    """The header of a JWS, as JSON; `jose` is a variable of what is signed and sent then."""
    payload: Pieces = ()
    """The payload of a JWS that is encoded; `payload` is a variable then."""
    sent: Pieces = ()
    """The body that is sent in place of `body`; empty where that is sent itself."""
    made: tuple[Made, ...] = ()
    """Variables made of others, each after those that it is made of."""
    taken: tuple[Taken, ...] = ()
    """Variables whose values are taken out of query and body."""
    members: Literal["", "json", "form"] = ""
    """As what the body is taken apart; empty where it is not."""
    carried: tuple[tuple[Steps, str, bool], ...] = ()
    """Places in the body, the variable that is put there before signing, and whether JSON has it as a number."""
    signature_at: Steps = ()
    """Place of the signature in the body; empty where it stands elsewhere."""
    query: Pieces | None = None
    """The query to begin with; None where it is that of the sample as it stands."""
    query_carried: tuple[tuple[str, str], ...] = ()
    """Parameters of the query, and the variable that is put there before signing."""
    signature_parameter: str = ""
    """Parameter of the query that the signature is put into; empty where it stands elsewhere."""
    key_steps: Pieces = ()
    """Texts by which the key is derived from the secret, HMAC by HMAC; the first stands before the secret."""

    @property
    def shared(self) -> bool:
        """Whether the key is a secret that both sides have."""
        return self.algorithm in SECRET_ALGORITHMS

    @property
    def hashes_secret(self) -> bool:
        """Whether the secret is a part of what is hashed."""
        return Piece(SHARED, variable=True) in self.string

    @property
    def takes_query(self) -> bool:
        """Whether the query is taken apart into its parameters."""
        return any(each.of_query and not isinstance(each.part, p.QueryWithout) for each in self.taken)


class Given(NamedTuple):
    """What a sample is written from."""

    plan: Plan
    sample: Sample
    about: str
    """What it does, in a line."""
    base_url: str
    key_id: str
    secret_encoding: str = "utf-8"  # noqa: S105 - how one is written
    answers: AnswerKey | None = None
    """How the answers are signed; None where the sample does not check them."""


def text(*written: str) -> Pieces:
    """Give pieces of text, in which `{name}` stands for a variable and nothing else is special."""
    found: list[Piece] = []
    for each in written:
        variable = each.startswith("{") and each.endswith("}")
        found.append(Piece(each[1:-1], variable=True) if variable else Piece(each))
    return tuple(found)


def field_variable(name: str) -> str:
    """Name the variable of a field's value."""
    return "field_" + name.replace("-", "_").replace(".", "_")


def digest_variable(digest: str, encoding: Encoding) -> str:
    """Name the variable of a digest of the body."""
    return f"digest_{digest}_{encoding.replace('-', '')}"


_DIGEST_ENCODINGS: Mapping[str, Encoding] = {
    each.replace("-", ""): each for each in ("hex", "hex-upper", "base64", "base64url")
}


def digests(plan: Plan) -> list[tuple[str, str, Encoding]]:
    """Give variable, hash and encoding of each digest of the body that a plan needs."""
    pieces = [*plan.string, *(piece for _, value in plan.headers for piece in value)]
    pieces += [piece for made in plan.made for piece in made.of]
    names = dict.fromkeys(piece.text for piece in pieces if piece.variable and piece.text.startswith("digest_"))
    found = [(name, *name.removeprefix("digest_").split("_")) for name in names]
    return [(name, digest, _DIGEST_ENCODINGS[encoding]) for name, digest, encoding in found]
