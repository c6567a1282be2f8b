from ipaddress import ip_address, ip_network

import pytest

from gateway.controls.ip_allowlist import IpAllowlist
from gateway.core.message import Address
from gateway.core.networks import NetworkSet
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import World

ROUTE_NETWORKS = NetworkSet([ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48")])


def refusal(control: IpAllowlist, address: Address, partner: world.Partner | None) -> Denied:
    exchange = World().exchange()
    exchange.client_address = address
    exchange.partner = partner
    with pytest.raises(Denied) as caught:
        world.check(control, exchange)
    assert caught.value.reason is Reason.ADDRESS_NOT_ALLOWED
    return caught.value


@pytest.mark.parametrize("address", ["192.0.2.0", "192.0.2.255", "2001:db8:1::7"])
def test_an_address_in_the_routes_networks_passes(address: str) -> None:
    exchange = World().exchange()
    exchange.client_address = ip_address(address)
    assert IpAllowlist(ROUTE_NETWORKS).check(exchange) == ()


@pytest.mark.parametrize("address", ["192.0.3.0", "2001:db8:2::7", "::192.0.2.1"])
def test_an_address_outside_the_routes_networks_is_refused(address: str) -> None:
    denied = refusal(IpAllowlist(ROUTE_NETWORKS), ip_address(address), None)
    assert denied.detail == f"{ip_address(address)} is in no network of the route"


def test_the_routes_networks_count_alone_where_they_are_given() -> None:
    assert refusal(IpAllowlist(ROUTE_NETWORKS), world.ADDRESS, world.partner())


@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8:ac3e::1"])
def test_an_address_in_the_partners_networks_passes(address: str) -> None:
    exchange = World().exchange()
    exchange.client_address = ip_address(address)
    exchange.partner = world.partner()
    assert IpAllowlist(None).check(exchange) == ()


def test_another_partners_address_is_refused() -> None:
    denied = refusal(IpAllowlist(None), world.OTHER_ADDRESS, world.partner())
    assert denied.detail == "203.0.113.9 is in no network of acme-casino"


@pytest.mark.parametrize("control", [IpAllowlist(NetworkSet()), IpAllowlist(None)])
def test_no_networks_let_nobody_pass(control: IpAllowlist) -> None:
    assert refusal(control, world.ADDRESS, world.partner(networks=NetworkSet()))


def test_the_networks_of_a_partner_that_nobody_identified_are_refused() -> None:
    assert "no earlier control" in refusal(IpAllowlist(None), world.ADDRESS, None).detail
