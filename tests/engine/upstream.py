"""An upstream that counts what reaches it and answers as it is told, over real sockets."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}'

type Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeUpstream:
    """Reads requests (head and Content-Length body) and sends `answer` for each."""

    def __init__(self) -> None:
        self.answer = OK
        self.behaviour: Behaviour | None = None
        """Takes the place of the answer: called after each request was read."""
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def heads(self) -> list[bytes]:
        """Head of each request."""
        return [request.partition(b"\r\n\r\n")[0] for request in self.requests]

    @property
    def bodies(self) -> list[bytes]:
        """Body of each request."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

    async def start(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                self.requests.append(head + await reader.readexactly(length))
                if self.behaviour is not None:
                    await self.behaviour(reader, writer)
                else:
                    writer.write(self.answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
