"""Signing: the keys that signatures are made with, and what signing changes of a message.

Whoever signs (`gateway sign`, requests towards upstream, answers, tests) holds an `OwnKey`, calls `Scheme.sign`, and
applies what it gives to the message.
"""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.signing.algorithms import PrivateSigner


@dataclass(frozen=True, slots=True, eq=False)
class OwnKey:
    """A key to sign with. Raises ValueError for a private key of another algorithm. Its `repr` shows no secret."""

    id: str
    algorithm: str
    material: Secret | PrivateSigner
    """A shared secret, or a private key."""
    not_before: Instant | None = None
    not_after: Instant | None = None

    def __post_init__(self) -> None:
        if isinstance(self.material, PrivateSigner) and self.material.algorithm != self.algorithm:
            raise ValueError(f"key {self.id!r} is for {self.material.algorithm}, not {self.algorithm}")

    @classmethod
    def shared(cls, key: SigningKey) -> "OwnKey | None":
        """Give a partner's key as one to sign for the partner with; None where only the partner can sign with it."""
        if not isinstance(key.material, Secret):
            return None
        return cls(key.id, key.algorithm, key.material, key.not_before, key.not_after)

    def in_force(self, now: Instant) -> bool:
        """Whether it may sign at `now`: from `not_before` until before `not_after`."""
        return (self.not_before is None or self.not_before <= now) and (self.not_after is None or now < self.not_after)

    @property
    def secret(self) -> Secret:
        """The shared secret. Raises ValueError for a private key."""
        if not isinstance(self.material, Secret):
            raise ValueError(f"key {self.id!r} for {self.algorithm} is a private key")  # noqa: TRY004 - the caller's
        return self.material

    @property
    def private(self) -> PrivateSigner:
        """The private key. Raises ValueError for a shared secret."""
        if isinstance(self.material, Secret):
            raise ValueError(f"key {self.id!r} for {self.algorithm} is a shared secret")  # noqa: TRY004 - the caller's
        return self.material


class Signed(NamedTuple):
    """What signing changes of a message."""

    fields: list[tuple[str, str]]
    """Fields to set, names in lower case; whatever stood under the same name is replaced."""
    target: str | None = None
    """The request target, where the scheme writes into the query; else None."""
    body: bytes | None = None
    """The body, where the scheme writes into it; else None."""

    def applied(self, head: RequestHead, body: bytes) -> tuple[RequestHead, bytes]:
        """Give the signed message. Content-Length follows the body where the head declares it."""
        fields = list(self.fields)
        if self.body is not None:
            body = self.body
            if head.content_length is not None:
                fields.append(("content-length", str(len(body))))
                head = head._replace(content_length=len(body))
            head = head._replace(has_body=bool(body))
        if self.target is not None:
            path, question, query = self.target.partition("?")
            head = head._replace(target=self.target, path=path, query=query if question else None)
        return with_fields(head, fields), body


def with_fields(head: RequestHead, fields: list[tuple[str, str]]) -> RequestHead:
    """Give a head in which these fields stand in place of those of their names."""
    own = {name for name, _ in fields}
    kept = [(name, value) for name, value in head.headers.fields if name not in own]
    return head._replace(headers=Headers([*kept, *fields]))
