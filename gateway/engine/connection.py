"""One client connection on mitmproxy's layers: its limits, deadlines, upstream connections, and its end."""

import asyncio
import copy
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.proxy.server_hooks import ClientConnectedHook, ClientDisconnectedHook

from gateway.core.exchange import failure
from gateway.core.message import Peer
from gateway.core.policy import Limits, Upstream
from gateway.core.reasons import Denied, Reason
from gateway.engine.deadlines import DeadlinePassed, Deadlines, Key
from gateway.engine.endpoints import UpstreamFailedError, describe
from gateway.engine.gate import Gate, Handling
from gateway.engine.layers import GateHttpLayer
from gateway.engine.listener import Accepted
from gateway.engine.problem import Answer, problem
from gateway.engine.upstream_pool import Pools
from gateway.engine.user_addons import UserAddons
from gateway.engine.user_flows import AddonsHook

logger = logging.getLogger(__name__)

UPSTREAM_CONNECTIONS = 100
"""Connections to one upstream that one client connection may hold; HTTP/2 streams beyond that wait."""


class Connection:
    """What the layers of one client connection share."""

    def __init__(self, gate: Gate, peer: Peer, deadlines: Deadlines) -> None:
        self.gate = gate
        self.peer = peer
        self.deadlines = deadlines
        self.upstreams: dict[str, Upstream] = {}
        """Upstreams by the key that stands for them in mitmproxy's server connections."""
        self.open_requests = 0
        self.closing = False
        """Whether the connection ends as soon as no request is open."""
        self.inspection: tuple[UserAddons, Client] | None = None
        """The user addons, where there are any, and the client as they see it."""

    @property
    def limits(self) -> Limits:
        """The listener's limits as the policy in force has them."""
        return self.gate.in_force.policy.listeners[self.peer.listener].limits

    def idles(self) -> None:
        """Note that no request is open: the client has the idle time for its next one."""
        self.deadlines.set(("idle", 0), 0.0 if self.closing else self.limits.idle_timeout)

    def head_begins(self) -> None:
        """Note that bytes of a head have come: its time runs from the first one."""
        self.deadlines.clear(("idle", 0))
        self.deadlines.set_unless_set(("head", 0), self.limits.head_timeout)

    def head_ends(self) -> None:
        """Note that the head is complete."""
        self.deadlines.clear(("head", 0))

    def begins(self) -> None:
        """Note that a request is open."""
        self.open_requests += 1
        self.deadlines.clear(("idle", 0))

    def ends(self) -> None:
        """Note that a request is done with."""
        self.open_requests -= 1
        if not self.open_requests:
            self.idles()

    def handling(self) -> Handling:
        """Make what takes a request from its head to its outcome."""
        return Handling(self.gate, self.peer)

    def upstream_key(self, upstream: Upstream) -> str:
        """Give the key that stands for this upstream in server connections: after a reload it is another one."""
        key = f"{upstream.name}@{id(upstream):x}"
        self.upstreams[key] = upstream  # and so no other one comes to have its id
        return key

    def refuse_unreadable(self, denied: Denied, line: str) -> Answer:
        """Decide, record and answer bytes that are no request."""
        self.head_ends()
        handling = self.handling()
        try:
            handling.refuse(denied, line)
            return handling.answer()
        except Exception:
            logger.exception("refusing an unreadable request")
            return problem(Reason.CONTROL_FAILED, handling.request_id, handling.identity_field)


class HeldReader:
    """Reads from an upstream once the client has room for more (HTTP/2, whose windows mitmproxy does not wait for)."""

    def __init__(self, reader: asyncio.StreamReader, room: Callable[[], Awaitable[None]]) -> None:
        self._reader = reader
        self._room = room

    async def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        await self._room()
        return await self._reader.read(size)


