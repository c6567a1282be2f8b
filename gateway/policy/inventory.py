"""The keys, certificates and revocation lists that a policy trusts or uses, each with its place, kept as it is read."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from cryptography import x509

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.pki.crl import RevocationList
from gateway.policy.nodes import Place, Trail
from gateway.signing.jwks import VerificationKey


class Role(Enum):
    """What the gate does with it."""

    PRESENTED = "presented"
    """The gate's own certificate."""
    SENT_ALONG = "sent along"
    """An intermediate behind it."""
    AUTHORITY = "trusted CA"
    TOKENS = "verifies tokens"
    SIGNATURES = "verifies signatures"
    SIGNS = "signs for the gate"
    PINNED = "recognises the partner"
    REVOKES = "tells who is revoked"


class Owner(NamedTuple):
    """What in the policy it belongs to: `listener main`, `partner acme-casino`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Pin:
    """A certificate or public key known by its SHA-256 only."""

    kind: str
    """`fingerprint` or `public_key`, as in the policy."""
    digest: str


class SystemAuthorities:
    """The CAs that the operating system trusts: an upstream without `ca` is verified by them."""


type Crypto = x509.Certificate | VerificationKey | SigningKey | Pin | SystemAuthorities | RevocationList


@dataclass(frozen=True, slots=True)
class Material:
    """One key, certificate or revocation list in one use."""

    owner: Owner
    role: Role
    what: Crypto
    place: Place
    trail: Trail
    file: str = ""
    """The file it stands in, as messages show it; empty where it is in none, or a secret's."""

    @property
    def not_before(self) -> Instant | None:
        """When it comes into force; None: no such time is known."""
        if isinstance(self.what, x509.Certificate):
            return Instant(self.what.not_valid_before_utc.timestamp())
        if isinstance(self.what, RevocationList):
            return self.what.this_update
        return self.what.not_before if isinstance(self.what, SigningKey) else None

    @property
    def not_after(self) -> Instant | None:
        """When it ends; None: no such time is known."""
        if isinstance(self.what, x509.Certificate):
            return Instant(self.what.not_valid_after_utc.timestamp())
        if isinstance(self.what, RevocationList):
            return self.what.next_update
        return self.what.not_after if isinstance(self.what, SigningKey) else None

    @property
    def label(self) -> str:
        """Name it in a few words, without what could steer a terminal; never a secret."""
        match self.what:
            case x509.Certificate():
                said = f"certificate {_subject(self.what)}"
            case VerificationKey(kid=kid):
                said = f"key {kid}"
            case SigningKey(id=identifier):
                said = f"key {identifier}"
            case Pin(kind=kind, digest=digest):
                said = f"{kind} {digest}"
            case RevocationList(issuer=issuer):
                said = f"revocation list of {issuer.rfc4514_string() or 'a CA without a name'}"
            case SystemAuthorities():
                said = "the system's CAs"
        return printable(said)


def printable(text: str) -> str:
    """Replace what could steer a terminal or break a line: names in certificates are whatever their issuer let in."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _subject(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string() or "without a name"
    except ValueError:
        return "whose name cannot be read"
