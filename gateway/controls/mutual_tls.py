"""Mutual TLS: the client certificate stands for exactly one partner, and is valid now."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import NOTHING, Asks
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class MutualTls:
    """Identifies the partner by the certificate of the handshake.

    OpenSSL accepted chain and purpose before any request was read. What it cannot know is checked here:

    1. a certificate was shown at all: the listener may let clients come without one
    2. it is valid at this request: a connection may outlive its certificate. The validity includes both its ends
       (RFC 5280 4.1.2.5)
    3. where the route names CAs, the verified chain leads over one of them
    4. exactly one partner of the policy goes by it, and the route lists that partner
    """

    name: ClassVar[str] = "mutual_tls"

    authorities: frozenset[str] | None = None
    """Public keys of the CAs that the route takes, by their SHA-256; None: any that the listener trusts."""

    def check(self, exchange: "Exchange") -> Asks:
        """Identify the partner.

        Raises Denied(CERTIFICATE_MISSING, CERTIFICATE_EXPIRED, CERTIFICATE_ISSUER, CERTIFICATE_AMBIGUOUS,
        PARTNER_UNKNOWN or PARTNER_NOT_ALLOWED).
        """
        certificate = exchange.peer.tls.certificate if exchange.peer.tls is not None else None
        if certificate is None:
            raise Denied(Reason.CERTIFICATE_MISSING, "the connection carries no client certificate")
        if not certificate.not_before <= exchange.now <= certificate.not_after:
            raise Denied(Reason.CERTIFICATE_EXPIRED, f"certificate {certificate.serial} is outside its validity")
        if self.authorities is not None and self.authorities.isdisjoint(certificate.authorities):
            raise Denied(Reason.CERTIFICATE_ISSUER, f"issued by {certificate.issuer}, not by a CA of the route")
        names = exchange.policy.partners_of(certificate)
        if len(names) > 1:
            raise Denied(Reason.CERTIFICATE_AMBIGUOUS, f"the certificate fits {', '.join(sorted(names))}")
        if not names:
            raise Denied(Reason.PARTNER_UNKNOWN, f"no partner goes by certificate {certificate.fingerprint}")
        (name,) = names
        exchange.identify(exchange.policy.partners[name], Reason.CERTIFICATE_AMBIGUOUS)
        return NOTHING
