"""A policy's text as a tree in which everything knows its place. Nothing is interpreted yet: a scalar is its text."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.policy.problem import SHOWN_CHARACTERS

_PLAIN_STEP = re.compile(r"[A-Za-z0-9_-]+\Z")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class Place(NamedTuple):
    """A character of a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Trail(NamedTuple):
    """The way from the top of a document to a value, written as `routes[2].token.issuer`."""

    parent: "Trail | None" = None
    step: str | int = ""
    """Key in a mapping, or index in a sequence from 0."""

    def __str__(self) -> str:
        steps: list[str | int] = []
        trail: Trail | None = self
        while trail is not None and trail.parent is not None:
            steps.append(trail.step)
            trail = trail.parent
        return "".join(map(_written, reversed(steps))).removeprefix(".")


TOP = Trail()


def _written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    shown = step if len(step) <= SHOWN_CHARACTERS else step[:SHOWN_CHARACTERS] + "…"
    return f".{shown}" if _PLAIN_STEP.match(step) else f"[{shown!a}]"


class ScalarNode(NamedTuple):
    """A piece of text. What type it has is for its reader to say: `no`, `1.2` and `0777` are only text here."""

    place: Place
    trail: Trail
    text: str
    plain: bool
    """Whether it stands without quotes."""

    @property
    def absent(self) -> bool:
        """Whether nothing was written: `key:` alone, `~` or `null`."""
        return self.plain and self.text in _NULL


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list of values."""

    place: Place
    trail: Trail
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Values by key, in the order of the text; `keys` are the keys with their own places."""

    place: Place
    trail: Trail
    values: "dict[str, Node]"
    keys: dict[str, ScalarNode]


type Node = ScalarNode | SequenceNode | MappingNode
