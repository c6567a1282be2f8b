"""Facts that a control has verified. Each type has one constructor call outside the tests: in that control."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.message import Instant


class Confirmation(NamedTuple):
    """What the sender of a token must prove to have (RFC 7800): each of the two that is given."""

    certificate: str | None
    """SHA-256 of the client certificate (`x5t#S256`, RFC 8705 3.1), lower-case hex."""
    key: str | None
    """Thumbprint of the key that proofs are signed with (`jkt`, RFC 9449 6.1), base64url."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of an access token whose signature, issuer, audience and times were verified (`token`)."""

    issuer: str
    """Name of the issuer in the policy."""
    subject: str
    token_id: str | None
    """The jti claim."""
    scopes: frozenset[str]
    issued_at: Instant
    expires: Instant
    all: Mapping[str, object]
    not_before: Instant | None = None
    confirmation: Confirmation | None = None
    """None: a bearer token, which is anyone's who has it."""
    authenticated_at: Instant | None = None
    """The auth_time claim, where the route asks for it."""
    key_id: str | None = None
    """The issuer's key that verified the token; None where the issuer was asked about it."""
    digests: tuple[bytes, ...] = ()
    """SHA-256 of the token's text, and of a JWT without its signature before that."""

    def __repr__(self) -> str:
        """Without the claims themselves: they may hold personal data."""
        return f"Claims(issuer={self.issuer!r}, subject={self.subject!r}, token_id={self.token_id!r})"


class VerifiedSignature(NamedTuple):
    """A request signature that matched (`signature`)."""

    key_id: str
    created: Instant | None
    """The signed timestamp; None where the scheme has none."""
    nonce: str | None
    identity: bytes
    """What tells this request from all others: key id and nonce, or where there is no nonce (or it runs into what is
    signed beside it) the SHA-256 over the string to sign."""
    window_end: Instant | None
    """When the timestamp leaves the window; None where the scheme has no timestamp."""
