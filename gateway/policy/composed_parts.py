"""The list `string_to_sign` of a composed scheme."""

from collections.abc import Callable, Mapping
from typing import Literal as Choice

from gateway.policy.nodes import MappingNode, Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.scheme_places import SOURCES, parameter, pointer, signed_name
from gateway.policy.values import field_name
from gateway.signing import parts as p
from gateway.signing.encoding import Encoding

MAX_PARTS = 32

_SIMPLE: Mapping[str, p.Part] = {
    "method": p.Method(),
    "path": p.Path(),
    "query": p.Query(),
    "target": p.Target(),
    "body": p.Body(),
    "crc32": p.Crc32(),
    "timestamp": p.Timestamp(),
    "nonce": p.Nonce(),
    "secret": p.Shared(),
}
_DIGESTS: tuple[Choice["sha256", "sha384", "sha512"], ...] = ("sha256", "sha384", "sha512")
_ENCODINGS: tuple[Encoding, ...] = ("hex", "hex-upper", "base64", "base64url")
_FORMATS: tuple[Choice["text", "two-decimals"], ...] = ("text", "two-decimals")
_DEPTHS: tuple[Choice["all", "top"], ...] = ("all", "top")
_FLAGS = ("yes", "no")

type Fields = Mapping[str, Node]


def read_parts(reader: Reader, node: Node | None, settings: Node | None = None) -> tuple[p.Part, ...] | None:
    """Read the parts, in their order; `settings` are the texts for the places that a preset leaves open."""
    texts = _read_settings(reader, settings)
    items = reader.items(node, "parts")
    if node is None or items is None:
        return None
    if len(items) > MAX_PARTS:
        reader.error(node, f"{len(items)} parts", f"at most {MAX_PARTS}")
        return None
    parts = [_read_setting(reader, item, texts) or _read_part(reader, item) for item in items]
    for name, unused in texts.items():
        reader.error(unused, f"no part is the setting {quoted(name)}", "remove it, or see the preset for its settings")
    read = tuple(part for part in parts if part is not None)
    return read if len(read) == len(parts) else None


def _read_settings(reader: Reader, node: Node | None) -> dict[str, Node]:
    mapping = reader.mapping(node, "a mapping from settings to their texts")
    return dict(mapping.values) if mapping is not None else {}


def _read_setting(reader: Reader, node: Node, texts: dict[str, Node]) -> p.Part | None:
    """Read `{setting: NAME}` as the text of that name, which is taken out of `texts`."""
    if not isinstance(node, MappingNode) or "setting" not in node.values:
        return None
    name = reader.text((reader.fields(node, required=("setting",)) or {}).get("setting"), "the name of a setting") or ""
    if name not in texts:
        reader.error(node, f"the setting {quoted(name)} is missing", f"expected `settings: {{{name}: TEXT}}`")
        return p.Literal("")
    return p.Literal(reader.text(texts.pop(name), "a text") or "")


def _read_part(reader: Reader, node: Node) -> p.Part | None:
    known = ", ".join(f"`{name}`" for name in _SIMPLE)
    expected = f"{known}, or a mapping with one of {', '.join(f'`{kind}`' for kind in _COMPOSED)}"
    if not isinstance(node, MappingNode):
        word = reader.text(node, expected)
        if word is not None and word not in _SIMPLE:
            reader.error(
                node, f"no part {quoted(word)}", suggestion(word, [*_SIMPLE, *_COMPOSED], f"expected {expected}")
            )
        return _SIMPLE.get(word) if word is not None else None
    kind = next((kind for kind in _COMPOSED if kind in node.values), None)
    if kind is None:
        reader.error(node, "no part of a string to sign", f"expected {expected}")
        return None
    options, read = _COMPOSED[kind]
    fields = reader.fields(node, required=(kind,), optional=options) or {}
    return read(reader, fields)


def _literal(reader: Reader, fields: Fields) -> p.Part | None:
    text = reader.raw_text(fields.get("literal"), "a text in quotes")
    return p.Literal(text) if text is not None else None


def _header(reader: Reader, fields: Fields) -> p.Part | None:
    name = reader.value(fields.get("header"), field_name)
    return p.Header(name) if name is not None else None


def _digest(reader: Reader, fields: Fields) -> p.Part | None:
    digest = reader.choice(fields.get("digest"), _DIGESTS, "hash")
    encoding = reader.choice(fields.get("encoding"), _ENCODINGS, "encoding of digests") or "hex"
    return p.BodyDigest(digest, encoding) if digest is not None else None


def _field(source: p.Source) -> Callable[[Reader, Fields], p.Part | None]:
    def read(reader: Reader, fields: Fields) -> p.Part | None:
        name = reader.value(fields.get(source), pointer if source == "json" else parameter)
        form = reader.choice(fields.get("format"), _FORMATS, "format") or "text"
        optional, free = _flag(reader, fields, "optional"), _flag(reader, fields, "free")
        return p.Field(source, name, form, optional, free) if name is not None else None

    return read


def _query_without(reader: Reader, fields: Fields) -> p.Part | None:
    name = reader.value(fields.get("query_without"), parameter)
    return p.QueryWithout(name) if name is not None else None


def _parameters(reader: Reader, fields: Fields) -> p.Part | None:
    items = reader.items(fields.get("parameters"), "sources of parameters") or ()
    sources = [reader.choice(item, SOURCES, "source of parameters") for item in items]
    headers = reader.values(fields.get("headers"), signed_name, "names of fields") or ()
    without = reader.values(fields.get("without"), parameter, "names of parameters") or ()
    write = reader.choice(fields.get("write"), ("pairs", "encoded-pairs", "values"), "way to write parameters")
    equals = reader.raw_text(fields.get("equals"), 'a text in quotes such as "="')
    join = reader.raw_text(fields.get("join"), 'a text in quotes such as "&"')
    found = tuple(source for source in sources if source is not None)
    if not found or len(found) < len(sources):
        return None
    return p.Parameters(
        sources=found,
        headers=tuple(headers),
        without=tuple(without),
        skip_empty=_flag(reader, fields, "skip_empty"),
        encoded=write == "encoded-pairs",
        write="values" if write == "values" else "pairs",
        equals="=" if equals is None else equals,
        join="&" if join is None else join,
    )


def _sorted_json(reader: Reader, fields: Fields) -> p.Part | None:
    source = reader.choice(fields.get("sorted_json"), ("body", "query"), "object to write")
    depth = reader.choice(fields.get("depth"), _DEPTHS, "depth") or "all"
    if source is None:
        return None
    return p.SortedJson("json" if source == "body" else "query", depth, _flag(reader, fields, "php_escapes"))


def _serialized(reader: Reader, fields: Fields) -> p.Part | None:
    where = reader.value(fields.get("serialized"), pointer)
    return p.Serialized(where) if where is not None else None


def _flag(reader: Reader, fields: Fields, name: str) -> bool:
    return reader.choice(fields.get(name), _FLAGS) == "yes"


_OF_FIELDS = ("format", "optional", "free")

_COMPOSED: Mapping[str, tuple[tuple[str, ...], Callable[[Reader, Fields], p.Part | None]]] = {
    "literal": ((), _literal),
    "header": ((), _header),
    "digest": (("encoding",), _digest),
    "form": (_OF_FIELDS, _field("form")),
    "json": (_OF_FIELDS, _field("json")),
    "query": (_OF_FIELDS, _field("query")),
    "query_without": ((), _query_without),
    "parameters": (("headers", "without", "skip_empty", "write", "equals", "join"), _parameters),
    "sorted_json": (("depth", "php_escapes"), _sorted_json),
    "serialized": ((), _serialized),
}
