"""Serves the metrics over plain HTTP, to whoever reaches the address: one small answer for each connection."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.core.policy import Endpoint
from gateway.engine.start import StartError

logger = logging.getLogger(__name__)

MAX_HEAD = 8_192
"""Bytes of a request."""
MAX_CONNECTIONS = 16
TIMEOUT = 5.0
"""Seconds for a request and its answer."""

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    """Answers `GET /metrics`, and nothing else."""

    def __init__(self, text: Callable[[], bytes]) -> None:
        """`text` gives the metrics; it is called in a thread, since many labels take time to be written."""
        self._text = text
        self._server: asyncio.Server | None = None
        self._open = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("it does not listen")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, address: Endpoint) -> None:
        """Listen. Raises StartError."""
        try:
            self._server = await asyncio.start_server(self._serve, address.host, address.port, limit=MAX_HEAD)
        except OSError as error:
            raise StartError(f"metrics at {address.host}:{address.port}: {error.strerror or error}") from None

    async def close(self) -> None:
        """Stop."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(head))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks will ask again
        except Exception:
            logger.exception("metrics")
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0]
        if target.partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"the metrics are at /metrics\n")
        if method != b"GET":
            return _response("405 Method Not Allowed", b"GET only\n")
        return _response("200 OK", await asyncio.to_thread(self._text))


def _response(status: str, body: bytes) -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {_TYPE}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "X-Content-Type-Options: nosniff",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
