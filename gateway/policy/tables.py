"""What has a name in a policy, and which of it is used."""

from collections.abc import Collection

from gateway.policy.nodes import Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.values import near

SHOWN_NAMES = 8
"""Names listed where none is near to the one that was written."""


class Table[T]:
    """Values of one kind by name. A name whose value was faulty is known too, so that it is complained of once."""

    def __init__(self, kind: str, *, complete: bool = True) -> None:
        self.kind = kind
        self.values: dict[str, T] = {}
        self.keys: dict[str, ScalarNode] = {}
        """Where each name is defined."""
        self._complete = complete
        """Whether every file could be read. Where not, what is missing here may stand in the one that could not."""
        self._used: set[str] = set()

    def add(self, name: str, key: ScalarNode, value: T | None) -> None:
        """Enter what `name` stands for; None where its definition is faulty."""
        self.keys[name] = key
        if value is not None:
            self.values[name] = value

    def find(self, reader: Reader, node: Node | None) -> T | None:
        """Give what the node's text names; a name that is not defined is a problem."""
        name = reader.text(node, f"the name of {_article(self.kind)}")
        if node is None or name is None:
            return None
        if name not in self.keys and self._complete:
            meant = near(name, self.keys)
            reader.error(node, f"no {self.kind} {quoted(name)}", _known(meant, self.keys))
            if meant is not None:
                self._used.add(meant)
        self._used.add(name)
        return self.values.get(name)

    def use(self, names: Collection[str]) -> None:
        """Count names as used."""
        self._used.update(names)

    def report_unused(self, reader: Reader) -> None:
        """Warn of everything that nothing refers to; what is faulty anyway is left out."""
        if self._complete:
            for name in self.values:
                if name not in self._used:
                    reader.warning(
                        self.keys[name], f"{self.kind} {quoted(name)} is not used", "remove it, or name it on a route"
                    )


def _known(meant: str | None, names: Collection[str]) -> str:
    if meant is not None:
        return f"did you mean {quoted(meant)}?"
    if not names:
        return "none is defined"
    shown = ", ".join(quoted(each) for each in list(names)[:SHOWN_NAMES])
    return f"expected {'one of ' if len(names) > 1 else ''}{shown}{', …' if len(names) > SHOWN_NAMES else ''}"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
