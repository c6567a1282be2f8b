"""Access tokens: bearer JWTs (RFC 6750, RFC 9068) of one issuer, for one audience, with the scopes a route needs."""

from collections.abc import Generator
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from gateway.controls.claims import ClaimRules, text_claim, time_claim
from gateway.controls.credentials import (
    ANY_AUTHENTICATION,
    BEARER,
    MAX_TOKEN_BYTES,
    Authentication,
    Challenger,
    presented_token,
)
from gateway.controls.demands import BodyTie, Demand, PathTie
from gateway.controls.dpop import Proofs
from gateway.controls.verified import VerifiedToken, VerifiedTokens
from gateway.core.barred import caller_of
from gateway.core.chain import Answer, Ask, FetchKeys, Introspect, Introspected, answered
from gateway.core.facts import Claims, Confirmation
from gateway.core.issuer import Issuer, KeySource
from gateway.core.policy import SwitchedOff
from gateway.core.reasons import Denied, Reason
from gateway.signing.dpop import Proof
from gateway.signing.jose import read_object
from gateway.signing.jwks import ALGORITHMS, KeySet
from gateway.signing.jws import AT_JWT, CompactJws

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

type Binding = Literal["certificate", "dpop", "either"] | SwitchedOff | None
"""What tokens of a route must be bound to. None: what each states itself; switched off: not even that is checked."""


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
    bound_to: Binding = None
    demands: tuple[Demand, ...] = ()
    path_ties: tuple[PathTie, ...] = ()
    body_ties: tuple[BodyTie, ...] = ()
    """Checked by `TokenBody`, at the end of the chain."""
    authentication: Authentication = ANY_AUTHENTICATION
    proofs: Proofs | None = None
    """What proofs of possession must be; None: none are taken. There where `bound_to` says dpop or either."""

    name: ClassVar[str] = "token"

    _rules: ClaimRules = field(init=False, repr=False, compare=False)
    _challenger: Challenger = field(init=False, repr=False, compare=False)
    _ask: FetchKeys = field(init=False, repr=False, compare=False)
    _signed: bool = field(init=False, repr=False, compare=False)
    """Whether tokens are JWTs of the issuer's keys; else it is asked about each."""
    _rotates: bool = field(init=False, repr=False, compare=False)
    """Whether newer keys may be had than those that were answered."""

    def __post_init__(self) -> None:
        """Raise ValueError for an issuer whose algorithms are not all asymmetric ones that are known."""
        if self.issuer.keys is None:
            if self.issuer.introspection is None:
                raise ValueError(f"issuer {self.issuer.name}: neither keys nor introspection")
        elif not self.issuer.algorithms or not self.issuer.algorithms <= ALGORITHMS:
            raise ValueError(f"issuer {self.issuer.name}: algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
        rules = ClaimRules(self.issuer, self.audience, self.max_lifetime, self.demands, self.authentication)
        object.__setattr__(self, "_rules", rules)
        if (self.proofs is not None) != (self.bound_to in ("dpop", "either")):
            raise ValueError("proofs go with bound_to dpop or either")
        algorithms = () if self.proofs is None else tuple(sorted(self.proofs.algorithms))
        challenger = Challenger(self.scopes, self.authentication, self.bound_to != "dpop", algorithms)
        object.__setattr__(self, "_challenger", challenger)
        object.__setattr__(self, "_ask", FetchKeys(self.issuer.name))
        object.__setattr__(self, "_signed", self.issuer.keys is not None)
        object.__setattr__(self, "_rotates", isinstance(self.issuer.keys, KeySource))

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Check the token.

        1. one Authorization field carries one bearer token: TOKEN_MISSING, FIELD_REPEATED
        2. it is a compact JWS of bounded size in canonical form: TOKEN_MALFORMED
        3. the policy allows its algorithm, the issuer has its key, and both fit: TOKEN_ALGORITHM, TOKEN_KEY_UNKNOWN
        4. the key verifies its signature: TOKEN_SIGNATURE; it is of the type that the issuer's profile says: TOKEN_TYPE
        5. its claims hold now, for this issuer, audience and route (`ClaimRules.check`)
        6. it came from whom it is bound to: TOKEN_BINDING, and what `Proofs.check` raises
        7. the partner claim is one of the partner's subjects: TOKEN_SUBJECT, PARTNER_NOT_ALLOWED
        8. it has every scope that the route needs: TOKEN_SCOPE
        9. claims that the route ties to its path are those of the path: TOKEN_RESOURCE
        10. its proof comes for the first time: TOKEN_PROOF_REPLAYED

        An issuer with introspection is asked about the token after step 4, and where it has no keys in place of steps 2
        to 4: TOKEN_INACTIVE. Steps 2 to 4 are skipped for a token that has been through them with the same keys. Raises
        Denied with those reasons and the challenge of RFC 6750 section 3.
        """
        dpop = False
        try:
            token, digest, dpop = self._presented(exchange)
            if self._signed:
                keys = answered((yield self._ask), KeySet)
                verified = self.verified.find(digest, keys, exchange.now)
                if verified is None or verified.algorithm not in self.issuer.algorithms:
                    jws = self._read(token)
                    if self._rotates and jws.key_id is not None and keys.find(jws.key_id, jws.algorithm) is None:
                        keys = answered((yield FetchKeys(self.issuer.name, jws.key_id)), KeySet)
                        self.verified.find(digest, keys, exchange.now)
                    verified = self._verify(jws, keys, digest)
                    self.verified.remember(digest, keys, verified)
                if self.issuer.introspection is not None:
                    _active((yield Introspect(self.issuer.name, token, digest, caller_of(exchange).value)))
            else:
                answer = _active((yield Introspect(self.issuer.name, token, digest, caller_of(exchange).value)))
                if self.max_lifetime is not None:
                    time_claim(answer.claims, "iat")
                verified = self.verified.introspected(digest, answer, self.issuer.issuer)
            proof = self._accept(exchange, verified, digest, dpop=dpop)
            if proof is not None and self.proofs is not None and exchange.partner is not None:
                yield from self.proofs.once(proof, exchange.partner.name)
        except Denied as denied:
            challenge = self._challenger.fields(denied.reason, dpop=dpop)
            if self.proofs is not None and denied.reason is Reason.TOKEN_PROOF_NONCE:
                challenge += self.proofs.fresh_nonce(exchange.now)
            raise Denied(denied.reason, denied.detail, denied.fields + challenge) from None

    def _presented(self, exchange: "Exchange") -> tuple[str, bytes, bool]:
        """Give the token of a request, its digest, and whether it came with the DPoP scheme.

        A bearer token that is known has been through `presented_token`. Who is locked out is not listened to.
        """
        if exchange.barred is not None:
            exchange.barred.check_locked(exchange)
        headers = exchange.request.headers
        credentials = headers.single("authorization")
        if credentials is not None and credentials.startswith(BEARER) and len(credentials) <= MAX_TOKEN_BYTES:
            digest = self.verified.digest(credentials)
            if digest is not None:
                return credentials[len(BEARER) :], digest, False
        token, dpop = presented_token(headers, dpop=self.proofs is not None)
        return token, sha256(token.encode()).digest(), dpop

    def _read(self, token: str) -> CompactJws:
        try:
            jws = CompactJws.read(token)
        except ValueError as error:
            raise Denied(Reason.TOKEN_MALFORMED, str(error)) from None
        if jws.algorithm not in self.issuer.algorithms:
            raise Denied(Reason.TOKEN_ALGORITHM, f"alg {jws.algorithm[:32]!r} is not allowed for {self.issuer.name}")
        return jws

    def _verify(self, jws: CompactJws, keys: KeySet, digest: bytes) -> VerifiedToken:
        key = keys.find(jws.key_id, jws.algorithm) if jws.key_id is not None else None
        if key is None:
            raise Denied(Reason.TOKEN_KEY_UNKNOWN, f"kid {(jws.key_id or '')[:64]!r} is no key of {self.issuer.name}")
        if jws.algorithm not in key.algorithms:
            raise Denied(Reason.TOKEN_ALGORITHM, f"key {key.kid!r} is not for {jws.algorithm}")
        if not key.verifies(jws.algorithm, jws.signing_input, jws.signature):
            raise Denied(Reason.TOKEN_SIGNATURE, f"key {key.kid!r} did not make it")
        if self.issuer.profile == "rfc9068" and jws.kind != AT_JWT:
            raise Denied(Reason.TOKEN_TYPE, f"typ is {jws.kind}, not {AT_JWT} (RFC 9068 4)")
        try:
            claims = MappingProxyType(read_object(jws.payload))
        except ValueError as error:
            raise Denied(Reason.TOKEN_MALFORMED, f"claims: {error}") from None
        digests = sha256(jws.signing_input).digest(), digest
        return VerifiedToken(jws.algorithm, claims, time_claim(claims, "exp"), key.kid, digests)

    def _accept(self, exchange: "Exchange", verified: VerifiedToken, digest: bytes, *, dpop: bool) -> Proof | None:
        """Accept the token; gives the proof that came with it, which is still to be claimed."""
        proof = None
        exchange.claims = claims = verified.claims_by(self._rules, exchange.now)
        if claims.confirmation is not None or self.bound_to is not None:
            proof = self._check_binding(exchange, claims.confirmation, digest, dpop=dpop)
        self._identify(exchange, claims)
        if not self.scopes <= claims.scopes:
            raise Denied(Reason.TOKEN_SCOPE, f"lacks {' '.join(sorted(self.scopes - claims.scopes))}")
        if self.path_ties and exchange.route is not None:
            for tie in self.path_ties:
                tie.check(claims.all, exchange.route.match.path, exchange.request.path)
        return proof

    def _check_binding(
        self, exchange: "Exchange", confirmation: Confirmation | None, digest: bytes, *, dpop: bool
    ) -> Proof | None:
        """Raise Denied where the sender is not the one whom the token was issued to; gives its proof.

        What a token states is checked on every route: one that is bound and comes from anywhere else was stolen.
        """
        if isinstance(self.bound_to, SwitchedOff):
            return None
        certificate, key = confirmation or (None, None)
        proof = None
        if dpop:
            if key is None or self.proofs is None:
                raise Denied(Reason.TOKEN_BINDING, "came with the DPoP scheme, and cnf has no jkt (RFC 9449 7.1)")
            proof = self.proofs.check(exchange, digest, key)
        elif key is not None:
            raise Denied(Reason.TOKEN_BINDING, "bound to a key by jkt, and came as a bearer token (RFC 9449 7.2)")
        elif self.bound_to == "dpop":
            raise Denied(Reason.TOKEN_BINDING, "came as a bearer token, and the route takes DPoP alone")
        elif certificate is None:
            detail = "cnf has neither x5t#S256 nor jkt" if confirmation is not None else "it is bound to nothing"
            raise Denied(Reason.TOKEN_BINDING, f"{detail}, so nobody can prove that it is theirs (RFC 8705)")
        if certificate is not None:
            _check_certificate(exchange, certificate)
        return proof

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


def _active(answer: Answer) -> Introspected:
    found = answered(answer, Introspected)
    if not found.active:
        raise Denied(Reason.TOKEN_INACTIVE, "its issuer says that it is not active")
    return found


def _check_certificate(exchange: "Exchange", fingerprint: str) -> None:
    """Raise Denied(TOKEN_BINDING) where the connection's certificate is not the one a token is bound to (RFC 8705)."""
    certificate = exchange.peer.tls.certificate if exchange.peer.tls is not None else None
    if certificate is None:
        raise Denied(Reason.TOKEN_BINDING, "bound to a certificate, and the connection has none")
    if not compare_digest(certificate.fingerprint, fingerprint):
        raise Denied(Reason.TOKEN_BINDING, "bound to another certificate than the connection's")
