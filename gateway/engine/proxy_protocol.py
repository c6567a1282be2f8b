"""The PROXY protocol, versions 1 and 2: who is behind a load balancer that does not read HTTP.

Sans-io: `Header.take` says how many more bytes it needs, never more than the header has, so that what
follows it (the TLS handshake) stays in the socket.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.core.message import Address
from gateway.core.networks import normalised

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""First twelve bytes of a version 2 header; no version 1 header is shorter than fifteen."""

MAX_V1_BYTES = 107
MAX_V2_BYTES = 16 + 536
"""Addresses and the extensions that load balancers really send; a longer header is refused."""


class InvalidHeaderError(ValueError):
    """What was received is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Source:
    """The client as the proxy saw it."""

    address: Address
    port: int


class Header:
    """Reads one header. Feed exactly `needs` bytes until `done`."""

    def __init__(self) -> None:
        self._data = b""
        self.needs = len(SIGNATURE)
        self.done = False
        self.source: Source | None = None
        """The client; None where the header says LOCAL or UNKNOWN: the proxy speaks for itself."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises InvalidHeaderError."""
        if len(data) != self.needs:
            raise RuntimeError(f"asked for {self.needs} bytes, got {len(data)}")
        self._data += data
        if self._data.startswith(SIGNATURE):
            self._feed_v2()
        elif self._data.startswith(b"PROXY "):
            self._feed_v1()
        else:
            raise InvalidHeaderError("the connection does not start with a PROXY header")

    def _feed_v1(self) -> None:
        if not self._data.endswith(b"\r\n"):
            if len(self._data) >= MAX_V1_BYTES:
                raise InvalidHeaderError(f"version 1 header longer than {MAX_V1_BYTES} bytes")
            self.needs = 1
            return
        self.needs, self.done = 0, True
        words = self._data[:-2].split(b" ")
        if words[1] == b"UNKNOWN":
            return
        if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
            raise InvalidHeaderError("version 1 header without protocol, addresses and ports")
        try:
            source = ip_address(words[2].decode("ascii"))
            ip_address(words[3].decode("ascii"))
            ports = [_port(word) for word in words[4:]]
        except ValueError as error:
            raise InvalidHeaderError(f"version 1 header: {error}") from None
        if source.version != (4 if words[1] == b"TCP4" else 6):
            raise InvalidHeaderError("version 1 header: protocol and address disagree")
        self.source = Source(normalised(source), ports[0])

    def _feed_v2(self) -> None:
        data = self._data
        if len(data) < 16:
            self.needs = 16 - len(data)
            return
        length = int.from_bytes(data[14:16])
        if 16 + length > MAX_V2_BYTES:
            raise InvalidHeaderError(f"version 2 header of {16 + length} bytes; at most {MAX_V2_BYTES}")
        if len(data) < 16 + length:
            self.needs = 16 + length - len(data)
            return
        self.needs, self.done = 0, True
        version, command = divmod(data[12], 16)
        family, transport = divmod(data[13], 16)
        if version != 2 or command not in (0, 1):
            raise InvalidHeaderError("version 2 header with an unknown version or command")
        if command == 0:
            return
        if transport != 1 or family not in (1, 2):
            raise InvalidHeaderError("version 2 header for something other than TCP over IPv4 or IPv6")
        size = 4 if family == 1 else 16
        if length < 2 * size + 4:
            raise InvalidHeaderError("version 2 header shorter than its addresses")
        address = IPv4Address(data[16:20]) if family == 1 else IPv6Address(data[16:32])
        port = int.from_bytes(data[16 + 2 * size : 18 + 2 * size])
        self.source = Source(normalised(address), port)


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or int(word) > 65535:
        raise ValueError(f"port {word[:8]!r}")
    return int(word)
