"""One allowed request on its way to the upstream and back, on the HTTP/1.1 data path."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.core.forwarding import field_lines
from gateway.core.message import RequestHead
from gateway.core.outgoing import RequestSigner
from gateway.core.policy import Upstream
from gateway.core.reasons import Denied, Reason
from gateway.engine.body import BodyReader
from gateway.engine.endpoints import UpstreamFailedError
from gateway.engine.gate import Handling
from gateway.engine.response_head import ResponseFields, response_bytes
from gateway.engine.signed_requests import signed_request
from gateway.engine.upstream_connection import HIGH_WATER, UpstreamConnection
from gateway.engine.upstream_pool import Pool

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose request says that it has no body, where it has none (RFC 9110 8.6)."""


class Client(Protocol):
    """What a passage needs of the client's connection."""

    def write(self, data: bytes) -> None:
        """Send to the client."""

    def hold(self) -> None:
        """Read no more from the client for now."""

    def go_on(self) -> None:
        """Read from the client again."""

    def await_upstream(self, upstream: Upstream) -> None:
        """Let the upstream's time run from now."""

    def switched(self) -> None:
        """Have what the client sends from now on given to the tunnel."""

    def crash(self, error: Exception) -> None:
        """End the connection after a fault of the gate's own."""

    @property
    def slow(self) -> bool:
        """Whether the client has not read what was sent."""

    @property
    def last(self) -> bool:
        """Whether the connection ends with this response."""


class Passage:
    """Sends the request, written anew, and passes the response on, written anew, as it comes (`ResponseSink`).

    Ends with one call of `ended`, unless it is dropped: with ALLOWED where the response was passed on whole, else with
    what went wrong.
    """

    def __init__(
        self, client: Client, handling: Handling, pool: Pool, body: BodyReader, ended: Callable[[Reason, str], None]
    ) -> None:
        decision = handling.decision
        if decision is None or decision.exchange.head is None:
            raise RuntimeError("a passage needs an allowed request")
        self.status: int | None = None
        """Status of the response, once its head was sent to the client."""
        self._read: int | None = None
        """The same, once it was read."""
        self._client = client
        self._handling = handling
        self._capture = handling.capture
        self._head: RequestHead = decision.exchange.head
        self._pool = pool
        self._body = body
        self._ended = ended
        self._text = b""
        self._whole = False
        """Whether the whole body was there when the head was written."""
        self._parts: list[bytes] = []
        self._connection: UpstreamConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._out: list[bytes] = []
        self._chunked = False

    @property
    def upstream(self) -> Upstream:
        """Where it goes."""
        return self._pool.upstream

    def begin(self, part: bytes, signer: RequestSigner | None = None) -> None:
        """Send the head, with `part` of the body, or all of it; with all of it, `signer` may sign the request."""
        if part:
            self._parts.append(part)
        self._whole = self._body.ended
        if signer is None:
            self._text = self._write_head(self._head, self._handling.upstream_lines(), self._body.size)
        else:
            try:
                self._sign(signer)
            except Denied as denied:
                self._ended(denied.reason, denied.detail)
                return
        # Only now a connection is taken: what fails above leaves the upstream untouched.
        connection = self._pool.take()
        if connection is not None:
            self._send(connection)
        else:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        connection = None
        try:
            try:
                connection = await self._pool.open()
            except UpstreamFailedError as error:
                self._opening = None
                self._ended(error.reason, error.detail)
                return
            self._opening = None
            self._send(connection)
        except Exception as error:  # noqa: BLE001 - a fault of ours must end the connection
            if connection is not None:
                connection.discard()
            self._client.crash(error)

    def _sign(self, signer: RequestSigner) -> None:
        if not self._whole:
            raise RuntimeError("a signature needs the whole body")
        fields = self._handling.upstream_fields()
        head, fields, body = signed_request(self._handling, signer, fields, b"".join(self._parts))
        self._parts = [body] if body else []
        self._text = self._write_head(head, field_lines(fields), len(body))

    def _write_head(self, head: RequestHead, fields: str, size: int) -> bytes:
        framing = self._framing(head, size)
        return f"{head.method} {head.target} HTTP/1.1\r\n{fields}{framing}\r\n".encode("latin-1")

    def _framing(self, head: RequestHead, size: int) -> str:
        """Give the fields that frame the message (RFC 9112 6), with `size` bytes of body where all of it is there."""
        body = self._body
        if not self._whole:
            return "transfer-encoding: chunked\r\n" if body.chunked else f"content-length: {body.declared}\r\n"
        return f"content-length: {size}\r\n" if head.has_body or head.method in _WITH_BODY else ""

    def _send(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        to_head = self._head.method == "HEAD"
        self._handling.sends_upstream()
        self._client.await_upstream(self._pool.upstream)
        if self._whole:
            parts, self._parts = self._parts, []
            connection.send(self, b"".join((self._text, *parts)), to_head=to_head, ends=True)
        else:
            connection.send(self, self._text, to_head=to_head, ends=False)
            self._send_parts(connection)
        if self._client.slow:
            connection.pause()

    # the request's body, where it is passed on as it comes

    def body_part(self, part: bytes) -> None:
        """Pass a part on, and its end where it is the last."""
        if part:
            self._parts.append(part)
        if self._connection is not None:
            self._send_parts(self._connection)
        elif sum(map(len, self._parts)) > HIGH_WATER:
            self._client.hold()

    def _send_parts(self, connection: UpstreamConnection) -> None:
        chunked = self._body.chunked
        for part in self._parts:
            connection.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        self._parts = []
        if self._body.ended:
            if chunked:
                connection.write(b"0\r\n\r\n")
            connection.request_ended()
        if connection.writable:
            self._client.go_on()
        else:
            self._client.hold()

    def upstream_writable(self) -> None:
        """Have the client go on: the upstream takes more of the body."""
        self._client.go_on()

    # the response

    def response_head(self, status: int, fields: ResponseFields, *, ends: bool) -> None:
        """Write the head anew."""
        self._read = status
        if self._capture is not None:
            self._capture.head(status, fields)
        raw, self._chunked = response_bytes(status, fields, self._handling, bodiless=ends, close=self._client.last)
        self._out.append(raw)

    def response_body(self, data: bytes) -> None:
        """Pass a part on."""
        self._handling.response_bytes += len(data)
        if self._capture is not None:
            self._capture.body(data)
        self._out.append(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def response_flush(self) -> None:
        """Send what was taken of the response so far."""
        if self._out:
            self._client.await_upstream(self._pool.upstream)
            self._send_back()

    def response_ended(self) -> None:
        """Send the rest."""
        self._connection = None
        if self._capture is not None:
            self._capture.end()
        if self._chunked:
            self._out.append(b"0\r\n\r\n")
        self._send_back()
        self._ended(Reason.ALLOWED, "")

    def _send_back(self) -> None:
        self.status = self._read
        out, self._out = self._out, []
        self._client.write(b"".join(out))

    def response_failed(self, reason: Reason, detail: str) -> None:
        """Give up: the upstream did not answer, or broke off."""
        self._connection = None
        self._ended(reason, detail)

    # the client's side

    def client_slow(self) -> None:
        """Read no more of the response for now."""
        if self._connection is not None:
            self._connection.pause()

    def client_ready(self) -> None:
        """Read on."""
        if self._connection is not None:
            self._connection.resume()

    def outlives_client(self) -> bool:
        """Read on without the client, where the store waits for what becomes of the request; else give False."""
        if self._capture is None or self._connection is None or not self._whole:
            return False
        self._connection.resume()
        return True

    def drop(self) -> None:
        """Break off towards the upstream, without a word to anybody."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
