"""The section `schemes`: signature schemes composed of parts, and HTTP Message Signatures."""

from collections.abc import Mapping
from typing import Any
from typing import Literal as Choice

from gateway.policy.document import Definition
from gateway.policy.message_schemes import TYPE, read_message_scheme
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.values import field_name, field_text
from gateway.signing import parts as p
from gateway.signing.composed import Algorithm, ComposedScheme
from gateway.signing.encoding import Encoding, TimestampFormat
from gateway.signing.scheme import Scheme

COMPOSED = "composed"

MAX_PARTS = 32

_SIMPLE: Mapping[str, p.Part] = {
    "method": p.Method(),
    "path": p.Path(),
    "query": p.Query(),
    "target": p.Target(),
    "body": p.Body(),
    "timestamp": p.Timestamp(),
    "nonce": p.Nonce(),
}
_COMPOSED = ("literal", "header", "digest")
_ALGORITHMS: tuple[Algorithm, ...] = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
_DIGESTS: tuple[Choice["sha256", "sha384", "sha512"], ...] = ("sha256", "sha384", "sha512")
_ENCODINGS: tuple[Encoding, ...] = ("hex", "base64")
_TIMES: tuple[TimestampFormat, ...] = ("unix", "unix-ms", "rfc3339")


def read_scheme(reader: Reader, name: str, definition: Definition) -> Scheme[Any] | None:
    """Read one scheme of any type: composed where it names no other."""
    named = definition.node.values if isinstance(definition.node, MappingNode) else {}
    if "preset" in named:
        return read_message_scheme(reader, name, definition)
    written = reader.choice(named.get("type"), (COMPOSED, TYPE), "type of schemes")
    if "type" in named and written is None:
        return None
    read = read_message_scheme if written == TYPE else _read_composed
    return read(reader, name, definition)


def _read_composed(reader: Reader, name: str, definition: Definition) -> ComposedScheme | None:
    """Read a composed scheme.

    What it leaves unprotected is warned of; a timestamp or nonce left unsigned is an error.
    """
    fields = reader.fields(
        definition.node,
        required=("algorithm", "string_to_sign", "signature"),
        optional=("type", "encoding", "separator", "key_id", "timestamp", "nonce"),
    )
    if fields is None:
        return None
    errors = reader.errors
    algorithm = reader.choice(fields.get("algorithm"), _ALGORITHMS, "algorithm of signatures")
    encoding = reader.choice(fields.get("encoding"), _ENCODINGS, "encoding of signatures") or "hex"
    separator = reader.raw_text(fields.get("separator"), 'a text in quotes such as "\\n"')
    parts = _read_parts(reader, fields.get("string_to_sign"))
    signature, signature_options = _read_field(reader, fields.get("signature"), "prefix")
    key_id, _ = _read_field(reader, fields.get("key_id"))
    timestamp, timestamp_options = _read_field(reader, fields.get("timestamp"), "format")
    nonce, _ = _read_field(reader, fields.get("nonce"))
    prefix = reader.value(signature_options.get("prefix"), field_text) if not _is_empty(signature_options) else ""
    form = reader.choice(timestamp_options.get("format"), _TIMES, "form of timestamps") or "unix"
    if parts is not None:
        _check_signed(reader, fields, parts)
    if reader.errors > errors or algorithm is None or parts is None or signature is None:
        return None
    try:
        scheme = ComposedScheme(
            name=name,
            parts=parts,
            separator=("\n" if separator is None else separator).encode(),
            algorithm=algorithm,
            encoding=encoding,
            signature_field=signature,
            signature_prefix=prefix or "",
            key_id_field=key_id,
            timestamp_field=timestamp,
            timestamp_format=form,
            nonce_field=nonce,
        )
    except ValueError as error:
        reader.error(definition.key, str(error))
        return None
    for weakness in scheme.weaknesses():
        message, _, hint = weakness.rpartition(": ")
        reader.warning(definition.key, message, hint)
    return scheme


def _read_parts(reader: Reader, node: Node | None) -> tuple[p.Part, ...] | None:
    items = reader.items(node, "parts")
    if node is None or items is None:
        return None
    if len(items) > MAX_PARTS:
        reader.error(node, f"{len(items)} parts", f"at most {MAX_PARTS}")
        return None
    parts = [_read_part(reader, item) for item in items]
    read = tuple(part for part in parts if part is not None)
    return read if len(read) == len(parts) else None


def _read_part(reader: Reader, node: Node) -> p.Part | None:
    known = ", ".join(f"`{name}`" for name in _SIMPLE)
    expected = f"{known}, {{literal: TEXT}}, {{header: NAME}} or {{digest: sha256}}"
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
    fields = reader.fields(node, required=(kind,), optional=("encoding",) if kind == "digest" else ()) or {}
    if kind == "literal":
        text = reader.raw_text(fields.get(kind), "a text in quotes")
        return p.Literal(text) if text is not None else None
    if kind == "header":
        header = reader.value(fields.get(kind), field_name)
        return p.Header(header) if header is not None else None
    digest = reader.choice(fields.get(kind), _DIGESTS, "hash")
    encoding = reader.choice(fields.get("encoding"), _ENCODINGS, "encoding of digests") or "hex"
    return p.BodyDigest(digest, encoding) if digest is not None else None


def _read_field(reader: Reader, node: Node | None, option: str = "") -> tuple[str | None, Mapping[str, Node]]:
    """Read `{header: NAME}`, and give the node of the one option it may have beside."""
    fields = reader.fields(node, required=("header",), optional=(option,) if option else ())
    if fields is None:
        return None, {}
    return reader.value(fields.get("header"), field_name), fields


def _is_empty(options: Mapping[str, Node]) -> bool:
    """Whether the prefix is written as an empty text, which says what leaving it out says."""
    prefix = options.get("prefix")
    return isinstance(prefix, ScalarNode) and not prefix.plain and not prefix.text


def _check_signed(reader: Reader, fields: Mapping[str, Node], parts: tuple[p.Part, ...]) -> None:
    for what, part in (("timestamp", p.Timestamp()), ("nonce", p.Nonce())):
        if what in fields and part not in parts:
            hint = f"add `{what}` to string_to_sign"
            reader.error(fields[what], f"the {what} is not signed, so anyone could change it", hint)
        if what not in fields and part in parts:
            hint = f"expected `{what}: {{header: NAME}}` beside string_to_sign"
            reader.error(fields["string_to_sign"], f"the {what} is signed, but no field carries it", hint)
