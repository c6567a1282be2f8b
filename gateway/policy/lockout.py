"""The section `lockout`: after how many failed authentications a caller is refused, and for how long."""

from gateway.core.lockout import Lockout
from gateway.core.networks import NetworkSet
from gateway.policy.nodes import Node
from gateway.policy.reader import Reader
from gateway.policy.values import DAY, Unfit, duration, network

PCI_ATTEMPTS, PCI_SECONDS = 10, 1_800.0
"""What PCI DSS 8.3.4 asks for: no more attempts, and no less time."""


def read_lockout(reader: Reader, node: Node | None) -> Lockout | None:
    """Read it; None where the policy has no such section."""
    fields = reader.fields(node, required=("after",), optional=("within", "for", "except"))
    if node is None or fields is None:
        return None
    default = Lockout()
    after = reader.whole_number(fields.get("after"), 3, 1_000)
    within = reader.value_or(fields.get("within"), _within, default.within)
    seconds = reader.value_or(fields.get("for"), _within, default.seconds)
    excepted = reader.values(fields.get("except"), network, "networks") or ()
    if after is not None and after > PCI_ATTEMPTS:
        reader.warning(fields["after"], f"{after} attempts", "PCI DSS 8.3.4 asks for no more than 10")
    if seconds < PCI_SECONDS:
        reader.warning(fields["for"], "less than 30 minutes", "PCI DSS 8.3.4 asks for at least 30m")
    return None if after is None else Lockout(after, within, seconds, NetworkSet(excepted))


def _within(text: str) -> float:
    seconds = duration(text)
    if seconds > DAY:
        raise Unfit("longer than a day", "at most 24h")
    return seconds
