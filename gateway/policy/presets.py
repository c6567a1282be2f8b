"""Presets: vendors' schemes as data, one file each in `preset_files`, which a policy takes by name.

A file says what the scheme is (`scheme`, as a policy would write it), where that is known from (`source`, `standing`)
and what a caller looks like (`sample`). What it leaves unprotected is worked out from the composition, for every scheme
alike. A policy's own keys replace the preset's.
"""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from gateway.policy.document import Definition
from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode, Trail
from gateway.policy.source import parse

STANDINGS = ("vendor documentation", "community-verified")
"""What a preset rests on: the vendor's own words or code, or several independent programs of its customers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A request as the vendor sends it, unsigned."""

    method: str
    target: str
    fields: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A vendor's scheme."""

    name: str
    title: str
    source: str
    standing: str
    checked: str
    """What of the vendor's the tests check it by; empty where nothing is published."""
    about: str
    remarks: tuple[str, ...]
    """What a policy's author should know beside what the composition says."""
    max_age: str
    """The window that the vendor names, or a usual one; empty for schemes without timestamp."""
    settings: dict[str, str]
    """Texts that a policy must give, with an example each."""
    needs: dict[str, str]
    """Keys of a scheme that a policy must give, with an example each."""
    key: dict[str, str]
    """The lines of a signing key that are the vendor's: algorithm, encoding."""
    sample: Sample
    scheme: MappingNode


@cache
def preset_names() -> tuple[str, ...]:
    """Name the presets."""
    names = [file.name for file in (files("gateway.policy") / "preset_files").iterdir()]
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@cache
def preset(name: str) -> Preset:
    """Read a preset. Raises ValueError for a file that is none, KeyError where it lacks something."""
    file = files("gateway.policy") / "preset_files" / f"{name}.yaml"
    top, problems = parse(Path(f"{name}.yaml"), file.read_bytes())
    if problems or not isinstance(top, MappingNode):
        raise ValueError(f"preset {name}: {', '.join(map(str, problems)) or 'no mapping'}")
    values = top.values
    sample = _mapping(values["sample"])
    scheme = values["scheme"]
    standing = _text(values["standing"])
    if standing not in STANDINGS or not isinstance(scheme, MappingNode):
        raise ValueError(f"preset {name}: its standing is none of {', '.join(STANDINGS)}, or its scheme no mapping")
    return Preset(
        name=name,
        title=_text(values["title"]),
        source=_text(values["source"]),
        standing=standing,
        checked=_text(values["checked"]) if "checked" in values else "",
        about=_text(values["about"]),
        remarks=tuple(map(_text, _items(values.get("remarks")))),
        max_age=_text(values["max_age"]) if "max_age" in values else "",
        settings=_texts(values.get("settings")),
        needs=_texts(values.get("needs")),
        key=_texts(values["key"]),
        sample=Sample(
            _text(sample["method"]), _text(sample["target"]), _texts(sample.get("fields")), _text(sample["body"])
        ),
        scheme=scheme,
    )


def merged(name: str, definition: Definition) -> Definition:
    """Give a scheme's definition with the preset's keys beneath its own, all placed where the preset is named."""
    own = definition.node
    assert isinstance(own, MappingNode)
    at = own.values["preset"]
    base = preset(name).scheme
    values = {key: _placed(value, at, Trail(own.trail, key)) for key, value in base.values.items()}
    keys = dict.fromkeys(base.keys, own.keys["preset"])
    kept = {key: value for key, value in own.values.items() if key != "preset"}
    node = MappingNode(own.place, own.trail, values | kept, keys | _own_keys(own))
    return replace(definition, node=node, preset=name)


def _own_keys(own: MappingNode) -> dict[str, ScalarNode]:
    return {key: node for key, node in own.keys.items() if key != "preset"}


def _placed(node: Node, at: Node, trail: Trail) -> Node:
    """Give a node of a preset as if it stood where the policy names the preset."""
    if isinstance(node, ScalarNode):
        return node._replace(place=at.place, trail=trail)
    if isinstance(node, SequenceNode):
        items = tuple(_placed(item, at, Trail(trail, index)) for index, item in enumerate(node.items))
        return SequenceNode(at.place, trail, items)
    values = {key: _placed(value, at, Trail(trail, key)) for key, value in node.values.items()}
    keys = {key: each._replace(place=at.place) for key, each in node.keys.items()}
    return MappingNode(at.place, trail, values, keys)


def _text(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise ValueError("a preset has something else where text belongs")  # noqa: TRY004 - a fault of the file
    return node.text


def _mapping(node: Node | None) -> dict[str, Node]:
    return dict(node.values) if isinstance(node, MappingNode) else {}


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, SequenceNode) else ()


def _texts(node: Node | None) -> dict[str, str]:
    return {key: _text(value) for key, value in _mapping(node).items()}
