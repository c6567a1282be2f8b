"""Requests in flight: `concurrency: {per_partner: 20, lease: 5m}`."""

from gateway.controls.concurrency import Concurrency
from gateway.policy.nodes import Node
from gateway.policy.reader import Reader
from gateway.policy.values import Unfit, whole_seconds

MAX_IN_FLIGHT = 10_000
DEFAULT_LEASE = 300
MAX_LEASE = 86_400
"""Seconds."""


def read_concurrency(reader: Reader, node: Node) -> Concurrency | None:
    """Read how many requests of a partner may be at work on a route."""
    errors = reader.errors
    fields = reader.fields(node, required=("per_partner",), optional=("lease",))
    if fields is None:
        return None
    most = reader.whole_number(fields.get("per_partner"), 1, MAX_IN_FLIGHT)
    lease = reader.value_or(fields.get("lease"), _lease, DEFAULT_LEASE)
    return Concurrency(most, lease) if most is not None and reader.errors == errors else None


def _lease(text: str) -> int:
    seconds = whole_seconds(text)
    if not 1 <= seconds <= MAX_LEASE:
        raise Unfit("no lease is as short or as long", "expected 1s to 24h, and longer than any request takes")
    return seconds
