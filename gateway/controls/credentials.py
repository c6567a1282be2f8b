"""Where an access token stands in a request, and how a request is asked for a better one."""

import re
from dataclasses import dataclass

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason

MAX_TOKEN_BYTES = 8_192
"""Bytes of a token. Tokens of many claims have 2 to 4 KiB; more than this is not parsed at all."""

BEARER = "Bearer "

_BEARER = re.compile(r"bearer(?: +(?P<token>[A-Za-z0-9\-._~+/]+=*))?\Z", re.IGNORECASE | re.ASCII)
_OTHER_SCHEME = re.compile(r"(?!bearer(?: |\Z))", re.IGNORECASE | re.ASCII)
_REALM = 'realm="gateway"'


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


@dataclass(frozen=True, slots=True)
class Authentication:
    """How lately and by what a token's user must have been authenticated (RFC 9470)."""

    acr: tuple[str, ...] = ()
    """One of these; none: any."""
    max_age: float | None = None
    """Seconds since auth_time; None: any."""


ANY_AUTHENTICATION = Authentication()


@dataclass(frozen=True, slots=True)
class Challenger:
    """Makes the WWW-Authenticate field of RFC 6750 section 3: what the standard asks for, and nothing more."""

    scopes: frozenset[str] = frozenset()
    authentication: Authentication = ANY_AUTHENTICATION

    def fields(self, reason: Reason) -> tuple[tuple[str, str], ...]:
        """Give the fields for a refusal; a request without a token gets no error code (RFC 6750 3.1)."""
        if reason is Reason.TOKEN_MISSING:
            said = [_REALM]
        elif reason is Reason.TOKEN_SCOPE:
            said = [_REALM, 'error="insufficient_scope"', f'scope="{" ".join(sorted(self.scopes))}"']
        elif reason is Reason.TOKEN_AUTHENTICATION:
            said = [_REALM, 'error="insufficient_user_authentication"', *self._demands()]
        elif reason.status == 401:
            said = [_REALM, 'error="invalid_token"']
        else:
            return ()
        return (("www-authenticate", f"{BEARER}{', '.join(said)}"),)

    def _demands(self) -> list[str]:
        """Give what a client must ask the issuer for (RFC 9470 section 3)."""
        wanted = self.authentication
        acr = [f'acr_values="{" ".join(wanted.acr)}"'] if wanted.acr else []
        return acr if wanted.max_age is None else [*acr, f'max_age="{wanted.max_age:.0f}"']
