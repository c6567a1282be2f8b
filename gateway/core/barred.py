"""Who and what the operator took out of use while the gate runs, and who is locked out.

Looked up in dictionaries, so that a list of 100,000 costs a request no more than one of ten.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Self

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
    """SHA-256 of a token's text, lower-case hex; of a JWT, without its signature.

    Whoever has a JWT by ES256 can write another signature that verifies just as well (r, n - s), and would have another
    text for the same token.
    """
    SUBJECT = "subject"
    """Issuer and sub."""
    LOCKED_PARTNER = "locked-partner"
    """By failed authentications, as `gateway.core.lockout` counts them."""
    LOCKED_ADDRESS = "locked-address"
    """An IPv4 address, or the first 64 bits of an IPv6 address."""

    __hash__ = object.__hash__  # as Reason's


LOCKED = frozenset({Thing.LOCKED_PARTNER, Thing.LOCKED_ADDRESS})

MOST_LOCKED = 10_000
"""Lock-outs that are held at once; beyond that the oldest is forgotten. Whoever has more addresses than that to spare
gains nothing by it: each new one is as good."""


class Bar(NamedTuple):
    """That one of them is barred."""

    number: int
    """By which it can be lifted."""
    until: Instant | None
    """None: until it is lifted."""


class Barred:
    """All that is barred now. Immutable: a change makes another one of these."""

    def __init__(self, bars: Mapping[tuple[Thing, str], Bar], uncounted: str = "") -> None:
        self.bars = {key: bar for key, bar in bars.items() if key[0] not in LOCKED}
        """What was revoked."""
        self.uncounted = uncounted
        """Why failed authentications cannot be counted, and nobody's credentials are looked at; empty: they can be."""
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
        self.locked = _newest({key: bar for key, bar in bars.items() if key[0] in LOCKED})
        """Who is locked out, oldest first."""
        self._passed: Bounded[tuple[int, int, int], object] = Bounded(size=lambda _: 0)
        """Callers whom nothing bars, by what is known of them; each is held here, so that its identity is its own."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.bars) + len(self.locked)})"

    def locking(self, caller: "Caller", bar: Bar) -> Self:
        """Give the same, and one caller locked out: for no more than a copy of the lock-outs."""
        made = copy(self)
        made.locked = _newest({**self.locked, (caller.thing, caller.value): bar})
        return made

    def counting(self, uncounted: str) -> Self:
        """Give the same, and why failed authentications cannot be counted; empty where they can be."""
        made = copy(self)
        made.uncounted = uncounted
        return made

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
            if self._of_tokens:
                for digest in claims.digests:
                    _refuse(self._digests, digest.hex(), now, Reason.REVOKED_TOKEN)
                if claims.key_id is not None:
                    _refuse(self._issuer_keys, f"{claims.issuer}/{claims.key_id}", now, Reason.REVOKED_KEY)

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
        """Look at a caller before its credentials are looked at.

        Raises Denied: LOCKED_OUT for one who failed too often, STATE_UNAVAILABLE where it could not be counted if this
        one fails.
        """
        if self.locked:
            _refuse(self.locked, caller_of(exchange), exchange.now, Reason.LOCKED_OUT)
        if self.uncounted:
            raise Denied(Reason.STATE_UNAVAILABLE, self.uncounted)


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


def _newest(locked: dict[tuple[Thing, str], Bar]) -> dict[tuple[Thing, str], Bar]:
    """Leave out the oldest of too many. Partners stay: there are as many as the policy has."""
    if len(locked) <= MOST_LOCKED:
        return locked
    addresses = [key for key in locked if key[0] is Thing.LOCKED_ADDRESS]
    gone = set(addresses[: len(locked) - MOST_LOCKED])
    return {key: bar for key, bar in locked.items() if key not in gone}


def _refuse[K](bars: Mapping[K, Bar], value: K, now: Instant, reason: Reason) -> None:
    bar = bars.get(value)
    if bar is not None and (bar.until is None or now < bar.until):
        raise Denied(reason, f"number {bar.number}")
