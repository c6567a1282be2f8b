from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from gateway.core.message import Headers
from gateway.core.networks import MAX_FORWARDED_HOPS, NetworkSet, client_address, normalised
from gateway.core.reasons import Denied, Reason
from tests import world

NETWORKS = NetworkSet(
    ip_network(text) for text in ("198.51.100.0/24", "203.0.113.7/32", "10.0.0.0/8", "2001:db8::/32", "::1/128")
)
PROXIES = NetworkSet([ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")])
PROXY = "10.0.0.1"


def client(peer: str, *forwarded: str) -> str:
    headers = Headers([("x-forwarded-for", value) for value in forwarded])
    return str(client_address(world.peer(ip_address(peer)), headers, PROXIES))


class TestNormalised:
    @pytest.mark.parametrize(
        ("address", "plain"),
        [
            ("198.51.100.7", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("::FFFF:c633:6407", "198.51.100.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("::198.51.100.7", "::c633:6407"),
            ("64:ff9b::198.51.100.7", "64:ff9b::c633:6407"),
        ],
    )
    def test_a_mapped_address_is_the_ipv4_address(self, address: str, plain: str) -> None:
        assert str(normalised(ip_address(address))) == plain

    def test_the_scope_is_no_part_of_the_address(self) -> None:
        assert normalised(IPv6Address("fe80::1%eth0")) == IPv6Address("fe80::1")


class TestNetworkSet:
    @pytest.mark.parametrize(
        "address", ["198.51.100.0", "198.51.100.255", "203.0.113.7", "10.255.255.255", "2001:db8:ffff::", "::1"]
    )
    def test_what_lies_in_a_network_is_in_the_set(self, address: str) -> None:
        assert ip_address(address) in NETWORKS

    @pytest.mark.parametrize(
        "address", ["198.51.99.255", "198.51.101.0", "203.0.113.6", "11.0.0.0", "2001:db9::", "::2", "::10.0.0.1"]
    )
    def test_what_lies_in_none_is_not(self, address: str) -> None:
        assert ip_address(address) not in NETWORKS

    @pytest.mark.parametrize(("network", "address"), [("0.0.0.0/0", "8.8.8.8"), ("::/0", "2001:db8::1")])
    def test_a_network_of_everything_holds_its_own_family_only(self, network: str, address: str) -> None:
        everything = NetworkSet([ip_network(network)])
        assert ip_address(address) in everything
        assert (ip_address("::1") in everything) == (network == "::/0")

    def test_an_empty_set_holds_nothing(self) -> None:
        assert ip_address("198.51.100.7") not in NetworkSet()
        assert not NetworkSet()
        assert NETWORKS

    def test_a_long_set_is_shown_cut(self) -> None:
        many = NetworkSet(ip_network(f"10.0.{number}.0/24") for number in range(9))
        assert repr(NetworkSet([ip_network("::1/128")])) == "NetworkSet(::1/128)"
        assert repr(many).endswith("10.0.7.0/24, …)")


class TestClientAddress:
    @pytest.mark.parametrize("forwarded", [(), ("203.0.113.9",), ("10.0.0.1",), ("nonsense",), ("a," * 100,)])
    def test_a_peer_that_is_no_trusted_proxy_speaks_for_itself(self, forwarded: tuple[str, ...]) -> None:
        assert client("198.51.100.7", *forwarded) == "198.51.100.7"

    def test_a_proxy_that_names_nobody_counts_itself(self) -> None:
        assert client(PROXY) == PROXY

    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            pytest.param(("203.0.113.9",), "203.0.113.9", id="one hop"),
            pytest.param(("198.51.100.7, 203.0.113.9",), "203.0.113.9", id="a claim of the client's own"),
            pytest.param(("198.51.100.7", "203.0.113.9"), "203.0.113.9", id="a claim in a field of its own"),
            pytest.param(("203.0.113.9, 10.0.0.2 ,\t10.0.0.3",), "203.0.113.9", id="proxies behind"),
            pytest.param(("203.0.113.9", "10.0.0.2"), "203.0.113.9", id="proxies behind in fields of their own"),
            pytest.param(("nonsense, 203.0.113.9",), "203.0.113.9", id="nonsense before what counts"),
            pytest.param(("10.0.0.9, 10.0.0.2",), "10.0.0.9", id="nothing but proxies"),
            pytest.param(("::ffff:203.0.113.9",), "203.0.113.9", id="mapped address"),
            pytest.param(("203.0.113.9, ::ffff:10.0.0.2",), "203.0.113.9", id="mapped proxy"),
            pytest.param(("2001:db8::1, 2001:db8:ffff::2",), "2001:db8::1", id="IPv6"),
        ],
    )
    def test_behind_proxies_the_last_address_that_is_none_of_them_counts(
        self, forwarded: tuple[str, ...], address: str
    ) -> None:
        assert client(PROXY, *forwarded) == address

    @pytest.mark.parametrize(
        "forwarded",
        [
            "",
            "203.0.113.9,",
            "unknown",
            "203.0.113.9:5555",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            '"203.0.113.9"',
            "203.0.113.09",
            "0xcb.0.113.9",
            "3405803785",
            "203.0.113.9\xa0",
            "api.psp.example",
            "nonsense, 10.0.0.2",
        ],
    )
    def test_what_is_no_address_at_the_place_that_counts_is_refused(self, forwarded: str) -> None:
        with pytest.raises(Denied) as caught:
            client(PROXY, forwarded)
        assert caught.value.reason is Reason.ADDRESS_UNREADABLE

    def test_as_many_hops_as_allowed_are_read(self) -> None:
        assert client(PROXY, ", ".join(["203.0.113.9"] * MAX_FORWARDED_HOPS)) == "203.0.113.9"

    @pytest.mark.parametrize("values", [["203.0.113.9, 203.0.113.9"] * 17, [", ".join(["203.0.113.9"] * 33)]])
    def test_too_many_hops_are_refused(self, values: list[str]) -> None:
        with pytest.raises(Denied) as caught:
            client(PROXY, *values)
        assert caught.value.reason is Reason.ADDRESS_UNREADABLE
        assert "entries" in caught.value.detail
