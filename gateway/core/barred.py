"""Who and what the operator took out of use while the gate runs, and who is locked out.

Looked up in dictionaries, so that a list of 100,000 costs a request no more than one of ten.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.facts import Claims
from gateway.core.memo import Bounded
from gateway.core.message import Address, Certificate, Instant, Tls
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange
    from gateway.core.policy import Partner


class Thing(Enum):
    """What can be barred. The value of each is text; that of an issuer's begins with its name and a slash."""

    PARTNER = "partner"
    CERTIFICATE = "certificate"
    """SHA-256 of the certificate, lower-case hex."""
    KEY = "key"
    """Id of a partner's signing key."""
    ISSUER_KEY = "issuer-key"
    """Issuer and kid."""
    TOKEN = "token"  # noqa: S105 - a name
    """Issuer and jti."""
    TOKEN_DIGEST = "token-digest"  # noqa: S105 - a name
    """SHA-256 of a token's text, lower-case hex."""
    SUBJECT = "subject"
    """Issuer and sub."""
    LOCKED_PARTNER = "locked-partner"
    """By failed authentications, as `gateway.core.lockout` counts them."""
    LOCKED_ADDRESS = "locked-address"
    """An IPv4 address, or the first 64 bits of an IPv6 address."""

    __hash__ = object.__hash__  # as Reason's


LOCKED = frozenset({Thing.LOCKED_PARTNER, Thing.LOCKED_ADDRESS})


class Bar(NamedTuple):
    """That one of them is barred."""

    number: int
    """By which it can be lifted."""
    until: Instant | None
    """None: until it is lifted."""


class Barred:
    """All that is barred now. Immutable: a change makes another one of these."""

    def __init__(self, bars: Mapping[tuple[Thing, str], Bar]) -> None:
        self.bars = bars
        by_thing: dict[Thing, dict[str, Bar]] = {thing: {} for thing in Thing}
        for (thing, value), bar in bars.items():
            by_thing[thing][value] = bar
        self._partners = by_thing[Thing.PARTNER]
        self._certificates = by_thing[Thing.CERTIFICATE]
        self._keys = by_thing[Thing.KEY]
        self._issuer_keys = by_thing[Thing.ISSUER_KEY]
        self._tokens = by_thing[Thing.TOKEN]
        self._digests = by_thing[Thing.TOKEN_DIGEST]
        self._subjects = by_thing[Thing.SUBJECT]
        self._of_tokens = bool(self._issuer_keys or self._digests)
        self._locked = {key: bar for key, bar in bars.items() if key[0] in LOCKED}
        self._passed: Bounded[tuple[int, int, int], object] = Bounded(size=lambda _: 0)
        """Callers whom nothing bars, by what is known of them; each is held here, so that its identity is its own."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.bars)})"

    def check(self, exchange: "Exchange") -> None:
        """Look at all that was verified of a request so far.

        Raises Denied(REVOKED_CERTIFICATE, REVOKED_PARTNER, REVOKED_TOKEN or REVOKED_KEY).
        """
        tls, partner, claims = exchange.peer.tls, exchange.partner, exchange.claims
        callers = id(tls), id(partner), id(claims)
        if callers not in self._passed:
            self._check_caller(tls, partner, claims, exchange.now)
            self._passed.keep(callers, (tls, partner, claims))
        if exchange.signature is not None and exchange.signature.key_id in self._keys:
            _refuse(self._keys, exchange.signature.key_id, exchange.now, Reason.REVOKED_KEY)

    def _check_caller(self, tls: Tls | None, partner: "Partner | None", claims: Claims | None, now: Instant) -> None:
        if tls is not None and tls.certificate is not None:
            _refuse(self._certificates, tls.certificate.fingerprint, now, Reason.REVOKED_CERTIFICATE)
        if partner is not None:
            _refuse(self._partners, partner.name, now, Reason.REVOKED_PARTNER)
        if claims is not None:
            if claims.token_id is not None:
                _refuse(self._tokens, f"{claims.issuer}/{claims.token_id}", now, Reason.REVOKED_TOKEN)
            _refuse(self._subjects, f"{claims.issuer}/{claims.subject}", now, Reason.REVOKED_TOKEN)

    def check_connection(self, certificate: Certificate, partners: Iterable[str], now: Instant) -> None:
        """Look at a connection that stands, by its certificate and all partners that this fits.

        Raises Denied(REVOKED_CERTIFICATE), or (REVOKED_PARTNER) where none of the partners may call any more.
        """
        _refuse(self._certificates, certificate.fingerprint, now, Reason.REVOKED_CERTIFICATE)
        refused = None
        for name in partners:
            try:
                _refuse(self._partners, name, now, Reason.REVOKED_PARTNER)
            except Denied as denied:
                refused = denied
            else:
                return
        if refused is not None:
            raise refused

    def check_locked(self, exchange: "Exchange") -> None:
        """Raise Denied(LOCKED_OUT) for a caller who failed too often, before its credentials are looked at."""
        if self._locked:
            _refuse(self._locked, caller_of(exchange), exchange.now, Reason.LOCKED_OUT)

    def check_token(self, issuer: str, key_id: str | None, digest: bytes, now: Instant) -> None:
        """Look at a token whose signature was verified: Denied(REVOKED_TOKEN, REVOKED_KEY)."""
        if self._of_tokens:
            _refuse(self._digests, digest.hex(), now, Reason.REVOKED_TOKEN)
            if key_id is not None:
                _refuse(self._issuer_keys, f"{issuer}/{key_id}", now, Reason.REVOKED_KEY)


class Unreadable(Barred):
    """What is barred is not known, so nothing passes."""

    def __init__(self, detail: str) -> None:
        super().__init__({})
        self.detail = detail

    def check(self, exchange: "Exchange") -> None:
        """Raise Denied(REVOCATIONS_UNREADABLE)."""
        del exchange
        raise Denied(Reason.REVOCATIONS_UNREADABLE, self.detail)


class Caller(NamedTuple):
    """Who is counted."""

    thing: Thing
    value: str


def caller_of(exchange: "Exchange") -> Caller:
    """Give who is counted for a request."""
    if exchange.partner is not None and "mutual_tls" in exchange.passed:
        return Caller(Thing.LOCKED_PARTNER, exchange.partner.name)
    return Caller(Thing.LOCKED_ADDRESS, network_of(exchange.client_address))


def network_of(address: Address) -> str:
    """Give what an address counts as: of IPv6 its first 64 bits, as the others are the caller's to choose."""
    if address.version == 4:
        return str(address)
    return f"{type(address)(int(address) >> 64 << 64)}/64"


def _refuse[K](bars: Mapping[K, Bar], value: K, now: Instant, reason: Reason) -> None:
    bar = bars.get(value)
    if bar is not None and (bar.until is None or now < bar.until):
        raise Denied(reason, f"number {bar.number}")
