"""Tokens whose signatures were verified, kept so that each is verified once."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType

from gateway.controls.claims import ClaimRules, time_claim
from gateway.controls.credentials import BEARER, MAX_TOKEN_BYTES
from gateway.core.chain import Introspected
from gateway.core.facts import Claims
from gateway.core.memo import Bounded
from gateway.core.message import Instant
from gateway.signing.jwks import KeySet

RECENT = 256
"""Tokens whose digests are remembered with their text, until as many others came or the keys change."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says whose signature was verified, with its algorithm. Whether its claims hold is up to rules."""

    algorithm: str
    claims: Mapping[str, object]
    expires: Instant
    key_id: str | None = None
    digests: tuple[bytes, ...] = ()
    """By which the token is known (`Claims.digests`)."""
    _passed: Bounded[ClaimRules, Claims] = field(
        default_factory=lambda: Bounded(capacity=8, size=lambda _: 0), init=False, repr=False, compare=False
    )
    """What the rules of the routes where the token was used last made of the claims."""

    def claims_by(self, rules: ClaimRules, now: Instant) -> Claims:
        """Give the claims as `ClaimRules.check` does, and raise what it raises; read only once for each route."""
        known = self._passed.get(rules)
        if known is not None and rules.still_hold(known, now):
            return known
        found = replace(rules.check(self.claims, now), key_id=self.key_id, digests=self.digests)
        return self._passed.keep(rules, found)


class VerifiedTokens:
    """The tokens of one issuer whose signatures were verified, so that each is verified once.

    A token is known by the SHA-256 of its text. Only canonical text gets here, and only after its signature was
    verified; it is forgotten at its exp, when the key set is replaced by another, or as the oldest of too many.
    The digests of the tokens that came last are remembered, as hashing one costs more than looking it up.
    """

    __slots__ = ("_capacity", "_digests", "_introspected", "_keys", "_tokens")

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._keys: KeySet | None = None
        self._tokens: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._introspected: Bounded[bytes, tuple[Introspected, VerifiedToken]] = Bounded(capacity=capacity)
        self._digests: Bounded[str, bytes] = Bounded(capacity=RECENT, longest=MAX_TOKEN_BYTES)

    def digest(self, credentials: str) -> bytes | None:
        """Give the digest of the token in an Authorization field, where it is known."""
        digest = self._digests.get(credentials)
        if digest is None:
            digest = sha256(credentials[len(BEARER) :].encode()).digest()
            if digest in self._tokens:
                self._digests.keep(credentials, digest)
        return digest if digest in self._tokens else None

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"VerifiedTokens({len(self)} of {self._capacity})"

    def __contains__(self, digest: object) -> bool:
        return digest in self._tokens

    def find(self, digest: bytes, keys: KeySet, now: Instant) -> VerifiedToken | None:
        """Give the token with this digest where `keys` verified it and `now` is before its exp."""
        if keys is not self._keys:
            self._tokens.clear()
            self._digests.clear()
            self._keys = keys
        token = self._tokens.get(digest)
        if token is not None and now >= token.expires:
            del self._tokens[digest]
            return None
        return token

    def introspected(self, digest: bytes, answer: Introspected, issuer: str) -> VerifiedToken:
        """Give the token that its issuer vouched for: the same as long as the answer is. Raises Denied(TOKEN_CLAIM).

        `issuer` is what iss must be; an answer that does not say is that issuer's, and of a token issued by then.
        """
        known = self._introspected.get(digest)
        if known is not None and known[0] is answer:
            return known[1]
        claims = MappingProxyType({"iss": issuer, "iat": answer.at, **answer.claims})
        token = VerifiedToken("", claims, time_claim(claims, "exp"), digests=(digest,))
        return self._introspected.keep(digest, (answer, token))[1]

    def remember(self, digest: bytes, keys: KeySet, token: VerifiedToken) -> None:
        """Keep a token that `keys` verified, unless `keys` has been replaced meanwhile."""
        if keys is not self._keys or self._capacity <= 0:
            return
        while len(self._tokens) >= self._capacity:
            self._tokens.popitem(last=False)
        self._tokens[digest] = token
