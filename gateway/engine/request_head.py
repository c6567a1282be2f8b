"""The head of an HTTP/1.1 request from raw bytes, to the letter of RFC 9112.

llhttp reads it, without leniency; where it refuses, or would be more generous than the RFC, `read_strictly` names the
fault. On mitmproxy's layers the reader is `split`, as in `read_strictly`; so both data paths give the same reasons.
"""

import re

import httptools

from gateway.core.message import RequestHead
from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import check_size, printable, read_head

MAX_EMPTY_LINES = 8
"""Empty lines that may stand before a request line. Some clients send one behind a body; RFC 9112 2.2 asks for one."""

BARE = re.compile(rb"\r[^\n]|(?<!\r)\n|\x00")
"""A CR that is the last byte so far may still have its LF."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_FOLDED = re.compile(rb"\r\n[ \t]")
_REQUEST_LINE = re.compile(rb"[^ \t\r\n]+ [^ \t\r\n]+ HTTP/[0-9]\.[0-9]\Z")


class _Collector:
    """llhttp's callbacks: methods of built-in types, since each is called for every request, or every field of it."""

    __slots__ = ("fields", "on_header", "on_url", "urls")

    def __init__(self) -> None:
        self.urls: list[bytes] = []
        self.on_url = self.urls.append
        self.fields: dict[bytes, bytes] = {}
        """The first value of each name as spelt."""
        self.on_header = self.fields.setdefault


def parse(raw: bytes, limits: Limits) -> RequestHead:
    """Read a whole head, its empty line included. Raises Denied."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # Upgrade is hop-by-hop and not passed on: the request is answered as any other
    except httptools.HttpParserError:
        check_raw(raw[:-2], limits)
        read_strictly(raw[:-2])
        raise Denied(Reason.MESSAGE_MALFORMED, "llhttp cannot read the head") from None
    lines = raw.count(b"\n") - 2  # llhttp takes no LF without its CR
    check_size(len(raw) - 2, lines, limits)
    method, url, fields = parser.get_method(), b"".join(collector.urls), collector.fields
    if len(fields) != lines or not raw.startswith(b"%b %b HTTP/1.1\r\n" % (method, url)):
        return read_strictly(raw[:-2])  # a name stands twice, or the request line is not the RFC's
    return read_head(method=method, target=url, version="HTTP/1.1", fields=fields.items(), by_llhttp=True)


def skip_empty_lines(received: bytes, before: int) -> tuple[bytes, int]:
    """Take empty lines off the front of what was received; `before` of them came earlier.

    Gives what is left, and how many came by now. Raises Denied for more than MAX_EMPTY_LINES: they begin no head, so
    that no other limit ends them.
    """
    rest = received[_EMPTY_LINES.match(received).end() :]  # type: ignore[union-attr]
    lines = before + (len(received) - len(rest)) // 2
    if lines > MAX_EMPTY_LINES:
        raise Denied(Reason.MESSAGE_MALFORMED, f"more than {MAX_EMPTY_LINES} empty lines before a request")
    return rest, lines


def check_raw(received: bytes, limits: Limits) -> None:
    """Raise Denied for what no further bytes of the head can mend."""
    bare = BARE.search(received)
    if bare is not None:
        raise Denied(Reason.MESSAGE_MALFORMED, f"bare CR, bare LF or NUL at byte {bare.start()} of the head")
    check_size(len(received), received.count(b"\r\n") - 1, limits)


def read_strictly(received: bytes) -> RequestHead:
    """Read a head whose raw bytes were checked, up to the end of its last field line. Raises Denied."""
    method, target, version, fields = split(received)
    return read_head(method=method, target=target, version=version.decode("ascii"), fields=fields)


def split(received: bytes) -> tuple[bytes, bytes, bytes, list[tuple[bytes, bytes]]]:
    """Take a head apart: method, target, version, field lines. Raises Denied."""
    if _FOLDED.search(received):
        raise Denied(Reason.FIELD_INVALID, "folded field line (RFC 9112 5.2)")
    lines = received.split(b"\r\n")[:-1]
    if not _REQUEST_LINE.match(lines[0]):
        raise Denied(Reason.MESSAGE_MALFORMED, "no request line (RFC 9112 3)")
    method, target, version = lines[0].split(b" ")
    if not version.startswith(b"HTTP/1."):
        raise Denied(Reason.VERSION_UNSUPPORTED, f"version {printable(version)} on a connection of HTTP/1.1")
    return method, target, version, [_field(line) for line in lines[1:]]


def first_line_of(received: bytes) -> str:
    """Give the first line of what was received for a log: printable, cut, and without the query."""
    line, _, _ = received.partition(b"\r\n")
    path, mark, _ = line.partition(b"?")
    return printable(path) + ("?…" if mark else "")


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise Denied(Reason.FIELD_INVALID, "field line without a colon (RFC 9112 5)")
    return name, value.strip(b" \t")


def wants_close(head: RequestHead) -> bool:
    """Whether the client asks for the connection to end with the response (RFC 9112 9.6)."""
    return any("close" in value.lower() for value in head.headers.all("connection"))
