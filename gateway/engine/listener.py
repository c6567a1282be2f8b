"""Accepting connections: PROXY header, TLS, and the facts of the peer; each refusal leaves its record.

1. too many connections: closed
2. where the listener demands it, the PROXY header is read, from trusted proxies only
3. OpenSSL makes the handshake; what it refuses is recorded with its own words
4. the connection goes to whoever serves its protocol, with the facts of the peer
"""

import asyncio
import logging
import socket
import ssl
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

from gateway.core.exchange import failure
from gateway.core.message import Address, Peer, Standing, Tls
from gateway.core.networks import normalised
from gateway.core.policy import Listener
from gateway.core.reasons import Denied, Reason
from gateway.engine.binding import bound
from gateway.engine.client_transport import ClientTransport
from gateway.engine.gate import Gate
from gateway.engine.proxy_protocol import Header, InvalidHeaderError
from gateway.engine.tls import ServerContext, handshake_failure
from gateway.pki.chain import Chain
from gateway.pki.revocation import Status

logger = logging.getLogger(__name__)

BACKLOG = 1024
READ_LIMIT = 65_536
"""Bytes buffered of a connection before its peer is made to wait."""
ACCEPT_PAUSE = 0.1
"""Seconds to wait where the system has no descriptor left for another connection."""


_REVOCATION = {Status.REVOKED: Reason.TLS_CERTIFICATE_REVOKED, Status.UNKNOWN: Reason.TLS_CERTIFICATE_STATUS}


class Arrival(asyncio.Protocol):
    """Holds a connection still between its handshake and whoever serves it, who depends on what the handshake said."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have nothing read yet."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self.transport = transport
        transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Keep what came all the same."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody is there any more."""
        del exc
        self._lost = True

    def hand_to(self, protocol: asyncio.Protocol | ClientTransport) -> None:
        """Let `protocol` go on with the connection."""
        assert self.transport is not None
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if self._lost:
            protocol.connection_lost(None)
            return
        for data in self._early:
            protocol.data_received(data)
        self.transport.resume_reading()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection after its handshake."""

    peer: Peer
    transport: asyncio.Transport
    arrival: Arrival

    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Go on with the connection by streams."""
        reader = asyncio.StreamReader(limit=READ_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        self.arrival.hand_to(protocol)
        return reader, asyncio.StreamWriter(self.transport, protocol, reader, asyncio.get_running_loop())


type Serve = Callable[[Accepted], Awaitable[None]]


class AcceptLoop:
    """Accepts on one socket until closed. `serve` is awaited for each connection and owns it."""

    def __init__(self, gate: Gate, name: str, context: ServerContext, serve: Serve, *, shared: bool = False) -> None:
        self.gate = gate
        self.name = name
        self.context = context
        """Replaced whole on a reload; handshakes under way finish with the one they began with."""
        self._serve = serve
        self._shared = shared
        """Whether other processes may listen there too."""
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def settings(self) -> Listener:
        """The listener as the policy in force has it."""
        return self.gate.in_force.policy.listeners[self.name]

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Sockets that listen; mitmproxy asks for them."""
        return () if self._socket is None else (self._socket,)

    def start(self) -> None:
        """Listen. Raises OSError where the address is taken or not this machine's."""
        listening = bound(self.settings, shared=self._shared)
        try:
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listening))

    def close(self) -> None:
        """Stop accepting; connections go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def abort(self) -> None:
        """Cut every connection that is left."""
        for task in list(self._connections):
            task.cancel()

    @property
    def connections(self) -> int:
        """Connections open now, those in their handshake included."""
        return len(self._connections)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, name = await loop.sock_accept(listening)
            except OSError as error:
                # A peer that is gone already, or no descriptor left: neither ends the listener.
                logger.warning("accept on %s: %s", self.name, error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            task = loop.create_task(self._handle(client, name))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _handle(self, client: socket.socket, name: tuple[str, int]) -> None:
        connection_id = str(uuid.uuid4())
        address: Address = normalised(ip_address(name[0].partition("%")[0]))
        try:
            accepted = await self._admit(client, address, name[1], connection_id)
        except Exception as error:
            logger.exception("admitting a connection of %s", self.name)
            self.gate.refuse_connection(
                Reason.CONTROL_FAILED, failure(error).detail,
                connection_id=connection_id, listener=self.name, address=address, port=name[1],
            )  # fmt: skip
            accepted = None
        except BaseException:
            client.close()
            raise
        if accepted is None:
            client.close()
            return
        try:
            await self._serve(accepted)
        except Exception:
            logger.exception("connection %s", connection_id)
        finally:
            accepted.transport.close()

    async def _admit(self, client: socket.socket, address: Address, port: int, connection_id: str) -> Accepted | None:
        settings = self.settings

        def refuse(reason: Reason, detail: str, tls: Tls | None = None) -> None:
            self.gate.refuse_connection(
                reason, detail, connection_id=connection_id, listener=self.name, address=address, port=port, tls=tls
            )

        if len(self._connections) > settings.limits.connections:
            refuse(Reason.CONNECTION_LIMIT, f"{settings.limits.connections} connections are open")
            return None
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.proxy_protocol:
            if address not in settings.trusted_proxies:
                refuse(Reason.PROXY_UNTRUSTED, "not one of trusted_proxies")
                return None
            try:
                header = await asyncio.wait_for(_read_header(client), settings.limits.handshake_timeout)
            except (InvalidHeaderError, TimeoutError, OSError) as error:
                refuse(Reason.PROXY_HEADER_INVALID, str(error) or "not sent in time")
                return None
            if header.source is not None:
                address, port = header.source.address, header.source.port
        context = self.context
        loop = asyncio.get_running_loop()
        arrival = Arrival()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: arrival, client, ssl=context.context,
                ssl_handshake_timeout=settings.limits.handshake_timeout,
            )  # fmt: skip
        except (OSError, ssl.SSLError) as error:
            refuse(*handshake_failure(error))
            return None
        connection = transport.get_extra_info("ssl_object")
        tls: Tls | None = None
        try:
            chain = context.chain(connection)
            tls = context.facts(connection, chain)
            standing = await self._standing(chain)
            peer = Peer(address, port, self.name, tls, connection_id, standing)
        except Denied as denied:
            refuse(denied.reason, denied.detail, tls)
            transport.abort()
            return None
        except BaseException:
            transport.abort()
            raise
        return Accepted(peer, transport, arrival)

    async def _standing(self, chain: Chain | None) -> Standing:
        """Give the standing of a new connection.

        Raises Denied(TLS_CERTIFICATE_REVOKED), or (TLS_CERTIFICATE_STATUS) where that cannot be told.
        """
        if chain is None:
            return Standing()
        check = self.gate.in_force.revocation.get(self.name)
        until = chain.facts.not_after
        if check is not None:
            await check.learn(chain)
            verdict = check.judge(chain, self.gate.clock.now())
            if verdict.status in _REVOCATION:
                raise Denied(_REVOCATION[verdict.status], verdict.detail)
            until = min(until, verdict.until)
        return Standing(chain, until)


async def _read_header(client: socket.socket) -> Header:
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    header = Header()
    while not header.done:
        data = b""
        while len(data) < header.needs:
            part = await loop.sock_recv(client, header.needs - len(data))
            if not part:
                raise InvalidHeaderError("the connection ended within the PROXY header")
            data += part
        header.feed(data)
    return header
