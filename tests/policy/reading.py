"""Reads one piece of a policy, for the tests of the sections' readers."""

from pathlib import Path

from gateway.core.message import Instant
from gateway.policy.document import Definition
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.reader import Reader
from gateway.policy.source import parse
from tests.policy.files import ENVIRON, NOW

FILE = Path("p.yaml")


def reader(now: Instant | None = NOW) -> Reader:
    return Reader(ENVIRON, now)


def node(text: str, file: Path = FILE) -> Node:
    top, problems = parse(file, text.encode())
    assert not problems
    assert top is not None
    return top


def mapping(text: str) -> MappingNode:
    top = node(text)
    assert isinstance(top, MappingNode)
    return top


def definition(text: str, file: Path = FILE) -> Definition:
    """The definition of something named `it`."""
    top = node(f"it: {text}", file)
    assert isinstance(top, MappingNode)
    return Definition(top.keys["it"], top.values["it"])


def scalar(text: str) -> ScalarNode:
    top = node(text)
    assert isinstance(top, ScalarNode)
    return top


def problems(used: Reader) -> list[str]:
    return [str(problem) for problem in used.problems]
