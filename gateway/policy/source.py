"""YAML text to nodes. Whatever the text is, the outcome is nodes, problems or both; never another exception.

PyYAML scans and parses. Its events are walked here instead of letting it compose: its C composer recurses and
overflows the stack on deep nesting, takes the last of two equal keys, and expands aliases without bound.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from gateway.policy.nodes import TOP, MappingNode, Node, Place, ScalarNode, SequenceNode, Trail
from gateway.policy.problem import Problem, quoted

MAX_DEPTH = 32
"""Levels of nesting; a policy needs eight."""

MAX_VALUES = 1_000_000
"""Values of one file, aliases written out: bounds the memory of a small text with many aliases."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STRING_TAG = "tag:yaml.org,2002:str"
_CORE_TAGS = {
    **dict.fromkeys((f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")), "scalar"),
    "tag:yaml.org,2002:seq": "sequence",
    "tag:yaml.org,2002:map": "mapping",
}

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff"  # YAML 1.1 section 5.1
    "\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # a reviewer would see another text than the gate reads
)


def parse(file: Path, data: bytes) -> tuple[Node | None, list[Problem]]:
    """Read the one document of a file; None where there is none that could be read."""
    composer = _Composer(file)
    try:
        return composer.compose(_decode(file, data)), composer.problems
    except _Unreadable as unreadable:
        return None, [*composer.problems, unreadable.problem]


class _Unreadable(Exception):  # noqa: N818 - carries the problem that ends the reading of a file
    def __init__(self, place: Place, message: str, hint: str = "", trail: Trail = TOP) -> None:
        super().__init__(message)
        self.problem = Problem(place.file, place.line, place.column, str(trail), message, hint)


def _decode(file: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8", "replace"))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise _Unreadable(Place(file, line, column), message, "save the file as UTF-8") from None
    found = _FORBIDDEN.search(text)
    if found:
        line, column = _position(text[: found.start()])
        message = f"invisible character U+{ord(found[0]):04X}"
        raise _Unreadable(Place(file, line, column), message, 'remove it, or write it as an escape such as "\\u0001"')
    return text


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end was not read yet."""

    place: Place
    trail: Trail
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    values: dict[str, Node] | None = None
    """For a mapping; None for a sequence."""
    keys: dict[str, ScalarNode] = field(default_factory=dict)
    at_key: bool = True
    key: ScalarNode | None = None
    """The key whose value comes next; None where the key was refused and its value is dropped."""

    def next_trail(self) -> Trail:
        if self.values is None:
            return Trail(self.trail, len(self.items))
        return self.trail if self.at_key or self.key is None else Trail(self.trail, self.key.text)

    def close(self) -> Node:
        if self.values is None:
            return SequenceNode(self.place, self.trail, tuple(self.items))
        return MappingNode(self.place, self.trail, self.values, self.keys)


class _Composer:
    def __init__(self, file: Path) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        """Anchored values; None while one is still open."""
        self._values = 0
        self._top: Node | None = None

    def compose(self, text: str) -> Node:
        documents = 0
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                if isinstance(event, yaml.NodeEvent):
                    self._begin(event)
                elif isinstance(event, yaml.CollectionEndEvent):
                    ended = self._open.pop()
                    self._add(ended.close(), ended.anchor)
                elif isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _Unreadable(
                            self._place(event), "a second document", "one file holds one: remove the `---`"
                        )
        except yaml.MarkedYAMLError as error:
            raise self._invalid(error, text) from None
        except (yaml.YAMLError, ValueError, OverflowError):
            # Without the C loader, some escapes that stand for no character end in errors without a place.
            raise _Unreadable(Place(self._file, 1, 1), "not YAML") from None
        if self._top is None or (isinstance(self._top, ScalarNode) and self._top.absent):
            raise _Unreadable(Place(self._file, 1, 1), "the file is empty", "it must at least say `version: 1`")
        return self._top

    def _begin(self, event: yaml.NodeEvent) -> None:
        place = self._place(event)
        trail = self._open[-1].next_trail() if self._open else TOP
        self._count(place, trail)
        anchor = event.anchor
        if isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(anchor or "", place, trail), None)
            return
        if anchor is not None:
            if anchor in self._anchors:
                message = f"anchor {quoted('&' + anchor)} is defined twice"
                self._problem(place, trail, message, "give each its own name")
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, "scalar", place, trail)
            plain = event.implicit[0] if event.tag is None else event.tag != _STRING_TAG
            self._add(ScalarNode(place, trail, event.value, plain), anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            self._check_tag(event.tag, "mapping" if mapping else "sequence", place, trail)
            if len(self._open) >= MAX_DEPTH:
                raise _Unreadable(place, "nested too deeply", f"at most {MAX_DEPTH} levels", trail)
            self._open.append(_Open(place, trail, anchor, values={} if mapping else None))

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self._top = node
            return
        parent = self._open[-1]
        if parent.values is None:
            parent.items.append(node)
        elif parent.at_key:
            parent.key = self._key(parent, node)
            parent.at_key = False
        else:
            if parent.key is not None:
                parent.values[parent.key.text] = node
                parent.keys[parent.key.text] = parent.key
            parent.at_key = True

    def _key(self, parent: _Open, node: Node) -> ScalarNode | None:
        if not isinstance(node, ScalarNode):
            self._problem(node.place, parent.trail, "a list or mapping as a key", "a key is plain text")
            return None
        trail = Trail(parent.trail, node.text)
        first = parent.keys.get(node.text)
        if first is not None:
            self._problem(node.place, trail, "the key stands twice", f"first in line {first.place.line}")
            return None
        if node.plain and node.text == "<<":
            self._problem(node.place, trail, "merge keys are not supported", "write the settings out")
            return None
        return ScalarNode(node.place, trail, node.text, node.plain)

    def _aliased(self, anchor: str, place: Place, trail: Trail) -> Node:
        name = quoted("*" + anchor)
        if anchor not in self._anchors:
            raise _Unreadable(place, f"alias {name} leads nowhere", f"no `&{anchor[:60]}` stands before it", trail)
        node = self._anchors[anchor]
        if node is None:
            raise _Unreadable(place, f"alias {name} stands inside the value it names", "", trail)
        return self._copy(node, place, trail, len(self._open))

    def _copy(self, node: Node, alias: Place, trail: Trail, depth: int) -> Node:
        """Give an anchored value the alias's trail; its place stays where the text stands, and could be changed."""
        self._count(alias, trail)
        if depth > MAX_DEPTH:
            raise _Unreadable(alias, "nested too deeply", f"at most {MAX_DEPTH} levels", trail)
        if isinstance(node, ScalarNode):
            return ScalarNode(node.place, trail, node.text, node.plain)
        if isinstance(node, SequenceNode):
            items = (self._copy(item, alias, Trail(trail, index), depth + 1) for index, item in enumerate(node.items))
            return SequenceNode(node.place, trail, tuple(items))
        values = {key: self._copy(value, alias, Trail(trail, key), depth + 1) for key, value in node.values.items()}
        keys = {text: ScalarNode(key.place, Trail(trail, text), text, key.plain) for text, key in node.keys.items()}
        return MappingNode(node.place, trail, values, keys)

    def _count(self, place: Place, trail: Trail) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Unreadable(place, "too many values", f"at most {MAX_VALUES:,} in a file, aliases written out", trail)

    def _check_tag(self, tag: str | None, kind: str, place: Place, trail: Trail) -> None:
        if tag not in (None, "!") and _CORE_TAGS.get(tag) != kind:
            self._problem(place, trail, f"tag {quoted(tag)} on a {kind}", "remove it")

    def _problem(self, place: Place, trail: Trail, message: str, hint: str) -> None:
        self.problems.append(Problem(place.file, place.line, place.column, str(trail), message, hint))

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark is not None else Place(self._file, 1, 1)

    def _invalid(self, error: yaml.MarkedYAMLError, text: str) -> _Unreadable:
        mark = error.problem_mark or error.context_mark
        if mark is None:
            return _Unreadable(Place(self._file, 1, 1), "not YAML")
        trail = self._open[-1].next_trail() if self._open else TOP
        lines = text.splitlines() or [""]
        if mark.line < len(lines):
            place = Place(self._file, mark.line + 1, mark.column + 1)
        else:  # the end of the text, which is no line to look at
            place = Place(self._file, len(lines), len(lines[-1]) + 1)
        line = lines[place.line - 1]
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return _Unreadable(place, "a tab in the indentation", "indent with spaces", trail)
        hint = ""
        if error.context is not None and error.context_mark is not None:
            hint = f"{error.context} that begins in line {error.context_mark.line + 1}"
        return _Unreadable(place, f"not YAML: {error.problem}", hint, trail)
