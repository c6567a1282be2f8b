"""Responses of HTTP/1.1 towards the client, as bytes."""

from http import HTTPStatus

from gateway.core.forwarding import HOP_BY_HOP
from gateway.core.memo import Memo
from gateway.engine.gate import Handling
from gateway.engine.problem import BODILESS, Answer

HEAD_OF_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


_USUAL_CONNECTION = frozenset({b"keep-alive", b"close"})
"""Values of Connection that name no field."""

LOWERED = Memo[bytes, str](lambda name: name.decode("latin-1").lower(), longest=64)
"""Names of fields in lower case."""


def status_line(status: int) -> str:
    """Give the status line; the phrase is our own, since the upstream's could be anything."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"


def response_bytes(
    status: int, fields: list[tuple[bytes, bytes]], handling: Handling, *, bodiless: bool, close: bool
) -> tuple[bytes, bool]:
    """Write an upstream's head anew, and tell whether its body goes out in chunks.

    Hop-by-hop fields are removed and the gate's own added. A body without a declared length goes out in chunks, so
    that the client can tell its end from a broken connection.
    """
    decision = handling.decision
    assert decision is not None
    own = *decision.response_fields, (handling.identity_field, handling.request_id)
    removed = {name for name, _ in own}
    kept: list[tuple[str, bytes]] = []
    for name, value in fields:
        lowered = LOWERED[name]
        if lowered not in HOP_BY_HOP:
            kept.append((lowered, b"%b: %b\r\n" % (name, value)))
        elif lowered == "connection" and value not in _USUAL_CONNECTION:
            removed.update([option.strip().lower() for option in value.decode("latin-1").split(",")])
    chunked = not bodiless and ("content-length" in removed or "content-length" not in [name for name, _ in kept])
    head = [status_line(status), *[f"{name}: {value}\r\n" for name, value in own]]
    if chunked:
        head.append("transfer-encoding: chunked\r\n")
    head.append("connection: close\r\n\r\n" if close else "\r\n")
    lines = [line for name, line in kept if name not in removed]
    first, *rest = head
    return b"".join((first.encode("ascii"), *lines, "".join(rest).encode("latin-1"))), chunked


def answer_bytes(answer: Answer, *, close: bool, bodiless: bool) -> bytes:
    """Write an answer of the gate's own."""
    lines = [status_line(answer.status), *(f"{name}: {value}\r\n" for name, value in answer.fields)]
    if answer.status not in BODILESS:  # RFC 9110 8.6
        lines.append(f"content-length: {len(answer.body)}\r\n")
    lines.append("connection: close\r\n\r\n" if close else "\r\n")
    head = "".join(lines).encode("latin-1")
    return head if bodiless else head + answer.body


def signed_bytes(status: int, fields: list[tuple[str, str]], body: bytes, *, close: bool) -> bytes:
    """Write an answer that was signed: its fields are whole, its length among them."""
    lines = [status_line(status), *(f"{name}: {value}\r\n" for name, value in fields)]
    lines.append("connection: close\r\n\r\n" if close else "\r\n")
    return "".join(lines).encode("latin-1") + body
