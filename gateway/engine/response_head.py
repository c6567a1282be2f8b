"""Responses of HTTP/1.1 towards the client, as bytes."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus

from gateway.core.forwarding import passed_back
from gateway.engine.gate import Handling
from gateway.engine.problem import BODILESS, Answer

HEAD_OF_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class ResponseFields(list[tuple[bytes, bytes]]):
    """Header section of an upstream's response, as read; not changed after it was asked for its lines."""

    __slots__ = ("_lines",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(fields)
        self._lines: dict[tuple[int | str, ...], tuple[bytes, bool]] = {}
        """What `lines` gave: the same section may stand in one response after the other."""

    def lines(self, status: int, own: Sequence[tuple[str, str]]) -> tuple[bytes, bool]:
        """Give what goes on to the client, beside the gate's `own`, and tell whether it declares the body's length."""
        names: tuple[int | str, ...] = (status, *[name for name, _ in own])
        known = self._lines.get(names)
        if known is None:
            if len(self._lines) >= _VERSIONS:
                self._lines.clear()
            kept = passed_back(status, self, own)
            declared = "content-length" in [name for name, _ in kept]
            known = self._lines[names] = b"".join([b"%b: %b\r\n" % line for _, line in kept]), declared
        return known


_VERSIONS = 8
"""Sets of fields of the gate's own for which one section is kept as it goes on."""


def status_line(status: int) -> str:
    """Give the status line; the phrase is our own, since the upstream's could be anything."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"


def response_bytes(
    status: int, fields: ResponseFields, handling: Handling, *, bodiless: bool, close: bool
) -> tuple[bytes, bool]:
    """Write an upstream's head anew, and tell whether its body goes out in chunks.

    What goes on is for `passed_back` to say; the gate's own fields follow. A body without a declared length goes out
    in chunks, so that the client can tell its end from a broken connection.
    """
    decision = handling.decision
    assert decision is not None
    own = *decision.response_fields, (handling.identity_field, handling.request_id)
    lines, declared = fields.lines(status, own)
    chunked = not (bodiless or declared)
    text = "".join([f"{name}: {value}\r\n" for name, value in own])
    coding = "transfer-encoding: chunked\r\n" if chunked else ""
    end = "connection: close\r\n\r\n" if close else "\r\n"
    return b"".join((status_line(status).encode("ascii"), lines, f"{text}{coding}{end}".encode("latin-1"))), chunked


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
