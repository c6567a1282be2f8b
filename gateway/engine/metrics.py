"""Counts what the log is told, for Prometheus: nothing is measured twice, and what is not in the log is not counted.

A request costs two additions to counters that its labels find in a dictionary, and one to the bucket of each of its two
times. Everything else is looked up when somebody asks.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.audit.events import ConnectionCut, ConnectionRefused, ControlFailed, Event, RequestDecided, RequestFinished
from gateway.core.message import Instant
from gateway.engine.gate import Gate
from gateway.policy.inventory import Material
from gateway.state.fallback import Fallback
from gateway.state.valkey.circuit import KINDS
from gateway.state.valkey.store import ValkeyState

logger = logging.getLogger(__name__)

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: upper ends of the buckets of a histogram; the last bucket has none."""

_NOBODY = "(none)"


class Times:
    """How long something took: counted by buckets."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Give the buckets as Prometheus has them: each with all that are below it."""
        names = [*(str(bound) for bound in BOUNDS), "+Inf"]
        return [(name, float(count)) for name, count in zip(names, accumulate(self.buckets), strict=True)]


class Metrics:
    """The counters of one process."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._decided: Counter[tuple[str, str, str]] = Counter()
        self._finished: Counter[tuple[str, str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._cut: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[str] = Counter()
        self._gate_times = Times()
        self._upstream_times: dict[str, Times] = {}
        self._lost = 0
        self._material: tuple[Material, ...] = ()
        self._connections: Mapping[str, int] = {}

    def adopt(self, material: tuple[Material, ...]) -> None:
        """Take over what the policy in force trusts or uses."""
        self._material = material

    def count(self, event: Event, written: bool) -> None:
        """Count an event. Never raises: whoever records must go on."""
        try:
            if written:
                self._count(event)
            else:
                self._lost += 1
        except Exception:
            logger.exception("metrics")

    def _count(self, event: Event) -> None:
        if isinstance(event, RequestDecided | RequestFinished):
            exchange = event.decision.exchange
            route = _NOBODY if exchange.route is None else exchange.route.name
            partner = _NOBODY if exchange.partner is None else exchange.partner.name
            if isinstance(event, RequestDecided):
                self._decided[event.decision.reason.code, route, partner] += 1
                self._gate_times.add(event.gate_seconds)
                return
            self._finished[event.reason.code, route, partner] += 1
            if event.upstream_seconds is not None and exchange.route is not None:
                upstream = exchange.route.upstream.name
                times = self._upstream_times.get(upstream)
                if times is None:
                    times = self._upstream_times[upstream] = Times()
                times.add(event.upstream_seconds)
        elif isinstance(event, ConnectionRefused):
            self._refused[event.reason.code, event.listener] += 1
        elif isinstance(event, ConnectionCut):
            self._cut[event.reason.code, event.listener] += 1
        elif isinstance(event, ControlFailed):
            self._failed[event.control] += 1

    def text(self, connections: Mapping[str, int]) -> bytes:
        """Give everything in Prometheus' text format; `connections` are those open now, by listener."""
        self._connections = connections
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics; prometheus_client asks for them."""
        labels = ("reason", "route", "partner")
        yield _counter("gateway_requests", "Requests decided, by reason.", labels, self._decided)
        yield _counter("gateway_outcomes", "Allowed requests that ended, by reason.", labels, self._finished)
        ends = ("reason", "listener")
        yield _counter("gateway_connections_refused", "Connections refused before a request.", ends, self._refused)
        yield _counter("gateway_connections_cut", "Established connections that were cut.", ends, self._cut)
        failed = {(control,): count for control, count in list(self._failed.items())}
        yield _counter("gateway_control_failures", "Failures of controls that began.", ("control",), failed)
        lost = {(): self._lost}
        yield _counter("gateway_audit_lost", "Events that could not be written to the audit log.", (), lost)
        decision = HistogramMetricFamily("gateway_decision_seconds", "From a request's head to its decision.")
        decision.add_metric((), self._gate_times.cumulative(), self._gate_times.total)
        yield decision
        upstream = HistogramMetricFamily(
            "gateway_upstream_seconds", "From the request's first byte to upstream until the end of the answer.",
            labels=("upstream",),
        )  # fmt: skip
        for name, times in list(self._upstream_times.items()):
            upstream.add_metric((name,), times.cumulative(), times.total)
        yield upstream
        yield from self._states()

    def _states(self) -> Iterator[Metric]:
        gate = self._gate
        yield GaugeMetricFamily("gateway_requests_open", "Allowed requests without outcome.", value=gate.unfinished)
        unpublished = max(0, gate.log.sequence - gate.log.published)
        yield GaugeMetricFamily("gateway_audit_unpublished", "Records in no checkpoint yet.", value=unpublished)
        yield _gauge(
            "gateway_connections", "Connections open now.", ("listener",),
            (((name,), float(count)) for name, count in self._connections.items()),
        )  # fmt: skip
        yield _gauge(
            "gateway_control_failing", "Controls that fail now: 1 for each.", ("control",),
            (((control,), 1.0) for control in list(gate.health.failing)),
        )  # fmt: skip
        if isinstance(gate.state, Fallback):
            yield from _of_store(gate.state.store)
        facts = gate.in_force.facts
        yield _gauge(
            "gateway_policy_info", "The policy in force.", ("name", "digest"), [((facts.name, facts.digest), 1.0)]
        )
        ends = {
            (str(one.owner), one.role.value, one.label): float(one.not_after)
            for one in self._material
            if one.not_after is not None
        }
        yield _gauge(
            "gateway_material_end_timestamp_seconds", "When keys and certificates of the policy end.",
            ("owner", "role", "what"), ends.items(),
        )  # fmt: skip
        stale: dict[str, Instant] = {}
        for check in gate.in_force.revocation.values():
            stale.update(check.ends)
        yield _gauge(
            "gateway_revocation_list_end_timestamp_seconds", "When revocation lists go out of date.", ("issuer",),
            (((issuer,), float(end)) for issuer, end in stale.items()),
        )  # fmt: skip


def _of_store(store: ValkeyState) -> Iterator[Metric]:
    """Tell how the servers of a store have served."""
    nodes = {str(node): node for node in store.places.nodes}
    circuits = {name: node.circuit for name, node in nodes.items()}
    server = ("server",)
    yield _gauge(
        "gateway_state_up", "Servers of the store: 1 where the server serves, otherwise 0.", server,
        [((name,), float(node.wire is not None)) for name, node in nodes.items()],
    )  # fmt: skip
    outages = {(name,): circuit.outages for name, circuit in circuits.items()}
    yield _counter("gateway_state_outages", "How often a circuit opened.", server, outages)
    yield _counter(
        "gateway_state_outage_seconds", "For how long circuits were open, outages that last included.", server,
        {(name,): circuit.seconds for name, circuit in circuits.items()},
    )  # fmt: skip
    failures = {(name, kind): circuit.failures[kind] for name, circuit in circuits.items() for kind in KINDS}
    yield _counter("gateway_state_failures", "Failures of a server, by kind.", ("server", "kind"), failures)
    yield _counter("gateway_state_memory_losses", "How often the store had lost memory.", (), {(): store.losses})


def _counter[K: tuple[str, ...]](
    name: str, about: str, labels: tuple[str, ...], counts: Mapping[K, float]
) -> CounterMetricFamily:
    made = CounterMetricFamily(name, about, labels=labels)
    for values, count in list(counts.items()):
        made.add_metric(values, count)
    return made


def _gauge(
    name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    made = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values:
        made.add_metric(key, value)
    return made
