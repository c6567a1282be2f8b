"""The claims of a token whose signature was verified: read with the types RFC 7519 gives them, then checked."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.controls.credentials import ANY_AUTHENTICATION, Authentication
from gateway.controls.demands import Demand
from gateway.core.facts import Claims, Confirmation
from gateway.core.issuer import Issuer
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.signing.jose import decode_base64url

LATEST = 253_402_300_799
"""9999-12-31T23:59:59Z: a later NumericDate is a mistake, such as milliseconds."""

MAX_AHEAD = 60.0
"""Seconds that iat and nbf may lie ahead, whatever the skew: FAPI 2.0 takes 10, and no more than 60."""


@dataclass(frozen=True, slots=True, eq=False)
class ClaimRules:
    """What a route demands of its callers' tokens. Every route has its own, be they in the same words."""

    issuer: Issuer
    audience: str
    max_lifetime: float | None
    """Seconds between iat and exp; None: any."""
    demands: tuple[Demand, ...] = ()
    authentication: Authentication = ANY_AUTHENTICATION

    def check(self, values: Mapping[str, object], now: Instant) -> Claims:
        """Make Claims of what a verified token says.

        1. iss is the issuer's, character by character: TOKEN_ISSUER
        2. aud names the audience: TOKEN_AUDIENCE
        3. now lies before exp plus the skew; at exp plus the skew the token has expired: TOKEN_EXPIRED
        4. nbf and iat lie at most the skew ahead of now: TOKEN_NOT_YET_VALID
        5. exp minus iat is no more than the route allows: TOKEN_LIFETIME
        6. sub, and jti, cnf and the scopes where they are given, have their types; client_id and jti are there where
           the issuer's profile says so (RFC 9068 2.2)
        7. single claims are as the route demands: TOKEN_CLAIM_RULE
        8. the user was authenticated as the route demands: TOKEN_AUTHENTICATION

        Raises Denied with those reasons, and with TOKEN_CLAIM where a claim is missing or has the wrong type.
        """
        if text_claim(values, "iss") != self.issuer.issuer:
            raise Denied(Reason.TOKEN_ISSUER, f"iss is not that of issuer {self.issuer.name}")
        if self.audience not in _audiences(values):
            raise Denied(Reason.TOKEN_AUDIENCE, f"aud does not name {self.audience}")
        issued_at, expires = time_claim(values, "iat"), time_claim(values, "exp")
        not_before = time_claim(values, "nbf") if "nbf" in values else None
        self._check_times(issued_at, not_before, expires, now)
        profiled = self.issuer.profile == "rfc9068"
        if profiled:
            text_claim(values, "client_id")
        claims = Claims(
            issuer=self.issuer.name,
            subject=text_claim(values, "sub"),
            token_id=text_claim(values, "jti") if profiled or "jti" in values else None,
            scopes=_scopes(values),
            issued_at=issued_at,
            expires=expires,
            all=values,
            not_before=not_before,
            confirmation=_confirmation(values["cnf"]) if "cnf" in values else None,
            authenticated_at=self._authenticated_at(values),
        )
        for demand in self.demands:
            demand.check(values)
        self._check_authentication(claims, now)
        return claims

    def still_hold(self, claims: Claims, now: Instant) -> bool:
        """Whether claims that these rules have passed hold now, too: nothing but the time can have changed that."""
        skew = self.issuer.skew
        starts = claims.issued_at if claims.not_before is None else max(claims.issued_at, claims.not_before)
        return starts <= now + min(skew, MAX_AHEAD) and now < claims.expires + skew and self._is_recent(claims, now)

    def _authenticated_at(self, values: Mapping[str, object]) -> Instant | None:
        if self.authentication.max_age is None or "auth_time" not in values:
            return None
        return time_claim(values, "auth_time")

    def _is_recent(self, claims: Claims, now: Instant) -> bool:
        """Whether the user was authenticated as lately as the route wants."""
        max_age, authenticated = self.authentication.max_age, claims.authenticated_at
        if max_age is None:
            return True
        return authenticated is not None and now <= authenticated + max_age + self.issuer.skew

    def _check_authentication(self, claims: Claims, now: Instant) -> None:
        wanted = self.authentication
        if wanted.acr and claims.all.get("acr") not in wanted.acr:
            raise Denied(Reason.TOKEN_AUTHENTICATION, f"acr is none of {', '.join(wanted.acr)}")
        if not self._is_recent(claims, now):
            raise Denied(Reason.TOKEN_AUTHENTICATION, f"auth_time is missing, or older than {wanted.max_age:.0f} s")

    def _check_times(self, issued_at: Instant, not_before: Instant | None, expires: Instant, now: Instant) -> None:
        skew = self.issuer.skew
        latest = now + min(skew, MAX_AHEAD)
        if expires <= issued_at:
            raise Denied(Reason.TOKEN_CLAIM, "exp is not after iat")
        if now >= expires + skew:
            raise Denied(Reason.TOKEN_EXPIRED, f"expired {now - expires:.0f} s ago")
        if not_before is not None and not_before > latest:
            raise Denied(Reason.TOKEN_NOT_YET_VALID, f"nbf lies {not_before - now:.0f} s ahead")
        if issued_at > latest:
            raise Denied(Reason.TOKEN_NOT_YET_VALID, f"iat lies {issued_at - now:.0f} s ahead")
        if self.max_lifetime is not None and expires - issued_at > self.max_lifetime:
            lifetime = f"exp is {expires - issued_at:.0f} s after iat"
            raise Denied(Reason.TOKEN_LIFETIME, f"{lifetime}; the route takes {self.max_lifetime:.0f} s")


