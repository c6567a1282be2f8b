"""How a scheme's requests are signed, step by step and in no language: what the samples are written from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.kit.answer_checks import AnswerKey
from gateway.signing import parts as p
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS
from gateway.signing.encoding import Encoding, TimestampFormat
from gateway.signing.httpsig.scheme import EXPIRES_AFTER
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

ALGORITHMS = (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)
"""Those that the samples can sign by."""

ENCODINGS = ("utf-8", "hex", "base64")
"""How the file of a shared secret may be written."""

BODY = "body"
SHARED = "shared"
"""Variables whose values are bytes: the body, and the secret where it is a part of what is hashed."""


SCALAR_OCTETS: Mapping[str, int] = {"p256": 32, "p384": 48, "p521": 66}
"""Bytes of each number of an ECDSA signature, by curve."""


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


class Taken(NamedTuple):
    """A variable whose value is taken out of the body."""

    name: str
    part: p.Part
    headers: tuple[tuple[str, Pieces], ...] = ()
    """Fields that count as parameters."""
    members: bool = True
    """Whether members of the body are among them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is signed, by what, and where it is put."""

    string: Pieces
    algorithm: str
    encoding: Encoding
    headers: tuple[tuple[str, Pieces], ...]
    """Fields to send, the signature's last; `signature` is a variable of theirs."""
    timestamp_format: TimestampFormat = "unix"
    der: bool = False
    """Whether an ECDSA signature goes out in DER."""
    expires_after: int = int(EXPIRES_AFTER)
    jose: Pieces = ()
    """The header of a JWS, as JSON; `jose` is a variable of what is signed and sent then."""
    payload: Pieces = ()
    """The payload of a JWS that is encoded; `payload` is a variable then."""
    sent: Pieces = ()
    """The body that is sent in place of `body`; empty where that is sent itself."""
    taken: tuple[Taken, ...] = ()
    """Variables whose values are taken out of the body."""
    members: Literal["", "json", "form"] = ""
    """As what the body is taken apart; empty where it is not."""
    carried: tuple[tuple[Steps, str, bool], ...] = ()
    """Places in the body, the variable that is put there before signing, and whether JSON has it as a number."""
    signature_at: Steps = ()
    """Place of the signature in the body; empty where it stands in a field."""

    @property
    def shared(self) -> bool:
        """Whether the key is a secret that both sides have."""
        return self.algorithm in SECRET_ALGORITHMS

    @property
    def in_shell(self) -> bool:
        """Whether a shell can do it: take nothing apart, and keep the secret out of what it puts together."""
        return (
            not self.taken
            and not self.members
            and not any(piece == Piece(SHARED, variable=True) for piece in self.string)
        )


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


def digests(plan: Plan) -> list[tuple[str, str, str]]:
    """Give variable, hash and encoding of each digest of the body that a plan needs."""
    pieces = [*plan.string, *(piece for _, value in plan.headers for piece in value)]
    names = dict.fromkeys(piece.text for piece in pieces if piece.variable and piece.text.startswith("digest_"))
    return [(name, *name.removeprefix("digest_").split("_")) for name in names]  # type: ignore[misc]
