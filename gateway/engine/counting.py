"""Metrics of a service, where its policy wants any: they count from the start, and are served until the end."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.core.policy import Endpoint
from gateway.engine.gate import Gate
from gateway.engine.listener import AcceptLoop
from gateway.engine.metrics import Metrics
from gateway.engine.metrics_server import MetricsServer
from gateway.engine.worker import Worker
from gateway.policy.inventory import Material


class Counting:
    """Nothing at all, until `start` is told where to serve."""

    def __init__(self, gate: Gate, listeners: Mapping[str, AcceptLoop]) -> None:
        self._gate = gate
        self._listeners = listeners
        self._metrics: Metrics | None = None
        self.server = MetricsServer(self._text)

    async def start(self, address: Endpoint | None, worker: Worker | None) -> None:
        """Count and serve; each of several workers has a port of its own, in their order. Raises StartError."""
        if address is None:
            return
        self._metrics = Metrics(self._gate)
        self._gate.commit.observe = self._metrics.count
        if worker is not None and address.port:
            address = replace(address, port=address.port + worker.number - 1)
        await self.server.start(address)

    def adopt(self, material: tuple[Material, ...]) -> None:
        """Take over what the policy in force trusts or uses."""
        if self._metrics is not None:
            self._metrics.adopt(material)

    async def close(self) -> None:
        """Stop."""
        await self.server.close()

    def _text(self) -> bytes:
        assert self._metrics is not None
        return self._metrics.text({name: each.connections for name, each in self._listeners.items()})
