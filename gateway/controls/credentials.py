"""Where an access token stands in a request, and how a request is asked for a better one."""

import re
from dataclasses import dataclass

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason

MAX_TOKEN_BYTES = 8_192
"""Bytes of a token. Tokens of many claims have 2 to 4 KiB; more than this is not parsed at all."""

BEARER = "Bearer "

DPOP = "DPoP "

_FOLLOWED = r"(?: +(?P<token>[A-Za-z0-9\-._~+/]+=*))?\Z"
_BEARER = re.compile(f"(?P<scheme>bearer){_FOLLOWED}", re.IGNORECASE | re.ASCII)
_EITHER = re.compile(f"(?P<scheme>bearer|dpop){_FOLLOWED}", re.IGNORECASE | re.ASCII)
_IS_BEARER = re.compile(r"bearer(?: |\Z)", re.IGNORECASE | re.ASCII)
_IS_EITHER = re.compile(r"(?:bearer|dpop)(?: |\Z)", re.IGNORECASE | re.ASCII)
_REALM = 'realm="gateway"'


def presented_token(headers: Headers, *, dpop: bool = False) -> tuple[str, bool]:
    """Give the one access token of a request, unverified, and whether it came with the DPoP scheme.

    RFC 6750 section 2.1, and with `dpop` RFC 9449 section 7.1. Raises Denied(TOKEN_MISSING) where there is none,
    FIELD_REPEATED where Authorization stands twice, and TOKEN_MALFORMED where what follows the scheme is too long or no
    single token.
    """
    credentials = headers.single("authorization")
    if credentials is None or not (_IS_EITHER if dpop else _IS_BEARER).match(credentials):
        schemes = "the DPoP or Bearer scheme" if dpop else "the Bearer scheme"
        raise Denied(Reason.TOKEN_MISSING, f"no Authorization field with {schemes}")
    if len(credentials) > MAX_TOKEN_BYTES:
        raise Denied(Reason.TOKEN_MALFORMED, f"{len(credentials)} bytes; at most {MAX_TOKEN_BYTES} are read")
    match = (_EITHER if dpop else _BEARER).match(credentials)
    if match is None or match["token"] is None:
        raise Denied(Reason.TOKEN_MALFORMED, "the scheme is not followed by one token (RFC 6750 2.1)")
    return match["token"], match["scheme"].lower() == "dpop"


@dataclass(frozen=True, slots=True)
class Authentication:
    """How lately and by what a token's user must have been authenticated (RFC 9470)."""

    acr: tuple[str, ...] = ()
    """One of these; none: any."""
    max_age: float | None = None
    """Seconds since auth_time; None: any."""


ANY_AUTHENTICATION = Authentication()


_PROOF_ERRORS = {
    Reason.TOKEN_PROOF: "invalid_dpop_proof",
    Reason.TOKEN_PROOF_REPLAYED: "invalid_dpop_proof",
    Reason.REPLAY_UNKNOWABLE: "invalid_dpop_proof",
    Reason.TOKEN_PROOF_NONCE: "use_dpop_nonce",
}


@dataclass(frozen=True, slots=True)
class Challenger:
    """Makes the WWW-Authenticate fields of RFC 6750 section 3 and RFC 9449 section 7.1: what they ask for, not more."""

    scopes: frozenset[str] = frozenset()
    authentication: Authentication = ANY_AUTHENTICATION
    bearer: bool = True
    """Whether the route takes bearer tokens."""
    proofs: tuple[str, ...] = ()
    """Algorithms of proofs that the route takes; none: it takes no proofs."""

    def fields(self, reason: Reason, *, dpop: bool = False) -> tuple[tuple[str, str], ...]:
        """Give the fields for a refusal of a token that came with the DPoP scheme, or with Bearer.

        A request without a token gets no error code (RFC 6750 3.1). Of two schemes, the one that was used has it.
        """
        if reason is Reason.TOKEN_MISSING:
            error: list[str] = []
        elif reason is Reason.TOKEN_SCOPE:
            error = ['error="insufficient_scope"', f'scope="{" ".join(sorted(self.scopes))}"']
        elif reason is Reason.TOKEN_AUTHENTICATION:
            error = ['error="insufficient_user_authentication"', *self._demands()]
        elif dpop and reason in _PROOF_ERRORS:
            error = [f'error="{_PROOF_ERRORS[reason]}"']
        elif reason.status == 401:
            error = ['error="invalid_token"']
        else:
            return ()
        schemes = []
        if self.bearer:
            schemes.append(f"{BEARER}{', '.join([_REALM, *([] if dpop else error)])}")
        if self.proofs:
            about = [_REALM, f'algs="{" ".join(self.proofs)}"', *(error if dpop or not self.bearer else [])]
            schemes.append(f"{DPOP}{', '.join(about)}")
        return tuple(("www-authenticate", scheme) for scheme in schemes)

    def _demands(self) -> list[str]:
        """Give what a client must ask the issuer for (RFC 9470 section 3)."""
        wanted = self.authentication
        acr = [f'acr_values="{" ".join(wanted.acr)}"'] if wanted.acr else []
        return acr if wanted.max_age is None else [*acr, f'max_age="{wanted.max_age:.0f}"']
