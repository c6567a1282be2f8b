"""The demo's upstream: a small HTTP/1.1 server on loopback that remembers what reached it, and from whom."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from gateway.demo.book import Book, Document, Fields, Refused
from gateway.demo.operations import find

LOOPBACK = "127.0.0.1"

MAX_BODY = 1_048_576
"""Bytes; far more than the gate lets through, so that it is the gate that refuses."""

CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Received:
    """A request that reached the upstream, less everything that might be secret."""

    operation: str | None
    """None where the upstream knows no such operation."""
    status: int
    identity: dict[str, list[str]]
    """Values of the fields in which the gate says who calls."""


IDENTITY_FIELDS = ("x-gateway-partner", "x-gateway-client-address", "x-gateway-request-id", "x-forwarded-for")


@dataclass(slots=True)
class Upstream:
    """Plays the three APIs on one port."""

    book: Book = field(default_factory=Book.opened)
    received: list[Received] = field(default_factory=list)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def count(self) -> Counter[str | None]:
        """Count the requests received by operation."""
        return Counter(request.operation for request in self.received)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncGenerator[int]:
        """Serve on loopback meanwhile; gives the port, which the system chooses for 0. Raises OSError."""
        server = await asyncio.start_server(self._accept, LOOPBACK, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _next_request(connection, reader)) is not None:
                status, document = self._answer(*request)
                writer.write(_response(connection, status, document))
                await writer.drain()
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (h11.RemoteProtocolError, ConnectionError):
            pass  # Nobody to answer: the gate writes its requests by the book, or has gone.
        finally:
            writer.close()

    def _answer(self, head: h11.Request, body: bytes) -> tuple[HTTPStatus, Document]:
        found = find(head.method.decode(), head.target.decode())
        try:
            if found is None:
                raise Refused(HTTPStatus.NOT_FOUND, "operation_unknown")  # noqa: TRY301 - one way out for refusals
            operation, parameter = found
            status, document = operation.status, operation.act(self.book, parameter, _fields(body))
        except Refused as refused:
            status, document = refused.status, {"code": refused.code}
        name = found[0].name if found is not None else None
        self.received.append(Received(name, status, _identity(head)))
        return status, document


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """Read one whole request; None where the connection ended between two."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise h11.RemoteProtocolError("body too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif isinstance(event, h11.EndOfMessage):
            return (head, bytes(body)) if head is not None else None
        else:
            return None


def _fields(body: bytes) -> Fields:
    try:
        fields = json.loads(body) if body else {}
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "not_json") from None
    if not isinstance(fields, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "not_an_object")
    return fields


def _identity(head: h11.Request) -> dict[str, list[str]]:
    seen: dict[str, list[str]] = {}
    for name, value in head.headers:
        if name.decode() in IDENTITY_FIELDS:
            seen.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return seen


def _response(connection: h11.Connection, status: HTTPStatus, document: Document) -> bytes:
    body = json.dumps(document).encode() + b"\n"
    fields = [("content-type", "application/json"), ("content-length", str(len(body))), ("cache-control", "no-store")]
    events = (
        h11.Response(status_code=status, headers=fields, reason=status.phrase.encode()),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    return b"".join(connection.send(event) or b"" for event in events)
