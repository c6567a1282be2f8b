"""Responses of HTTP/1.1 towards the client, as bytes."""

from http import HTTPStatus

from gateway.core.forwarding import passed_back
from gateway.engine.gate import Handling
from gateway.engine.problem import BODILESS, Answer

HEAD_OF_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def status_line(status: int) -> str:
    """Give the status line; the phrase is our own, since the upstream's could be anything."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"


def response_bytes(
    status: int, fields: list[tuple[bytes, bytes]], handling: Handling, *, bodiless: bool, close: bool
) -> tuple[bytes, bool]:
    """Write an upstream's head anew, and tell whether its body goes out in chunks.

    What goes on is for `passed_back` to say; the gate's own fields follow. A body without a declared length goes out
    in chunks, so that the client can tell its end from a broken connection.
    """
    decision = handling.decision
    assert decision is not None
    own = *decision.response_fields, (handling.identity_field, handling.request_id)
    kept = passed_back(status, fields, own)
    chunked = not bodiless and "content-length" not in [name for name, _ in kept]
    added = "".join([f"{name}: {value}\r\n" for name, value in own])
    framing = "transfer-encoding: chunked\r\n" if chunked else ""
    end = "connection: close\r\n\r\n" if close else "\r\n"
    lines = [b"%b: %b\r\n" % line for _, line in kept]
    return b"".join((status_line(status).encode("ascii"), *lines, f"{added}{framing}{end}".encode("latin-1"))), chunked


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