def text_claim(values: Mapping[str, object], name: str) -> str:
    """Give a claim that must be a non-empty string; raises Denied(TOKEN_CLAIM)."""
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise Denied(Reason.TOKEN_CLAIM, f"{name} is missing, empty or not a string")
    return value


def time_claim(values: Mapping[str, object], name: str) -> Instant:
    """Give a claim that must be a NumericDate (RFC 7519 section 2): a JSON number; raises Denied(TOKEN_CLAIM)."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise Denied(Reason.TOKEN_CLAIM, f"{name} is missing or not a number of seconds since 1970")
    return Instant(float(value))


def _confirmation(value: object) -> Confirmation:
    """Read the cnf claim (RFC 7800 3.1). Members that are not known here confirm nothing."""
    if not isinstance(value, dict):
        raise Denied(Reason.TOKEN_CLAIM, "cnf is not a JSON object")
    certificate, key = (_sha256_of(value[name], name) if name in value else None for name in ("x5t#S256", "jkt"))
    return Confirmation(None if certificate is None else decode_base64url(certificate).hex(), key)


def _sha256_of(value: object, name: str) -> str:
    try:
        if isinstance(value, str) and len(decode_base64url(value)) == 32:
            return value
    except ValueError:
        pass
    raise Denied(Reason.TOKEN_CLAIM, f"cnf: {name} is no SHA-256 in base64url")


def _audiences(values: Mapping[str, object]) -> list[str]:
    value = values.get("aud")
    return [value] if isinstance(value, str) else _texts(value, "aud")


def _scopes(values: Mapping[str, object]) -> frozenset[str]:
    """Scopes of `scope` (RFC 8693 4.2) or `scp`, as some issuers name it. Two that differ are two readings."""
    given = [frozenset(_scope_list(values[name], name)) for name in ("scope", "scp") if name in values]
    if len(set(given)) > 1:
        raise Denied(Reason.TOKEN_CLAIM, "scope and scp disagree")
    return given[0] - {""} if given else frozenset()


def _scope_list(value: object, name: str) -> list[str]:
    if isinstance(value, str):
        return value.split(" ")
    return _texts(value if name == "scp" else None, name)


def _texts(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Denied(Reason.TOKEN_CLAIM, f"{name} is missing or has not the type of RFC 7519")
    return value
