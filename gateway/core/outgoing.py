"""What the gate signs itself: its answers to callers, and its requests to upstreams. `gateway.signing` makes these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.core.message import Instant, RequestHead

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

type Fields = list[tuple[str, str]]
"""Field lines; names in lower case."""


class Answered(NamedTuple):
    """A response as it would go to the caller, but for the framing of its body."""

    status: int
    fields: Sequence[tuple[str, str]]
    body: bytes
    own: bool = False
    """Whether the gate itself gives it: then what of the request could not be read is left out of the signature."""


class Stamp(NamedTuple):
    """What is new in every signature."""

    now: Instant
    nonce: str
    """Unlike that of any other signature: the request's id."""


class Additions(Protocol):
    """What a signature changes of a message."""

    @property
    def fields(self) -> Fields:
        """Fields to set; whatever stands under the same name is replaced."""
        ...

    @property
    def target(self) -> str | None:
        """The request target, where the signature goes into the query; else None."""
        ...

    @property
    def body(self) -> bytes | None:
        """The body, where the signature goes into it; else None."""
        ...


class AnswerSigner(Protocol):
    """Signs the answers to a route's requests, whoever gives them."""

    @property
    def limit(self) -> int:
        """Bytes of body that are held until they are signed; a longer one is not passed on."""
        ...

    @property
    def described(self) -> str:
        """Say how, for people."""
        ...

    def sign(self, exchange: "Exchange", answer: Answered, stamp: Stamp) -> Additions | None:
        """Give what to change; None where nobody is there to sign for.

        Raises Denied(RESPONSE_UNSIGNABLE).
        """
        ...


class RequestSigner(Protocol):
    """Signs the requests to an upstream."""

    @property
    def described(self) -> str:
        """Say how, for people."""
        ...

    @property
    def replaces(self) -> frozenset[str]:
        """Names of the caller's fields that are not passed on: they would be taken for the gate's, or belie it."""
        ...

    def sign(self, head: RequestHead, body: bytes, stamp: Stamp) -> Additions:
        """Give what to change of a request whose head is as it goes out. Raises Denied(REQUEST_UNSIGNABLE)."""
        ...
