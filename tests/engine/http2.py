"""An HTTP/2 client that says what a test wants, well-formed or not."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests import world
from tests.engine import pki
from tests.engine.harness import SAFETY, Client, Response

type Fields = list[tuple[str, str]]


@dataclass
class Received:
    """What came on one stream."""

    fields: Fields = field(default_factory=list)
    interim: list[str] = field(default_factory=list)
    """Statuses of interim answers."""
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    """Code of a reset."""

    def response(self) -> Response:
        """Give the whole answer."""
        assert self.ended, f"no whole answer: {self}"
        named = dict(self.fields)
        return Response(int(named[":status"]), named, self.body, self.fields)


class Gate(Protocol):
    """What a client needs of a gate under test."""

    @property
    def directory(self) -> Path:
        """Where the certificates lie."""

    async def connect(self, *, tls: ssl.SSLContext | None = None) -> Client:
        """Open a connection over TLS."""


class Http2Client:
    """One connection. Nothing that is sent is checked or put in order."""

    def __init__(self, up: Gate, *, tls: ssl.SSLContext | None = None) -> None:
        self._up = up
        self._tls = tls or pki.client_context(up.directory, alpn="h2")
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=True,
            )
        )
        self.streams: dict[int, Received] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.closed = False
        self.ready = False
        """Whether the gate has said how much it takes."""

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await self._up.connect(tls=self._tls)
        self.h2.initiate_connection()
        self.flush()
        await self.read(lambda: self.ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def flush(self) -> None:
        """Send what is ready to be sent."""
        self.writer.write(self.h2.data_to_send())

    def begin(self, fields: Iterable[tuple[str, str]], *, end: bool = True) -> int:
        """Send a header section on a new stream; give the stream's id."""
        stream = self.h2.get_next_available_stream_id()
        self.streams[stream] = Received()
        self.h2.send_headers(stream, list(fields), end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Send data."""
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def reset(self, stream: int, code: int = 8) -> None:
        """Reset a stream: CANCEL unless `code` says otherwise."""
        self.h2.reset_stream(stream, code)
        self.flush()

    def post(self, made: world.World | None = None) -> int:
        """Send the world's request whole."""
        made = made or world.World()
        stream = self.begin(fields_of(made), end=not made.body)
        if made.body:
            self.send(stream, made.body)
        return stream

    async def answer(self, stream: int) -> Response:
        """Read on until the stream has its whole answer."""
        await self.read(lambda: self.streams[stream].ended or self.streams[stream].reset is not None)
        return self.streams[stream].response()

    async def read_to_end(self) -> None:
        """Read on until the gate closes the connection."""
        await self.read(lambda: False)
        assert self.closed

    async def read(self, enough: Callable[[], object]) -> None:
        """Read on until `enough()`, or the end of the connection."""
        async with asyncio.timeout(SAFETY):
            while not enough() and not self.closed:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.closed = True
                    return
                for event in self.h2.receive_data(data):
                    self._note(event)
                self.flush()

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.ready = True
        stream_id = getattr(event, "stream_id", None)
        received = self.streams.get(stream_id) if stream_id else None
        if received is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            received.fields = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            received.interim.append(str(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            received.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            received.ended = True
        elif isinstance(event, h2.events.StreamReset):
            received.reset = int(event.error_code)


def fields_of(made: world.World, **pseudo: str | None) -> Fields:
    """Give the world's header section as HTTP/2 has it; a pseudo field changed to None is left out."""
    raw = [(name.decode(), value.decode("latin-1")) for name, value in made.raw_fields()]
    authority = dict(raw).get("host")
    first = {"method": made.method.decode(), "scheme": "https", "authority": authority, "path": made.target.decode()}
    named = [(f":{name}", value) for name, value in {**first, **pseudo}.items() if value is not None]
    return [*named, *((name, value) for name, value in raw if name != "host")]


def get_fields(path: str = "/v1/balance", **pseudo: str | None) -> Fields:
    """Give the header section of a GET that passes."""
    unsigned = dict.fromkeys(("content-length", "content-type", "x-key-id", "x-timestamp", "x-nonce", "x-signature"))
    return fields_of(world.World(method=b"GET", target=path.encode(), body=b"", fields=unsigned), **pseudo)
