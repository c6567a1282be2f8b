"""What a signature scheme is to the control that asks for signatures, and to the policy that names it."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from gateway.core.facts import VerifiedSignature
from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.own import OwnKey, Signed
from gateway.signing.window import CHALLENGE, Window

type Known = Callable[[str], bool]
"""Whether a key id is that of somebody who may have sent the request."""


class Presented(Protocol):
    """What a request presents as its signature: well-formed, unverified. Its `repr` MUST NOT show the signature."""

    @property
    def key_id(self) -> str | None:
        """The key it names; None where the scheme names none."""
        ...

    @property
    def trailers(self) -> bool:
        """Whether it is over trailers too, so that they may follow the body."""
        ...


class Scheme[P: Presented](Protocol):
    """A way to sign requests: `read`, `admit` and `match` check a signature, `sign` makes one.

    A check comes in three steps, so that nothing is read of a body before its sender has named a key in force and a
    time within the window: `read`, `admit`, `match`. A scheme that carries some of it in the body has the body asked
    for before `admit`. Each raises Denied, whose detail MUST NOT hold a signature, a
    secret, or what was signed. None of them may do more work than the bounds of a head allow.
    """

    @property
    def name(self) -> str:
        """Its name in the policy."""
        ...

    @property
    def needs_body(self) -> bool:
        """Whether `match` must be given the body."""
        ...

    @property
    def carried_in_body(self) -> bool:
        """Whether signature, key id, timestamp or nonce stand in the body, so that `read_body` follows `read`."""
        ...

    @property
    def algorithms(self) -> AbstractSet[str]:
        """The algorithms that its keys may be for."""
        ...

    @property
    def names_key(self) -> bool:
        """Whether a request names the key it was signed with."""
        ...

    @property
    def dated(self) -> bool:
        """Whether a request states when it was signed, so that the window counts."""
        ...

    @property
    def carriers(self) -> AbstractSet[str]:
        """Names of the fields that carry signature and key id, in lower case."""
        ...

    @property
    def sets(self) -> AbstractSet[str]:
        """Names of all fields that `sign` may set, in lower case."""
        ...

    def weaknesses(self) -> tuple[str, ...]:
        """Give what the scheme leaves unprotected, one sentence each with the way to mend it."""
        ...

    def read(self, head: RequestHead, known: Known, /) -> P:
        """Read what the request presents. `known` may choose among several signatures."""
        ...

    def read_body(self, presented: P, head: RequestHead, body: bytes, known: Known, /) -> P:
        """Read the rest of what the request presents, where the scheme carries it in the body."""
        ...

    def admit(
        self, presented: P, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the partner's keys that may have made the signature, where the time it states is within the window."""
        ...

    def match(
        self, head: RequestHead, body: bytes, presented: P, keys: tuple[SigningKey, ...], window: Window
    ) -> VerifiedSignature:
        """Verify the signature over the bytes received by one of the keys."""
        ...

    def string_to_sign(self, head: RequestHead, body: bytes, presented: P, /) -> bytes:
        """Give what the presented signature must be over, for people who look for a difference.

        It holds what the request holds, so it MUST NOT be logged. Where a secret is part of it, `{secret}` stands in
        its place. Raises Denied where the request cannot be signed.
        """
        ...

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Sign a message as a client of the scheme does.

        `nonce` is text that was never used before, up to 128 visible ASCII characters; a scheme without nonce leaves it
        aside. To sign an answer, give what `as_answered` makes of its request's head, and the answer's body: that is
        meant for schemes that sign the body, and what they sign of the head is the request's. Raises ValueError where
        the key is not for the scheme, or the scheme would refuse the message for its form. What is signed is what
        `applied` gives: whoever sends the message MUST send that, byte by byte.
        """
        ...


def read_whole[P: Presented](scheme: Scheme[P], head: RequestHead, body: bytes, known: Known) -> P:
    """Read what a request presents whose body is at hand. Raises Denied as `read` and `read_body` do."""
    presented = scheme.read(head, known)
    return scheme.read_body(presented, head, body, known) if scheme.carried_in_body else presented


def as_answered[P: Presented](scheme: Scheme[P], head: RequestHead, fields: Iterable[tuple[str, str]]) -> RequestHead:
    """Give the head that an answer is signed with by a scheme for requests (see `Scheme.sign`).

    It is the request's, but for what the scheme sets, and for Content-Type, which is about the body: they stand in the
    answer's `fields`, and nowhere else.
    """
    answers = scheme.sets | {"content-type"}
    own = [(name, value) for name, value in fields if name in answers]
    kept = [(name, value) for name, value in head.headers.fields if name not in answers]
    return head._replace(headers=Headers([*kept, *own]))


def refusal(reason: Reason, detail: str) -> Denied:
    """Make the denial of a signature, with the challenge that every 401 carries (RFC 9110 11.6.1)."""
    return Denied(reason, detail, (CHALLENGE,))


def inactive(key: SigningKey, now: Instant) -> str:
    """Say why a key that is not in force is not."""
    if key.not_before is not None and now < key.not_before:
        return f"key {key.id!r} begins in {key.not_before - now:.0f} s"
    return f"key {key.id!r} ended {now - (key.not_after or now):.0f} s ago"
