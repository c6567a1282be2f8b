"""Messages as they stand in files: as they went over the wire, or with lines that end with LF alone."""

import re
from typing import NamedTuple

import click

from gateway.core.message import Headers
from gateway.core.reasons import Denied
from gateway.core.trailers import Trailers

type Fields = list[tuple[bytes, bytes]]

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r?\n")
_END = re.compile(rb"\r?\n")


class Written(NamedTuple):
    """A message of a file, taken apart."""

    start: bytes
    """Its first line."""
    fields: Fields
    body: bytes
    """Transfer coding removed."""
    trailers: Headers | None = None


def split_message(raw: bytes, *, bodiless: bool = False) -> Written:
    """Take a message apart; Content-Length says where the body ends, or its chunks do.

    A `bodiless` one has none, whatever length it states.
    """
    head, *rest_of = _BLANK_LINE.split(raw, maxsplit=1)
    body = rest_of[0] if rest_of else b""
    start, *rest = head.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    fields = _fields(rest)
    known = {name.lower(): value for name, value in fields}
    if bodiless:
        return Written(start, fields, b"")
    if known.get(b"transfer-encoding", b"").lower() == b"chunked":
        return Written(start, fields, *_of_chunks(body))
    if b"transfer-encoding" in known:
        raise click.UsageError("write the body as it is, or in chunks: no other Transfer-Encoding is read")
    if known.get(b"content-length", b"").isdigit():
        body = _cut(body, int(known[b"content-length"]))
    return Written(start, fields, body)


def _fields(lines: list[bytes]) -> Fields:
    return [(name.strip(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def _cut(body: bytes, length: int) -> bytes:
    """Leave out the line feed that an editor put at the end; any other difference is told."""
    if len(body) == length + 1 and body.endswith(b"\n"):
        return body[:-1]
    if len(body) != length:
        raise click.UsageError(f"Content-Length is {length}, the body in the file has {len(body)} bytes")
    return body


def _of_chunks(raw: bytes) -> tuple[bytes, Headers | None]:
    """Read a chunked body (RFC 9112 7.1), and the trailers behind it."""
    at, parts = 0, bytearray()
    while (size := _SIZE.match(raw, at)) is not None:
        at, length = size.end(), int(size[1], 16)
        if not length:
            return bytes(parts), _trailers(raw[at:])
        end = _END.match(raw, at + length)
        if end is None:
            break
        parts += raw[at : at + length]
        at = end.end()
    raise click.UsageError(f"no chunk of RFC 9112 7.1 at byte {at} of the body: a size in hex, its bytes, a line end")


def _trailers(raw: bytes) -> Headers | None:
    lines = raw.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    behind = Trailers()
    try:
        behind.take(_fields([line for line in lines if line]))
    except Denied as denied:
        raise click.ClickException(f"the gate refuses such trailers: {denied.reason.code}: {denied.detail}") from None
    return behind.headers if behind.headers is not None and behind.headers.fields else None
