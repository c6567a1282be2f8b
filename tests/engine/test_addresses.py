"""X-Forwarded-For: counts behind a trusted proxy, and changes nothing from anybody else."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.core.networks import NetworkSet
from gateway.core.reasons import Reason
from tests.engine.harness import Running, get, running

CLIENTS = NetworkSet([ip_network("198.51.100.0/24"), ip_network("2001:db8:ac3e::/48")])
TRUSTED = NetworkSet([ip_network("127.0.0.0/8"), ip_network("192.0.2.0/24")])


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 192.0.2.8", "198.51.100.7"),
        ("2001:db8:ac3e::7", "2001:db8:ac3e::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
    ],
    ids=["one", "behind what the client claimed", "through two proxies", "IPv6", "mapped"],
)
async def test_behind_a_trusted_proxy_the_forwarded_address_counts(
    tmp_path: Path, forwarded: str, address: str
) -> None:
    async with running(tmp_path, listener={"trusted_proxies": TRUSTED}, networks=CLIENTS) as up:
        assert (await up.send(get(x_forwarded_for=forwarded))).status == 200

        sent = [value for name, value in up.upstream.fields() if name == "x-forwarded-for"]
        assert sent == [address]
        (record,) = up.records("decision")
        assert record["src_endpoint"]["ip"] == address
        assert record["src_endpoint"]["proxy_endpoint"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "reason"),
    [
        ("203.0.113.9", Reason.ADDRESS_NOT_ALLOWED),
        ("198.51.100.7, 203.0.113.9", Reason.ADDRESS_NOT_ALLOWED),
        ("198.51.100.7, unknown", Reason.ADDRESS_UNREADABLE),
        ("198.51.100.7:51234", Reason.ADDRESS_UNREADABLE),
        ("198.51.100.7,", Reason.ADDRESS_UNREADABLE),
        (", ".join(["198.51.100.7"] * 40), Reason.ADDRESS_UNREADABLE),
        ("192.0.2.8", Reason.ADDRESS_NOT_ALLOWED),
    ],
    ids=["another", "the last counts", "a word", "a port", "empty", "endless", "proxies alone"],
)
async def test_a_forwarded_address_that_does_not_pass(tmp_path: Path, forwarded: str, reason: Reason) -> None:
    async with running(tmp_path, listener={"trusted_proxies": TRUSTED}, networks=CLIENTS) as up:
        assert (await up.send(get(x_forwarded_for=forwarded))).code == reason.code

        assert up.decided == [reason]
        assert up.upstream.untouched


async def test_several_lines_are_one_list(tmp_path: Path) -> None:
    async with running(tmp_path, listener={"trusted_proxies": TRUSTED}, networks=CLIENTS) as up:
        made = get(x_forwarded_for="198.51.100.7").replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")

        assert (await up.send(made)).code == "address.not_allowed"


async def test_from_a_peer_that_is_no_proxy_it_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, networks=CLIENTS) as up:
        assert (await up.send(get(x_forwarded_for="198.51.100.7"))).code == "address.not_allowed"

        assert up.upstream.untouched


async def test_nor_does_it_harm(up: Running) -> None:
    assert (await up.send(get(x_forwarded_for="no address"))).status == 200

    assert dict(up.upstream.fields())["x-forwarded-for"] == "127.0.0.1"
