"""Where a composed scheme finds signature, key id, timestamp and nonce: `{header: NAME}` and its kin."""

import re

from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.values import Unfit, field_name, field_text
from gateway.signing.content import read_pointer
from gateway.signing.parts import Source
from gateway.signing.places import InContent, InHeader, InItems, Place

SOURCES: tuple[Source, ...] = ("query", "form", "json")

_PARAMETER = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,128}\Z")


def read_place(reader: Reader, node: Node | None, option: str = "") -> tuple[Place | None, Node | None]:
    """Read a place, and give the node of the one option it may have beside."""
    values = node.values if isinstance(node, MappingNode) else {}
    kind = next((kind for kind in SOURCES if kind in values), "header")
    own = ("prefix", "separator") if kind == "header" else ()
    fields = reader.fields(node, required=(kind,), optional=(*own, *([option] if option else [])))
    if fields is None:
        return None, None
    rest = fields.get(option)
    if kind == "header":
        return _read_header(reader, fields), rest
    name = reader.value(fields.get(kind), _pointer if kind == "json" else parameter)
    return (InContent(kind, name) if name is not None else None), rest  # type: ignore[arg-type]


def _read_header(reader: Reader, fields: dict[str, Node] | object) -> Place | None:
    assert isinstance(fields, dict)
    name = reader.value(fields.get("header"), field_name)
    prefix = reader.value(fields.get("prefix"), field_text) if not _is_empty(fields.get("prefix")) else ""
    separator = reader.raw_text(fields.get("separator"), 'a text in quotes such as ","')
    if separator is not None and not separator:
        reader.error(fields["separator"], "is empty", 'expected a text in quotes such as ","')
    if name is None:
        return None
    return InItems(name, separator, prefix or "") if separator else InHeader(name, prefix or "")


def parameter(text: str) -> str:
    """Read the name of a parameter of a query or form."""
    if not _PARAMETER.match(text):
        hint = "expected letters, digits, `_`, `-`, `.` and brackets, as they stand before the `=`"
        raise Unfit(f"{quoted(text)} is no name of a parameter", hint)
    return text


def signed_name(text: str) -> str:
    """Read the name of a field and keep its case, which is signed."""
    field_name(text)
    return text


def _pointer(text: str) -> str:
    if text == "":
        raise Unfit("points to the whole body", "expected a pointer such as /params/Signature")
    return pointer(text)


def pointer(text: str) -> str:
    """Read a JSON pointer (RFC 6901)."""
    try:
        read_pointer(text)
    except ValueError as error:
        raise Unfit(f"no JSON pointer: {error}", "expected one such as /params/Signature") from None
    return text


def _is_empty(node: Node | None) -> bool:
    """Whether the prefix is written as an empty text, which says what leaving it out says."""
    return isinstance(node, ScalarNode) and not node.plain and not node.text
