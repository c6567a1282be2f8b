"""An upstream that counts what reaches it and answers as it is told, over real sockets."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}'

_REQUEST_ID = re.compile(rb"(?im)^x-gateway-request-id: ([0-9a-f-]+)\r$")

type Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FakeUpstream:
    """Reads requests (head and Content-Length body) and sends `answer` for each."""

    def __init__(self) -> None:
        self.answer = OK
        self.behaviour: Behaviour | None = None
        """Takes the place of the answer: called after each request was read."""
        self.connections = 0
        self.requests: list[bytes] = []
        self.certificates: list[bytes | None] = []
        """What the client of each connection presented, as DER."""
        self.port = 0
        self._tls: ssl.SSLContext | None = None
        self._greeting = b""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def heads(self) -> list[bytes]:
        """Head of each request."""
        return [request.partition(b"\r\n\r\n")[0] for request in self.requests]

    @property
    def bodies(self) -> list[bytes]:
        """Body of each request."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

    @property
    def request_ids(self) -> list[str]:
        """The id that the gate gave each request; a request without one fails here."""
        return [_REQUEST_ID.findall(request + b"\r")[-1].decode() for request in self.requests]

    @property
    def untouched(self) -> bool:
        """Whether nothing reached it, not even a connection."""
        return not self.connections and not self.requests

    def fields(self, place: int = -1) -> list[tuple[str, str]]:
        """Give the field lines of a request, the last one unless `place` says otherwise."""
        _, *lines = self.heads[place].decode("latin-1").split("\r\n")
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    async def start(
        self, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0, greeting: bytes = b""
    ) -> None:
        """Listen, on a free port unless one is named. `greeting` is said to whoever connects."""
        self._tls = tls or self._tls
        self._greeting = greeting
        self._server = await asyncio.start_server(self._accept, host, port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def restart(self) -> None:
        """Listen again where it listened before."""
        await self.start(port=self.port)

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.add(writer)
        tls = writer.get_extra_info("ssl_object")
        self.certificates.append(None if tls is None else tls.getpeercert(binary_form=True))
        writer.write(self._greeting)
        try:
            while True:
                await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


def answers(*pieces: bytes, close: bool = False) -> Behaviour:
    """Send pieces of an answer one by one, each in a write of its own; then close, where that is asked for."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            raise ConnectionError

    return behave


def hangs(*pieces: bytes) -> Behaviour:
    """Send pieces of an answer, and never the rest."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await reader.read(1)  # until the gate closes
        raise ConnectionError

    return behave


class Held:
    """An upstream's answer that the test lets go of."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.reached = asyncio.Event()
        """Set once a request is there."""
        self.go_on = asyncio.Event()
        self._upstream = upstream
        upstream.behaviour = self._behave

    async def _behave(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        await self.go_on.wait()
        writer.write(self._upstream.answer)
        await writer.drain()
