"""WebSocket: a request of the route is an opening handshake (RFC 6455 4.2.1), and nothing else."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gateway.core.chain import NOTHING, Asks
from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

VERSION = "13"

_OFFER = (("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", VERSION))
"""What an answer to a request that is no handshake says of the one that would be (RFC 9110 15.5.22)."""

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 1.3."""


@dataclass(frozen=True, slots=True)
class WebSocketHandshake:
    """Lets opening handshakes pass; where origins are listed, those that name one of them."""

    origins: frozenset[str] | None = None
    """Values of Origin; None: it is not looked at. Only browsers send it in earnest."""

    name: ClassVar[str] = "websocket"

    def check(self, exchange: "Exchange") -> Asks:
        """Check one exchange; raises Denied(WEBSOCKET_HANDSHAKE) or Denied(WEBSOCKET_ORIGIN)."""
        head = exchange.request
        fault = _fault(head)
        if fault is not None:
            raise Denied(Reason.WEBSOCKET_HANDSHAKE, fault, _OFFER if head.version == "1.1" else ())
        if self.origins is not None:
            origins = head.headers.all("origin")
            if len(origins) != 1 or origins[0] not in self.origins:
                named = f"Origin {origins[0][:80]!r}" if origins else "no Origin"
                raise Denied(Reason.WEBSOCKET_ORIGIN, f"{named}; the route lists those that may open one")
        return NOTHING


def _fault(head: RequestHead) -> str | None:
    """Tell what keeps a request from being an opening handshake: the first of RFC 6455 4.2.1 that it does not meet."""
    headers = head.headers
    versions, keys = headers.all("sec-websocket-version"), headers.all("sec-websocket-key")
    demands = (
        (head.version == "1.1", "not over HTTP/1.1"),
        (head.method == "GET" and not head.has_body, "not a GET without a body"),
        ("websocket" in _options(headers.all("upgrade")), "Upgrade does not name websocket"),
        ("upgrade" in _options(headers.all("connection")), "Connection does not name upgrade"),
        (list(versions) == [VERSION], f"Sec-WebSocket-Version other than {VERSION}"),
        (len(keys) == 1 and _is_key(keys[0]), "Sec-WebSocket-Key is not one of 16 bytes in base64"),
    )
    return next((fault for met, fault in demands if not met), None)


def _options(values: Sequence[str]) -> list[str]:
    return [option.strip(" \t").lower() for value in values for option in value.split(",")]


def _is_key(text: str) -> bool:
    try:
        return len(text) == 24 and len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accept_of(key: str) -> str:
    """Give the Sec-WebSocket-Accept that answers a key (RFC 6455 4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")
