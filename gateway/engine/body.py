"""The body of an HTTP/1.1 request, taken out of what comes: by its declared length, or chunk by chunk."""

from typing import Protocol

import h11
from h11._receivebuffer import ReceiveBuffer

from gateway.core.chain import ReadBody
from gateway.core.message import RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.syntax import RawFields
from gateway.core.trailers import take_trailers
from gateway.engine.chunked import ChunkedBody, announces_trailers


class Waits(Protocol):
    """A request's handling, as far as its body matters."""

    @property
    def waiting(self) -> ReadBody | None:
        """What the decision has asked for and waits for."""


class BodyReader:
    """Reads one body. Sans-io; the same chunk reader as on mitmproxy's layers, so the same bytes are refused."""

    __slots__ = ("_buffer", "_chunks", "_fault", "_waits", "declared", "ended", "size")

    def __init__(self, head: RequestHead, waits: Waits | None = None) -> None:
        """Begin; `waits` says whether trailers are waited for. Without it none are read."""
        self.ended = not head.has_body
        self.size = 0
        """Bytes of the body so far, transfer coding removed."""
        self.declared = head.content_length if head.has_body else 0
        """Declared length; None where the body comes in chunks."""
        self._fault: Denied | None = None
        self._chunks: ChunkedBody | None = None
        if self.declared is None:
            self._chunks = ChunkedBody(trailers=waits is not None and announces_trailers(head))
            self._waits = waits
            self._buffer = ReceiveBuffer()

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self._chunks is not None

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came; gives what of it belongs to the body, and what stands behind the body's end.

        Raises Denied(MESSAGE_MALFORMED); from then on for whatever comes, since nobody can tell where the body ends.
        """
        if self._fault is not None:
            raise self._fault
        if self.ended:
            return b"", data
        if self._chunks is not None:
            return self._feed_chunks(self._chunks, data)
        left = (self.declared or 0) - self.size
        part = data[:left] if len(data) > left else data
        self.size += len(part)
        self.ended = self.size == self.declared
        return part, data[left:]

    def skip(self, data: bytes) -> bytes:
        """Pass over a body that nobody waits for; where all of it is here, what is left is the next request."""
        try:
            return self.feed(data)[1]
        except Denied:
            return data

    def _feed_chunks(self, chunks: ChunkedBody, data: bytes) -> tuple[bytes, bytes]:
        self._buffer += data
        parts: list[bytes] = []
        while True:
            try:
                part = chunks(self._buffer)
            except h11.ProtocolError as error:
                self._fault = Denied(Reason.MESSAGE_MALFORMED, str(error))
                raise self._fault from None
            if part is None:
                return b"".join(parts), b""
            if isinstance(part, h11.EndOfMessage):
                if chunks.trailers and self._waits is not None:
                    self._take_trailers(self._waits.waiting, chunks.trailers)
                self.ended = True
                return b"".join(parts), bytes(self._buffer)
            parts.append(part.data)
            self.size += len(part.data)

    def _take_trailers(self, ask: ReadBody | None, fields: RawFields) -> None:
        try:
            take_trailers(ask and ask.trailers, fields)
        except Denied as denied:
            self._fault = denied
            raise
