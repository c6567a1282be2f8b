"""One client connection on mitmproxy's layers: its limits, deadlines, upstream connections, and its end."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping

from mitmproxy.connection import ConnectionState
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionIO

from gateway.core.message import Peer
from gateway.core.policy import Limits, Upstream
from gateway.core.reasons import Denied, Reason
from gateway.engine.deadlines import DeadlinePassed, Deadlines, Key
from gateway.engine.gate import Gate, Handling
from gateway.engine.listener import Accepted
from gateway.engine.problem import Answer, problem

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
        """Give the key that stands for this upstream, as it is now, in server connections."""
        key = f"{upstream.name}@{upstream.scheme}://{upstream.host}:{upstream.port}"
        self.upstreams[key] = upstream
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


class GateConnectionHandler(ProxyConnectionHandler):
    """Moves bytes between sockets and layers; opens upstream connections with a time-out and verified TLS."""

    def __init__(
        self, master: Master, gate: Gate, accepted: Accepted, mode: ProxyMode, upstream_tls: "UpstreamTls"
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            master, *accepted.streams(), master.options, mode
        )
        loop = asyncio.get_running_loop()
        self.connection = Connection(gate, accepted.peer, Deadlines(loop, self._deadline_passed))
        self._upstream_tls = upstream_tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.max_conns.default_factory = lambda: asyncio.Semaphore(UPSTREAM_CONNECTIONS)
        tls = accepted.peer.tls
        if tls is not None:
            self.client.tls = True
            self.client.alpn = tls.alpn.encode("ascii") if tls.alpn else None
            self.client.tls_version = tls.version  # type: ignore[assignment]
            self.client.sni = tls.server_name
            self.client.timestamp_tls_setup = time.time()

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
    def listener(self) -> str:
        """Name of the listener that admitted it."""
        return self.connection.peer.listener

    @property
    def open_requests(self) -> int:
        """Requests that are under way."""
        return self.connection.open_requests

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
            await super().handle_hook(hook)
        except Exception:
            logger.exception("hook %s", hook.name)

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """Connect to an upstream within its time, TLS included, and serve that connection until it ends."""
        server = command.connection
        if server.address is None:
            raise RuntimeError("not a connection to an upstream")
        upstream = self.connection.upstreams[server.address[0]]
        server.timestamp_start = time.time()
        try:
            async with asyncio.timeout(upstream.connect_timeout):
                reader, writer = await asyncio.open_connection(
                    upstream.host, upstream.port, ssl=self._upstream_tls.context(upstream)
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the request that waits must be answered
            server.error = describe(error, upstream)
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
        self.transports[server] = ConnectionIO(handler=asyncio.current_task(), reader=reader, writer=writer)
        await self.server_event(events.OpenConnectionCompleted(command, None))
        try:
            await self.handle_connection(server)
        finally:
            server.timestamp_end = time.time()

    async def _opening_failed(self, command: commands.OpenConnection) -> None:
        # mitmproxy keeps it until the client leaves: an upstream that is down would fill the memory.
        self.transports.pop(command.connection, None)
        await self.server_event(events.OpenConnectionCompleted(command, command.connection.error))

    def log(self, message: str, level: int = logging.DEBUG, exc_info: object = None) -> None:
        """Pass mitmproxy's own log on, quietly: what matters of a connection is in the audit log."""
        if level >= logging.ERROR:
            logger.log(level, "connection %s: %s", self.connection.peer.connection_id, message, exc_info=exc_info)  # type: ignore[arg-type]


class UpstreamTls:
    """TLS contexts towards upstreams: chain to the upstream's CAs (or the system's), and its name, verified."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        """Read the CA files. Raises OSError or ssl.SSLError."""
        self._contexts: dict[str, ssl.SSLContext] = {}
        for upstream in upstreams.values():
            self.context(upstream)

    def context(self, upstream: Upstream) -> ssl.SSLContext | None:
        """Give the context for `upstream`; None where it speaks plain HTTP."""
        if upstream.scheme != "https":
            return None
        key = str(upstream.ca)
        if key not in self._contexts:
            context = ssl.create_default_context(cafile=None if upstream.ca is None else str(upstream.ca))
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[key] = context
        return self._contexts[key]


def describe(error: Exception, upstream: Upstream) -> str:
    """Say for the log why an upstream could not be reached."""
    if isinstance(error, TimeoutError):
        return f"no connection within {upstream.connect_timeout:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
