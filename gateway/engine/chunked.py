"""Strict reading of a chunked request body (RFC 9112 7.1): sizes and data, and nothing beside them."""

import re

import h11
from h11._receivebuffer import ReceiveBuffer

from gateway.core.message import RequestHead
from gateway.core.trailers import MAX_BYTES, MAX_FIELDS, UNCOVERED

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\r\n")
"""Eight digits: 4 GiB is far beyond every limit of a body."""
_BARE = re.compile(rb"[\r\n\x00]")
_SIZE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{0,8}|[0-9A-Fa-f]{1,8}\r")


class ChunkedBody:
    """Reads one body, called with what has come so far; a reader as h11's are.

    Chunk extensions are refused, and so are trailers that no signature announces: nobody needs them, and where they
    end is what smuggled requests hide behind.
    """

    def __init__(self, *, trailers: bool = False) -> None:
        """Begin; `trailers` whether to read any, as they stand, but for their bounds and line ends."""
        self.trailers: list[tuple[bytes, bytes]] = []
        self._takes_trailers, self._trailing, self._trailer_bytes = trailers, False, 0
        self._remaining = 0
        self._delimiter: str | None = None
        """What the next CRLF ends, where one is due."""
        self._last = False

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Give the next part; None where more bytes are needed. Raises h11.RemoteProtocolError."""
        while not self._trailing:
            if self._delimiter is not None:
                if not self._read_delimiter(buf):
                    return None
                if self._last:
                    return h11.EndOfMessage()
            if self._remaining:
                data = buf.maybe_extract_at_most(self._remaining)
                if data is None:
                    return None
                self._remaining -= len(data)
                if not self._remaining:
                    self._delimiter = "chunk longer than its size"
                return h11.Data(data=bytes(data))
            if not self._read_size(buf):
                return None
        return self._read_trailers(buf)

    def _read_delimiter(self, buf: ReceiveBuffer) -> bool:
        ends = bytes(buf.maybe_extract_at_most(2) or b"") if len(buf) >= 2 else bytes(buf)
        if not b"\r\n".startswith(ends):
            raise h11.RemoteProtocolError(f"{self._delimiter} (RFC 9112 7.1)")
        if len(ends) < 2:
            return False
        self._delimiter = None
        return True

    def _read_size(self, buf: ReceiveBuffer) -> bool:
        line = buf.maybe_extract_next_line()
        form, read = (_SIZE, line) if line is not None else (_SIZE_SO_FAR, bytes(buf))
        if not form.fullmatch(read):
            raise h11.RemoteProtocolError("chunk size that is not plain hexadecimal (RFC 9112 7.1)")
        if line is None:
            return False
        self._remaining = int(line, 16)
        if not self._remaining and self._takes_trailers:
            self._trailing = True
        elif not self._remaining:
            self._last, self._delimiter = True, UNCOVERED
        return True

    def _read_trailers(self, buf: ReceiveBuffer) -> h11.EndOfMessage | None:
        while True:
            line = buf.maybe_extract_next_line()
            self._trailer_bytes += len(line or b"")
            if self._trailer_bytes + (0 if line else len(buf)) > 2 * MAX_BYTES or len(self.trailers) > MAX_FIELDS:
                raise h11.RemoteProtocolError("too many trailers (RFC 9112 7.1.2)")
            if line is None:
                return None
            text = bytes(line[:-2])
            if not text:
                return h11.EndOfMessage()
            name, colon, value = text.partition(b":")
            if not colon or _BARE.search(text):
                raise h11.RemoteProtocolError("trailers that are no fields (RFC 9112 7.1.2)")
            self.trailers.append((name, value))

    def read_eof(self) -> h11.EndOfMessage:
        """Raise h11.RemoteProtocolError: the end of the connection ends no chunked body."""
        raise h11.RemoteProtocolError("the connection ended within the body")


def announces_trailers(head: RequestHead) -> bool:
    """Whether a signature on the request says that it covers trailers."""
    return any(";tr" in text for text in head.headers.all("signature-input"))
