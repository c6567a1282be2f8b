from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.proxy_protocol import MAX_V1_BYTES, MAX_V2_BYTES, SIGNATURE, Header, InvalidHeaderError, Source

V4 = bytes([198, 51, 100, 7, 192, 0, 2, 1]) + (50_000).to_bytes(2) + (443).to_bytes(2)
V6 = ip_address("2001:db8::7").packed + ip_address("2001:db8::1").packed + (50_000).to_bytes(2) + (443).to_bytes(2)
MAPPED = ip_address("::ffff:198.51.100.7").packed + V6[16:]


def v2(addresses: bytes = V4, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """Write a version 2 header."""
    size = len(addresses) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2) + addresses


def read(data: bytes) -> tuple[Header, bytes]:
    """Feed a header exactly what it needs; gives it, and what it left."""
    header, rest = Header(), data
    while not header.done:
        assert 0 < header.needs <= len(rest), "it wants more than there is"
        part, rest = rest[: header.needs], rest[header.needs :]
        header.feed(part)
    return header, rest


VALID = {
    "v1 TCP4": (b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n", "198.51.100.7", 50_000),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n", "2001:db8::7", 50_000),
    "v1 TCP6 mapped": (b"PROXY TCP6 ::ffff:198.51.100.7 2001:db8::1 50000 443\r\n", "198.51.100.7", 50_000),
    "v1 port 0": (b"PROXY TCP4 198.51.100.7 192.0.2.1 0 443\r\n", "198.51.100.7", 0),
    "v1 port 65535": (b"PROXY TCP4 198.51.100.7 192.0.2.1 65535 443\r\n", "198.51.100.7", 65_535),
    "v2 IPv4": (v2(), "198.51.100.7", 50_000),
    "v2 IPv6": (v2(V6, family=0x21), "2001:db8::7", 50_000),
    "v2 IPv6 mapped": (v2(MAPPED, family=0x21), "198.51.100.7", 50_000),
    "v2 with extensions": (v2(V4 + b"\x04\x00\x02ab"), "198.51.100.7", 50_000),
    "v2 at the limit": (v2(V4 + bytes(MAX_V2_BYTES - 16 - len(V4))), "198.51.100.7", 50_000),
}

NOBODY = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with more": b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    "v2 LOCAL": v2(command=0x20),
    "v2 LOCAL without addresses": v2(b"", command=0x20, family=0),
}

V1_INVALID = {
    "no protocol": b"PROXY \r\n",
    "protocol in lower case": b"PROXY tcp4 198.51.100.7 192.0.2.1 50000 443\r\n",
    "UDP": b"PROXY UDP4 198.51.100.7 192.0.2.1 50000 443\r\n",
    "no destination": b"PROXY TCP4 198.51.100.7 50000 443\r\n",
    "a word too many": b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 443 1\r\n",
    "two spaces": b"PROXY TCP4  198.51.100.7 192.0.2.1 50000 443\r\n",
    "IPv6 address as TCP4": b"PROXY TCP4 2001:db8::7 192.0.2.1 50000 443\r\n",
    "IPv4 address as TCP6": b"PROXY TCP6 198.51.100.7 2001:db8::1 50000 443\r\n",
    "address with leading zeros": b"PROXY TCP4 198.051.100.007 192.0.2.1 50000 443\r\n",
    "name as address": b"PROXY TCP4 localhost 192.0.2.1 50000 443\r\n",
    "invalid destination": b"PROXY TCP4 198.51.100.7 192.0.2.300 50000 443\r\n",
    "address beyond ASCII": b"PROXY TCP4 198.51.100.\xb9 192.0.2.1 50000 443\r\n",
    "port too high": b"PROXY TCP4 198.51.100.7 192.0.2.1 65536 443\r\n",
    "port with a sign": b"PROXY TCP4 198.51.100.7 192.0.2.1 +5000 443\r\n",
    "port of six digits": b"PROXY TCP4 198.51.100.7 192.0.2.1 050000 443\r\n",
    "destination port": b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 x\r\n",
    "a line within the line": b"PROXY UNKNOWN\nX: y\r\n",
}

V2_INVALID = {
    "version 1": v2(command=0x11),
    "version 3": v2(command=0x31),
    "unknown command": v2(command=0x22),
    "UDP": v2(family=0x12),
    "unspecified": v2(family=0x00),
    "UNIX socket": v2(bytes(216), family=0x31),
    "shorter than its addresses": v2(V4[:-1]),
    "IPv6 of IPv4's length": v2(V4, family=0x21),
    "no addresses": v2(b""),
}


@pytest.mark.parametrize(("data", "address", "port"), VALID.values(), ids=VALID)
def test_a_header_names_the_client_and_leaves_what_follows(data: bytes, address: str, port: int) -> None:
    header, rest = read(data + b"\x16\x03\x01")
    assert header.source == Source(ip_address(address), port)
    assert rest == b"\x16\x03\x01"
    assert header.needs == 0


@pytest.mark.parametrize("data", NOBODY.values(), ids=NOBODY)
def test_a_proxy_may_speak_for_itself(data: bytes) -> None:
    header, rest = read(data + b"\x16")
    assert (header.source, rest) == (None, b"\x16")


@pytest.mark.parametrize("data", [*V1_INVALID.values(), *V2_INVALID.values()], ids=[*V1_INVALID, *V2_INVALID])
def test_a_malformed_header_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidHeaderError, match=r"version [12] header"):
        read(data + b" " * MAX_V1_BYTES)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", b"proxy TCP4 1", b"PROXYTCP4 1.1"],
    ids=["HTTP", "TLS", "lower case", "no space"],
)
def test_anything_else_is_no_header(data: bytes) -> None:
    with pytest.raises(InvalidHeaderError, match="does not start with a PROXY header"):
        read(data)


def test_a_version_1_header_has_an_end() -> None:
    longest = b"PROXY UNKNOWN " + b"f" * (MAX_V1_BYTES - 16) + b"\r\n"
    assert read(longest)[0].done
    with pytest.raises(InvalidHeaderError, match="longer than 107 bytes"):
        read(longest.replace(b"\r\n", b"ff\r\n"))


def test_a_version_2_header_has_an_end() -> None:
    with pytest.raises(InvalidHeaderError, match="553 bytes; at most 552"):
        read(v2(length=537))


@pytest.mark.parametrize("size", [0, 11, 13])
def test_a_header_takes_exactly_what_it_asked_for(size: int) -> None:
    with pytest.raises(RuntimeError, match=f"asked for 12 bytes, got {size}"):
        Header().feed(bytes(size))


@given(st.binary(max_size=64), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE]))
def test_any_bytes_are_a_header_or_refused(data: bytes, start: bytes) -> None:
    header = Header()
    try:
        for part in fed(header, start + data):
            header.feed(part)
    except InvalidHeaderError:
        return
    assert header.done == (header.needs == 0)


def fed(header: Header, data: bytes) -> Iterator[bytes]:
    """Cut what a header needs, as long as it needs it and it is there."""
    while not header.done and header.needs <= len(data):
        part, data = data[: header.needs], data[header.needs :]
        yield part
