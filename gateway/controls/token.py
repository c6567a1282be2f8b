"""Access tokens: bearer JWTs (RFC 6750, RFC 9068) of one issuer, for one audience, with the scopes a route needs."""

import re
from collections import OrderedDict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from gateway.controls.claims import ClaimRules, text_claim, time_claim
from gateway.core.chain import Answer, Ask, FetchKeys, answered
from gateway.core.facts import Claims
from gateway.core.memo import Bounded
from gateway.core.message import Headers, Instant
from gateway.core.policy import Issuer
from gateway.core.reasons import Denied, Reason
from gateway.signing.jose import read_object
from gateway.signing.jwks import ALGORITHMS, KeySet
from gateway.signing.jws import CompactJws

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

MAX_TOKEN_BYTES = 8_192
"""Bytes of a token. Tokens of many claims have 2 to 4 KiB; more than this is not parsed at all."""

RECENT = 256
"""Tokens whose digests are remembered with their text, until as many others came or the keys change."""

_SCHEME = "Bearer "
_CHALLENGE = 'Bearer realm="gateway"'
_BEARER = re.compile(r"bearer(?: +(?P<token>[A-Za-z0-9\-._~+/]+=*))?\Z", re.IGNORECASE | re.ASCII)
_OTHER_SCHEME = re.compile(r"(?!bearer(?: |\Z))", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says whose signature was verified, with its algorithm. Whether its claims hold is up to rules."""

    algorithm: str
    claims: Mapping[str, object]
    expires: Instant
    _passed: Bounded[ClaimRules, Claims] = field(
        default_factory=lambda: Bounded(capacity=8, size=lambda _: 0), init=False, repr=False, compare=False
    )
    """What the rules of the routes where the token was used last made of the claims."""

    def claims_by(self, rules: ClaimRules, now: Instant) -> Claims:
        """Give the claims as `ClaimRules.check` does, and raise what it raises; read only once for each route."""
        known = self._passed.get(rules)
        if known is not None and rules.still_hold(known, now):
            return known
        return self._passed.keep(rules, rules.check(self.claims, now))


class VerifiedTokens:
    """The tokens of one issuer whose signatures were verified, so that each is verified once.

    A token is known by the SHA-256 of its text. Only canonical text gets here, and only after its signature was
    verified; it is forgotten at its exp, when the key set is replaced by another, or as the oldest of too many.
    The digests of the tokens that came last are remembered, as hashing one costs more than looking it up.
    """

    __slots__ = ("_capacity", "_digests", "_keys", "_tokens")

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._keys: KeySet | None = None
        self._tokens: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._digests: Bounded[str, bytes] = Bounded(capacity=RECENT, longest=MAX_TOKEN_BYTES)

    def digest(self, credentials: str) -> bytes | None:
        """Give the digest of the token in an Authorization field, where it is known."""
        digest = self._digests.get(credentials)
        if digest is None:
            digest = sha256(credentials[len(_SCHEME) :].encode()).digest()
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

    def remember(self, digest: bytes, keys: KeySet, token: VerifiedToken) -> None:
        """Keep a token that `keys` verified, unless `keys` has been replaced meanwhile."""
        if keys is not self._keys or self._capacity <= 0:
            return
        while len(self._tokens) >= self._capacity:
            self._tokens.popitem(last=False)
        self._tokens[digest] = token


@dataclass(frozen=True, slots=True)
class TokenControl:
    """Takes one bearer token from the Authorization field, verifies it, and identifies or confirms the partner."""

    issuer: Issuer
    audience: str
    scopes: frozenset[str]
    """Scopes that the token must all have."""
    max_lifetime: float | None
    """Most seconds between iat and exp; None: any."""
    verified: VerifiedTokens

    name: ClassVar[str] = "token"

    _rules: ClaimRules = field(init=False, repr=False, compare=False)
    _ask: FetchKeys = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for an issuer whose algorithms are not all asymmetric ones that are known."""
        if not self.issuer.algorithms or not self.issuer.algorithms <= ALGORITHMS:
            raise ValueError(f"issuer {self.issuer.name}: algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
        object.__setattr__(self, "_rules", ClaimRules(self.issuer, self.audience, self.max_lifetime))
        object.__setattr__(self, "_ask", FetchKeys(self.issuer.name))

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Check the token.

        1. one Authorization field carries one bearer token: TOKEN_MISSING, FIELD_REPEATED
        2. it is a compact JWS of bounded size in canonical form: TOKEN_MALFORMED
        3. the policy allows its algorithm, the issuer has its key, and both fit: TOKEN_ALGORITHM, TOKEN_KEY_UNKNOWN
        4. the key verifies its signature: TOKEN_SIGNATURE
        5. its claims hold now, for this issuer and audience (`ClaimRules.check`)
        6. the partner claim is one of the partner's subjects: TOKEN_SUBJECT, PARTNER_NOT_ALLOWED
        7. it has every scope that the route needs: TOKEN_SCOPE

        Steps 2 to 4 are skipped for a token that has been through them with the same keys. Raises Denied with those
        reasons and the challenge of RFC 6750 section 3.
        """
        try:
            token, digest = self._presented(exchange.request.headers)
            keys = answered((yield self._ask), KeySet)
            verified = self.verified.find(digest, keys, exchange.now)
            if verified is None or verified.algorithm not in self.issuer.algorithms:
                verified = self._verify(token, keys)
                self.verified.remember(digest, keys, verified)
            self._accept(exchange, verified)
        except Denied as denied:
            challenge = _challenge(denied.reason, self.scopes)
            raise Denied(denied.reason, denied.detail, denied.fields + challenge) from None

    def _presented(self, headers: Headers) -> tuple[str, bytes]:
        """Give the token of a request and its digest; one that is known has been through `bearer_token`."""
        credentials = headers.single("authorization")
        if credentials is not None and credentials.startswith(_SCHEME) and len(credentials) <= MAX_TOKEN_BYTES:
            digest = self.verified.digest(credentials)
            if digest is not None:
                return credentials[len(_SCHEME) :], digest
        token = bearer_token(headers)
        return token, sha256(token.encode()).digest()

    def _verify(self, token: str, keys: KeySet) -> VerifiedToken:
        try:
            jws = CompactJws.read(token)
        except ValueError as error:
            raise Denied(Reason.TOKEN_MALFORMED, str(error)) from None
        if jws.algorithm not in self.issuer.algorithms:
            raise Denied(Reason.TOKEN_ALGORITHM, f"alg {jws.algorithm[:32]!r} is not allowed for {self.issuer.name}")
        key = keys.keys.get(jws.key_id) if jws.key_id is not None else None
        if key is None:
            raise Denied(Reason.TOKEN_KEY_UNKNOWN, f"kid {(jws.key_id or '')[:64]!r} is no key of {self.issuer.name}")
        if jws.algorithm not in key.algorithms:
            raise Denied(Reason.TOKEN_ALGORITHM, f"key {key.kid!r} is not for {jws.algorithm}")
        if not key.verifies(jws.algorithm, jws.signing_input, jws.signature):
            raise Denied(Reason.TOKEN_SIGNATURE, f"key {key.kid!r} did not make it")
        try:
            claims = MappingProxyType(read_object(jws.payload))
        except ValueError as error:
            raise Denied(Reason.TOKEN_MALFORMED, f"claims: {error}") from None
        return VerifiedToken(jws.algorithm, claims, time_claim(claims, "exp"))

    def _accept(self, exchange: "Exchange", verified: VerifiedToken) -> None:
        exchange.claims = claims = verified.claims_by(self._rules, exchange.now)
        self._identify(exchange, claims)
        if not self.scopes <= claims.scopes:
            raise Denied(Reason.TOKEN_SCOPE, f"lacks {' '.join(sorted(self.scopes - claims.scopes))}")

    def _identify(self, exchange: "Exchange", claims: Claims) -> None:
        claim = self.issuer.partner_claim
        subject = text_claim(claims.all, claim)
        partner = exchange.partner
        if partner is None:
            names = exchange.policy.partners_of_subject(self.issuer.name, subject)
            if len(names) != 1:
                listed = f"is listed by {', '.join(sorted(names))}" if names else "is no partner's"
                raise Denied(Reason.TOKEN_SUBJECT, f"{claim} {listed}")
            partner = exchange.policy.partners[next(iter(names))]
        elif subject not in partner.subjects.get(self.issuer.name, ()):
            raise Denied(Reason.TOKEN_SUBJECT, f"{claim} is no subject of {partner.name} at {self.issuer.name}")
        exchange.identify(partner, Reason.TOKEN_SUBJECT)


def bearer_token(headers: Headers) -> str:
    """Give the one bearer token of a request (RFC 6750 section 2.1), unverified.

    Raises Denied(TOKEN_MISSING) where there is none, FIELD_REPEATED where Authorization stands twice, and
    TOKEN_MALFORMED where what follows `Bearer` is too long or no single token.
    """
    credentials = headers.single("authorization")
    if credentials is None or _OTHER_SCHEME.match(credentials):
        raise Denied(Reason.TOKEN_MISSING, "no Authorization field with the Bearer scheme")
    if len(credentials) > MAX_TOKEN_BYTES:
        raise Denied(Reason.TOKEN_MALFORMED, f"{len(credentials)} bytes; at most {MAX_TOKEN_BYTES} are read")
    match = _BEARER.match(credentials)
    if match is None or match["token"] is None:
        raise Denied(Reason.TOKEN_MALFORMED, "Bearer is not followed by one token (RFC 6750 2.1)")
    return match["token"]


def _challenge(reason: Reason, scopes: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Give the WWW-Authenticate field of RFC 6750 section 3; a request without a token gets no error code (3.1)."""
    if reason is Reason.TOKEN_MISSING:
        challenge = _CHALLENGE
    elif reason is Reason.TOKEN_SCOPE:
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{" ".join(sorted(scopes))}"'
    elif reason.status == 401:
        challenge = f'{_CHALLENGE}, error="invalid_token"'
    else:
        return ()
    return (("www-authenticate", challenge),)
