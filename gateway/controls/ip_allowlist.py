"""IP allowlist: the client's address is in the networks of the route, or in the partner's own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import NOTHING, Asks
from gateway.core.networks import NetworkSet
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange


@dataclass(frozen=True, slots=True)
class IpAllowlist:
    """Lets addresses of some networks pass; an empty set lets none pass."""

    networks: NetworkSet | None
    """None: the networks of the partner that an earlier control identified."""

    name: ClassVar[str] = "ip_allowlist"

    def check(self, exchange: "Exchange") -> Asks:
        """Check the client's address; raises Denied(ADDRESS_NOT_ALLOWED)."""
        networks, whose = self.networks, "the route"
        if networks is None:
            if exchange.partner is None:
                raise Denied(
                    Reason.ADDRESS_NOT_ALLOWED, "no earlier control identified the partner whose networks count"
                )
            networks, whose = exchange.partner.networks, exchange.partner.name
        if exchange.client_address not in networks:
            raise Denied(Reason.ADDRESS_NOT_ALLOWED, f"{exchange.client_address} is in no network of {whose}")
        return NOTHING
