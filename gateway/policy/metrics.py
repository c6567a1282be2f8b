"""The section `metrics`: where Prometheus finds what the gate counts."""

from gateway.core.policy import Endpoint
from gateway.policy.nodes import Node
from gateway.policy.reader import Reader
from gateway.policy.values import socket_address


def read_metrics(reader: Reader, node: Node | None) -> Endpoint | None:
    """Read the section."""
    fields = reader.fields(node, required=("address",))
    bound = None if fields is None else reader.value(fields.get("address"), socket_address)
    if fields is None or bound is None:
        return None
    address, port = bound
    if not address.is_loopback:
        hint = "whoever reaches it learns who calls, and how often: use 127.0.0.1, or keep others out"
        reader.warning(fields["address"], "metrics are served to other machines, without TLS", hint)
    return Endpoint(str(address), port)