class GateConnectionHandler(ProxyConnectionHandler):
    """Moves bytes between sockets and layers; opens upstream connections with a time-out and verified TLS."""

    def __init__(
        self,
        master: Master,
        gate: Gate,
        accepted: Accepted,
        mode: ProxyMode,
        pools: Callable[[], Pools],
        addons: UserAddons | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            master, *accepted.streams(), master.options, mode
        )
        loop = asyncio.get_running_loop()
        self.connection = Connection(gate, accepted.peer, Deadlines(loop, self._deadline_passed))
        self._pools = pools
        self._tasks: set[asyncio.Task[None]] = set()
        self._happened = asyncio.Event()
        """Set with each event: the client may have taken what it was sent."""
        self.max_conns.default_factory = lambda: asyncio.Semaphore(UPSTREAM_CONNECTIONS)
        tls = accepted.peer.tls
        if tls is not None:
            self.client.tls = True
            self.client.alpn = tls.alpn.encode("ascii") if tls.alpn else None
            self.client.tls_version = tls.version  # type: ignore[assignment]
            self.client.sni = tls.server_name
            self.client.timestamp_tls_setup = time.time()
        if addons is not None:
            self.connection.inspection = addons, copy.copy(self.client)

    def _deadline_passed(self, key: Key) -> None:
        task = asyncio.get_running_loop().create_task(self.server_event(DeadlinePassed(key)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self) -> None:
        """Serve the connection until it ends."""
        self.connection.idles()
        try:
            await self.handle_client()
        finally:
            self.connection.deadlines.clear_all()

    @property
    def peer(self) -> Peer:
        """The other end."""
        return self.connection.peer

    @property
    def open_requests(self) -> int:
        """Requests that are under way."""
        return self.connection.open_requests

    @property
    def tunnelled(self) -> None:
        """Nothing: mitmproxy's layers open no WebSockets."""
        return

    def drain(self) -> None:
        """End the connection as soon as no request is open."""
        self.connection.closing = True
        if not self.connection.open_requests:
            self.abort()

    def abort(self) -> None:
        """End the connection now."""
        io = self.transports.get(self.client)
        if io is not None and io.handler is not None:
            io.handler.cancel("the gate ends the connection")

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Run a hook; whatever it raises, the layer that waits for it goes on, and denies what was not decided."""
        try:
            if isinstance(hook, AddonsHook):
                await hook.run()
                return
            await super().handle_hook(hook)
        except Exception:
            logger.exception("hook %s", hook.name)
        if isinstance(hook, ClientConnectedHook):
            await self._admit()
        elif isinstance(hook, ClientDisconnectedHook) and self.connection.inspection is not None:
            addons, client = self.connection.inspection
            await addons.farewell(client)

    async def _admit(self) -> None:
        """Have the user addons look at the connection; mitmproxy closes it where it finds an error in `client`."""
        if self.connection.inspection is None:
            return
        addons, client = self.connection.inspection
        try:
            denied = await addons.admit(client)
        except Exception as error:
            logger.exception("connection %s", self.connection.peer.connection_id)
            denied = failure(error)
        if denied is not None:
            self.client.error = denied.detail
            peer = self.connection.peer
            self.connection.gate.refuse_connection(
                denied.reason, denied.detail, connection_id=peer.connection_id, listener=peer.listener,
                address=peer.address, port=peer.port, tls=peer.tls,
            )  # fmt: skip

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """Connect to an endpoint of an upstream within its time, and serve that connection until it ends."""
        server = command.connection
        if server.address is None:
            raise RuntimeError("not a connection to an upstream")
        upstream = self.connection.upstreams[server.address[0]]
        server.timestamp_start = time.time()
        try:
            endpoints = self._pools().of(upstream).endpoints
            reader, writer = await endpoints.connect(lambda place: asyncio.open_connection(**place.target))
        except UpstreamFailedError as error:
            server.error = error.detail
            await self._opening_failed(command)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the request that waits must be answered
            server.error = describe(error, upstream.connect_timeout)
            await self._opening_failed(command)
            return
        except asyncio.CancelledError:
            server.error = "cancelled"
            await self._opening_failed(command)
            raise
        server.timestamp_tcp_setup = time.time()
        server.state = ConnectionState.OPEN
        server.peername = writer.get_extra_info("peername")
        server.sockname = writer.get_extra_info("sockname")
        held = cast("asyncio.StreamReader", HeldReader(reader, partial(self._room, server)))
        self.transports[server] = ConnectionIO(handler=asyncio.current_task(), reader=held, writer=writer)
        await self.server_event(events.OpenConnectionCompleted(command, None))
        try:
            await self.handle_connection(server)
        finally:
            server.timestamp_end = time.time()

    async def server_event(self, event: events.Event) -> None:
        """Handle an event, and look again at who waits for the client."""
        await super().server_event(event)
        self._happened.set()

    async def _room(self, server: Server) -> None:
        """Wait until the client has taken most of what an upstream sent; the stream's deadline bounds it."""
        while isinstance(self.layer, GateHttpLayer) and self.layer.held_back(server):
            self._happened.clear()
            await self._happened.wait()

    async def _opening_failed(self, command: commands.OpenConnection) -> None:
        # mitmproxy keeps it until the client leaves: an upstream that is down would fill the memory.
        self.transports.pop(command.connection, None)
        await self.server_event(events.OpenConnectionCompleted(command, command.connection.error))

    def log(self, message: str, level: int = logging.DEBUG, exc_info: object = None) -> None:
        """Pass mitmproxy's own log on, quietly: what matters of a connection is in the audit log."""
        if level >= logging.ERROR:
            logger.log(level, "connection %s: %s", self.connection.peer.connection_id, message, exc_info=exc_info)  # type: ignore[arg-type]
