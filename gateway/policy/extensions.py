"""Controls of third parties: installed packages offer them in the entry-point group `gateway.controls`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from gateway.core.chain import BODY_RULES, ORDER, Control
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader

GROUP = "gateway.controls"

RESERVED = frozenset(
    {"name", "match", "upstream", "partners", "body", "sign_responses", "websocket", *ORDER, *BODY_RULES}
)
"""Keys of a route that are taken."""


@runtime_checkable
class ControlKind(Protocol):
    """What an entry point of the group leads to. Routes name it by the entry point's name.

    `compile` reads what a route says of the control. It MUST record a problem with the reader and give None where
    that does not fit, MUST NOT raise, MUST NOT read a clock or the network, and MUST NOT repeat a secret in a
    problem. The control it gives follows the built-in ones in the chain and keeps the contract of
    `gateway.core.chain.Control`; its `name` is the entry point's.
    """

    def compile(self, reader: Reader, node: Node) -> Control | None:
        """Make the control of a route's setting."""
        ...


@dataclass(frozen=True, slots=True)
class Extensions:
    """The installed controls by name. One is imported only when a route names it."""

    installed: Mapping[str, EntryPoint]

    @staticmethod
    def find() -> "Extensions":
        """Look up what is installed. What is named like a key of routes is left out: nobody replaces a control."""
        return Extensions({entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in RESERVED})

    def compile(self, name: str, reader: Reader, node: Node) -> Control | None:
        """Have the control of this name made; whatever goes wrong with foreign code is a problem of the policy."""
        entry = self.installed[name]
        errors = reader.errors
        try:
            kind = entry.load()
            if not isinstance(kind, ControlKind):
                reader.error(node, f"{quoted(entry.value)} is no kind of control", "it has no method `compile`")
                return None
            control = kind.compile(reader, node)
        except Exception as error:  # noqa: BLE001 - its message may hold what stands in the policy
            hint = f"its entry point is {entry.value}"
            reader.error(node, f"control {quoted(name)} failed with {type(error).__name__}", hint)
            return None
        if control is None:
            if reader.errors == errors:
                reader.error(node, f"control {quoted(name)} does not take this setting", "see its documentation")
            return None
        named = getattr(control, "name", None)
        if named != name or not callable(getattr(control, "check", None)):
            reader.error(node, f"control {quoted(name)} gave no control of its name", f"named {quoted(str(named))}")
            return None
        return control
