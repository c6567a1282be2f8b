"""mitmproxy's master as the gate runs it: TLS contexts, listeners, and the connections that are open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mitmproxy import options
from mitmproxy.addons import core, proxyserver
from mitmproxy.hooks import RunningHook
from mitmproxy.master import Master

from gateway.core.policy import Policy
from gateway.engine.addon import CoreAddon
from gateway.engine.connection import GateConnectionHandler
from gateway.engine.data_path import DataPath
from gateway.engine.gate import Gate
from gateway.engine.listener import AcceptLoop
from gateway.engine.mode import spec_of
from gateway.engine.standings import Standings
from gateway.engine.start import StartError
from gateway.engine.tls import ServerContext
from gateway.engine.upstream_pool import Pools
from gateway.engine.upstream_tls import UpstreamTls
from gateway.engine.user_addons import UserAddons


class GateMaster(Master):
    """mitmproxy's master with the gate's addon only: no flow lists, no certificates and no TLS of mitmproxy's own."""

    def __init__(
        self, gate: Gate, policy: Policy, *, flows: bool = False, shared: bool = False, addons: Sequence[Path] = ()
    ) -> None:
        """Make everything but the listeners. Raises AddonInvalid, or OSError or ssl.SSLError."""
        super().__init__(options.Options(), asyncio.get_running_loop())
        # It turns every line of any log into a deprecated event of the loop, also of one that is closed.
        self._legacy_log_events.uninstall()
        self.gate = gate
        self.contexts = make_contexts(policy)
        self.listeners: dict[str, AcceptLoop] = {}
        self.handlers: set[GateConnectionHandler | DataPath] = set()
        self.standings = Standings(gate, self.handlers)
        self.flows = flows or bool(addons)
        self.shared = shared
        self.pools = Pools(UpstreamTls(policy.upstreams), gate)
        self.proxyserver = proxyserver.Proxyserver()
        self.addons.add(core.Core(), self.proxyserver, CoreAddon())
        self.options.update(
            connection_strategy="lazy",
            validate_inbound_headers=True,
            # The gate has its own deadlines; mitmproxy's watchdog must never be the first.
            tcp_timeout=10**9,
            mode=[spec_of(listener) for listener in policy.listeners.values()],
        )
        self.user_addons = UserAddons(addons, self) if addons else None

    async def start(self) -> None:
        """Bring up the listeners. Raises StartError.

        In place of Master.run, whose eager task factory fails on uvloop 0.23.
        """
        if self.user_addons is not None:
            await self.user_addons.start()
        if not await self.proxyserver.setup_servers():
            errors = [str(server.last_exception) for server in self.proxyserver.servers if server.last_exception]
            raise StartError("; ".join(errors) or "a listener could not be started: is another process using its port?")
        await self.addons.trigger_event(RunningHook())

    async def done(self) -> None:
        """Tell the addons, the user's first, that all is over."""
        if self.user_addons is not None:
            await self.user_addons.stop()
        await super().done()


def make_contexts(policy: Policy) -> dict[str, ServerContext]:
    """Make the TLS context of each listener. Raises OSError or ssl.SSLError."""
    return {name: ServerContext(listener.tls) for name, listener in policy.listeners.items()}
