"""Who issues access tokens, and how it is asked about them: a part of the compiled policy."""

from dataclasses import dataclass, field
from pathlib import PurePath

from gateway.core.secret import Secret


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where an issuer publishes its keys, and how long they count."""

    url: str | None
    """Of the key set; None: the issuer's metadata names it (RFC 8414, OpenID Connect Discovery)."""
    ca: PurePath | None = None
    """PEM file of the CAs that the server's certificate must lead to; None: the system's."""
    refresh: float = 600.0
    """Seconds after which keys are fetched anew, where the answer's Cache-Control says nothing."""
    stale: float = 3_600.0
    """Seconds that keys go on counting when they cannot be fetched anew."""
    timeout: float = 5.0
    """Seconds for one fetch, discovery included."""
    plaintext: bool = False
    """Whether http:// to this machine is allowed, in words."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues access tokens."""

    name: str
    issuer: str
    """The iss claim, compared character by character."""
    keys: PurePath | KeySource | None
    """JWKS file (RFC 7517), or where it is fetched; None: tokens are opaque, and the issuer is asked about each."""
    algorithms: frozenset[str]
    skew: float = 10.0
    """Seconds of tolerance for exp, nbf and iat."""
    partner_claim: str = "sub"
    profile: str = "jwt"
    """`rfc9068`: tokens must be access tokens by that profile; `jwt`: any JWT will do."""
    introspection: "Introspection | None" = None
    """How the issuer is asked about tokens; None: it is not."""


@dataclass(frozen=True, slots=True)
class Introspection:
    """How an issuer is asked whether a token is good (RFC 7662)."""

    url: str
    client_id: str | None = None
    client_secret: Secret | None = field(default=None, compare=False, repr=False)
    certificate: PurePath | None = None
    """PEM file of the gate's own certificate towards the issuer; None: the secret authenticates it."""
    key: PurePath | None = None
    ca: PurePath | None = None
    """PEM file of the CAs that the server's certificate must lead to; None: the system's."""
    cache: float = 30.0
    """Seconds for which an answer counts, never beyond the token's exp."""
    cache_negative: float = 5.0
    """Seconds for which the answer counts that a token is not good."""
    timeout: float = 2.0
