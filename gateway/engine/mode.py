"""The gate as a mode of mitmproxy: `gateway:NAME@HOST:PORT` brings up the policy's listener of that name."""

from typing import Protocol, cast

from mitmproxy import ctx
from mitmproxy.master import Master
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.mode_servers import AsyncioServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode

from gateway.core.policy import Listener
from gateway.engine.connection import GateConnectionHandler
from gateway.engine.data_path import DataPath
from gateway.engine.gate import Gate
from gateway.engine.layers import GateHttpLayer
from gateway.engine.listener import Accepted, AcceptLoop
from gateway.engine.tls import ServerContext
from gateway.engine.upstream_pool import Pools
from gateway.engine.user_addons import UserAddons


class Host(Protocol):
    """What the mode needs of the master that runs it."""

    gate: Gate
    contexts: dict[str, ServerContext]
    listeners: dict[str, AcceptLoop]
    handlers: set[GateConnectionHandler | DataPath]
    pools: Pools
    flows: bool
    """Whether HTTP/1.1 goes through mitmproxy's layers too, as an addon that wants flows needs."""
    user_addons: UserAddons | None
    shared: bool
    """Whether other processes listen at the same addresses."""


class GatewayMode(ProxyMode):
    """mitmproxy's name for a listener of the gate; registers itself by being defined."""

    description = "API gateway"
    transport_protocol = "tcp"
    default_port = None

    def __post_init__(self) -> None:
        """Refuse a spec without a listener's name."""
        if not self.data:
            raise ValueError("gateway mode needs the name of a listener")


def spec_of(listener: Listener) -> str:
    """Give the mode spec that brings up `listener`."""
    return f"gateway:{listener.name}@{listener.address}:{listener.port}"


class GatewayServer(AsyncioServerInstance[GatewayMode]):
    """Runs one listener; registers itself by being defined."""

    def make_top_layer(self, _context: Context) -> Layer:
        """Refuse: connections come through the gate's own listener only."""
        raise RuntimeError("the gate makes its layers itself")

    async def listen(self, _host: str, _port: int) -> list[AcceptLoop]:  # type: ignore[override]
        """Bring up the listener that the mode names."""
        self._host = master = cast("Host", ctx.master)
        name = self.mode.data
        listener = AcceptLoop(master.gate, name, master.contexts[name], self._serve, shared=master.shared)
        listener.start()
        master.listeners[name] = listener
        return [listener]

    async def _serve(self, accepted: Accepted) -> None:
        master = self._host  # `ctx` may have another one by now, where a process has had several
        if accepted.peer.tls is not None and accepted.peer.tls.alpn != "h2" and not master.flows:
            path = DataPath(master.gate, accepted.peer, lambda: master.pools)
            master.handlers.add(path)
            try:
                accepted.arrival.hand_to(path)
                await path.ended
            finally:
                path.abort()
                master.handlers.discard(path)
            return
        handler = GateConnectionHandler(
            cast("Master", master), master.gate, accepted, self.mode, lambda: master.pools, master.user_addons
        )
        handler.layer = GateHttpLayer(handler.layer.context, handler.connection)
        master.handlers.add(handler)
        try:
            with self.manager.register_connection(handler.layer.context.client.id, handler):
                await handler.serve()
        finally:
            master.handlers.discard(handler)
