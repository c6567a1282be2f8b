"""PROXY protocol: where the listener demands its header, each connection starts with one, from a trusted proxy."""

import asyncio
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from gateway.core.networks import NetworkSet
from gateway.core.policy import Limits
from gateway.core.reasons import Reason
from gateway.engine.proxy_protocol import SIGNATURE
from tests.engine.harness import LIMITS, SOON, Running, get, read_response, read_to_end, running

LOOPBACK = NetworkSet([ip_network("127.0.0.0/8")])
CLIENT, GATE = "198.51.100.7", "192.0.2.1"


def v1(address: str = CLIENT) -> bytes:
    """Give a version 1 header."""
    protocol = "TCP6" if ":" in address else "TCP4"
    to = "2001:db8::1" if ":" in address else GATE
    return f"PROXY {protocol} {address} {to} 51234 443\r\n".encode()


def v2(address: str = CLIENT, *, command: int = 1, extension: bytes = b"") -> bytes:
    """Give a version 2 header."""
    client = ip_address(address)
    gate = ip_address("2001:db8::1" if client.version == 6 else GATE)
    payload = client.packed + gate.packed + struct.pack("!HH", 51_234, 443) + extension
    family = 0x21 if client.version == 6 else 0x11
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(payload)) + payload


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Running]:
    """A gate whose listener demands a PROXY header of its load balancer."""
    networks = NetworkSet([ip_network("198.51.100.0/24"), ip_network("2001:db8:ac3e::/48")])
    listener = {"proxy_protocol": True, "trusted_proxies": LOOPBACK}
    async with running(tmp_path, listener=listener, networks=networks) as up:
        yield up


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (v1(), CLIENT),
        (v1("2001:db8:ac3e::7"), "2001:db8:ac3e::7"),
        (v1("::ffff:198.51.100.7"), CLIENT),
        (v2(), CLIENT),
        (v2("2001:db8:ac3e::7"), "2001:db8:ac3e::7"),
        (v2("::ffff:198.51.100.7"), CLIENT),
        (v2(extension=b"\x04\x00\x03abc"), CLIENT),
    ],
    ids=["v1", "v1 IPv6", "v1 mapped", "v2", "v2 IPv6", "v2 mapped", "v2 with extensions"],
)
async def test_the_header_names_the_client(behind: Running, header: bytes, address: str) -> None:
    assert (await behind.send(get(), before=header)).status == 200

    assert dict(behind.upstream.fields())["x-gateway-client-address"] == address
    (record,) = behind.records("decision")
    assert record["src_endpoint"] == {"ip": address, "port": 51_234}


async def test_the_allowlist_judges_by_the_header(behind: Running) -> None:
    response = await behind.send(get(), before=v1("203.0.113.9"))

    assert response.code == "address.not_allowed"
    assert behind.upstream.untouched


async def test_a_client_named_by_the_header_does_not_speak_for_others(behind: Running) -> None:
    response = await behind.send(get(x_forwarded_for=CLIENT), before=v2("203.0.113.9"))

    assert response.code == "address.not_allowed"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(command=0)], ids=["v1 UNKNOWN", "v2 LOCAL"])
async def test_a_proxy_may_speak_for_itself(behind: Running, header: bytes) -> None:
    response = await behind.send(get(), before=header)

    assert response.code == "address.not_allowed"
    assert behind.records("decision")[0]["src_endpoint"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("header", [v1(), v2()], ids=["v1", "v2"])
async def test_a_header_in_pieces(behind: Running, header: bytes) -> None:
    reader, writer = await behind.connect_plain()
    for byte in header:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    await handshake(behind, writer)
    writer.write(get())

    assert (await read_response(reader)).status == 200


async def handshake(up: Running, writer: asyncio.StreamWriter) -> None:
    from tests.engine import pki  # noqa: PLC0415 - for this alone

    await writer.start_tls(pki.client_context(up.directory), server_hostname="localhost")


async def test_the_handshake_may_follow_in_the_same_segment(behind: Running) -> None:
    assert (await behind.send(get(), before=v1())).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        get(),
        b"PROXY TCP4 198.51.100.7 192.0.2.1 51234\r\n",
        b"PROXY TCP4 198.51.100.256 192.0.2.1 51234 443\r\n",
        b"PROXY TCP6 198.51.100.7 192.0.2.1 51234 443\r\n",
        b"PROXY TCP4 198.51.100.7 192.0.2.1 51234 443" + b" " * 100,
        b"PROXY TCP4 198.51.100.7 192.0.2.1 51234 443\n" * 3,
        SIGNATURE + b"\x31\x11\x00\x0c" + b"\x00" * 12,
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE + b"\x21\x11\x00\x04\x00\x00\x00\x00",
        SIGNATURE + b"\x21\x31\x00\x00",
    ],
    ids=[
        "none, a handshake", "none, plaintext", "v1 short", "v1 no address", "v1 other protocol", "v1 endless",
        "v1 bare LF", "v2 other version", "v2 huge", "v2 short", "v2 unix socket",
    ],
)  # fmt: skip
async def test_what_is_no_header_is_refused(behind: Running, sent: bytes) -> None:
    reader, writer = await behind.connect_plain()
    writer.write(sent)

    assert await read_to_end(reader) == b""
    await behind.until_refused()
    assert behind.refused == [Reason.PROXY_HEADER_INVALID]
    assert behind.upstream.untouched


async def test_a_connection_that_ends_within_the_header(behind: Running) -> None:
    _, writer = await behind.connect_plain()
    writer.write(v1()[:20])
    writer.close()

    await behind.until_refused()
    assert behind.refused == [Reason.PROXY_HEADER_INVALID]


async def test_a_header_that_does_not_come(tmp_path: Path) -> None:
    listener = {"proxy_protocol": True, "trusted_proxies": LOOPBACK}
    async with running(tmp_path, listener=listener, limits=Limits(handshake_timeout=SOON)) as up:
        reader, writer = await up.connect_plain()
        writer.write(v1()[:20])

        assert await read_to_end(reader) == b""
        await up.until_refused()
        assert up.refused == [Reason.PROXY_HEADER_INVALID]


async def test_a_peer_that_is_no_trusted_proxy(tmp_path: Path) -> None:
    listener = {"proxy_protocol": True, "trusted_proxies": NetworkSet([ip_network("192.0.2.0/24")])}
    async with running(tmp_path, listener=listener) as up:
        reader, writer = await up.connect_plain()
        writer.write(v1())

        assert await read_to_end(reader) == b""
        await up.until_refused()
        assert up.refused == [Reason.PROXY_UNTRUSTED]


async def test_a_header_that_nobody_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, limits=LIMITS) as up:
        reader, writer = await up.connect_plain()
        writer.write(v1())

        await read_to_end(reader)
        await up.until_refused()
        assert up.refused == [Reason.TLS_PLAINTEXT]


async def test_a_refused_handshake_is_recorded_with_the_clients_address(behind: Running) -> None:
    reader, writer = await behind.connect_plain()
    writer.write(v1() + b"GET / HTTP/1.1\r\n\r\n")

    await read_to_end(reader)
    await behind.until_refused()
    (record,) = behind.records("connection")
    assert record["src_endpoint"]["ip"] == CLIENT
