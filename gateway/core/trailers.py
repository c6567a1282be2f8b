"""Trailers of a request: fields behind its body, which count only where a signature covers them (RFC 9421 2.1.4).

They are read as strictly as a head, verified, and go no further: RFC 9110 6.5.1 lets whoever receives trailers discard
them, and no upstream can be made to read what stands there.
"""

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import RawFields, read_fields

MAX_FIELDS = 32
"""Lines of trailers."""

MAX_BYTES = 8_192
"""Bytes of names and values, all lines together."""

UNCOVERED = "trailers after the body that no signature covers"

_NOT_HERE = frozenset(
    {
        "authorization", "cache-control", "connection", "content-encoding", "content-length", "content-range",
        "content-type", "cookie", "dpop", "expect", "forwarded", "host", "idempotency-key", "keep-alive",
        "max-forwards", "proxy-authorization", "proxy-connection", "range", "signature", "signature-input", "te",
        "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields of framing, routing, authentication and content, which no trailer may state (RFC 9110 6.5.1)."""


def take_trailers(behind: "Trailers | None", fields: RawFields) -> None:
    """Take what came behind a body, for which `behind` waits or nobody does. Raises Denied."""
    if behind is None:
        raise Denied(Reason.MESSAGE_MALFORMED, UNCOVERED)
    behind.take(fields)


class Trailers:
    """What comes behind a body whose signature covers trailers; whoever reads the body puts it here."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: Headers | None = None
        """None where none came."""

    def take(self, fields: RawFields) -> None:
        """Read them. Raises Denied: MESSAGE_MALFORMED, FIELD_INVALID."""
        if len(fields) > MAX_FIELDS or sum(len(name) + len(value) for name, value in fields) > MAX_BYTES:
            detail = f"more than {MAX_FIELDS} trailers, or {MAX_BYTES} bytes of them"
            raise Denied(Reason.MESSAGE_MALFORMED, detail)
        headers = read_fields("1.1", fields)
        misplaced = sorted(name for name, _ in headers.fields if name in _NOT_HERE)
        if misplaced:
            raise Denied(Reason.FIELD_INVALID, f"{misplaced[0]} is no field for trailers (RFC 9110 6.5.1)")
        self.headers = headers
