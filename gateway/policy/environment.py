"""What a policy takes from the environment: secrets, and the folders that differ from machine to machine."""

import re
from pathlib import Path

from gateway.policy.nodes import Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]{0,127})\}")


def variable(reader: Reader, node: Node, name: str) -> str | None:
    """Give the value of a variable; one that is not set or empty is a problem."""
    value = reader.environ.get(name)
    if not value:
        state = "is not set" if value is None else "is empty"
        reader.error(node, f"the environment variable {name} {state}", "set it where the gate is started")
        return None
    return value


def named_path(reader: Reader, node: Node, text: str, *, watched: bool = True) -> Path | None:
    """Give the path that `text` means in the file of `node`, and have it watched, unless the gate itself changes it.

    It is relative to that file. `${NAME}` stands for a variable of the environment; a `$` before anything but a brace
    is only a `$`.
    """
    values: dict[str, str] = {}
    for name in dict.fromkeys(_REFERENCE.findall(text)):
        value = variable(reader, node, name)
        if value is None:
            return None
        values[name] = value
    if "${" in _REFERENCE.sub("", text):
        reader.error(
            node, f"{quoted(text)} has a `${{` without the name of a variable", "expected one such as ${CERTS}"
        )
        return None
    path = node.place.file.parent / _REFERENCE.sub(lambda found: values[found["name"]], text)
    if watched:
        reader.files.add(path)
    return path


def shown_path(node: Node, path: Path) -> str:
    """Name a file for a message. Variables stay as written: one that was named by mistake may hold a secret."""
    written = node.text if isinstance(node, ScalarNode) else ""
    return quoted(written) if _REFERENCE.search(written) else str(path)
