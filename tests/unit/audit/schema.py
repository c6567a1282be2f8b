"""Checks records against the OCSF schema that ocsf-json-schema brings along: the part of JSON Schema it uses."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from gateway.audit.ocsf import VERSION

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
KNOWN = {
    "$schema", "$id", "$ref", "$defs", "title", "type", "properties", "additionalProperties", "required", "anyOf",
    "oneOf", "items", "enum", "const", "pattern", "minimum", "maximum", "maxLength", "deprecated",
}  # fmt: skip


@cache
def ocsf() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))


@cache
def class_schema(uid: int, profiles: tuple[str, ...]) -> dict[str, Any]:
    return ocsf().get_class_schema(ocsf().lookup_class_name_from_uid(uid), list(profiles))


@cache
def object_schema(name: str) -> dict[str, Any]:
    return ocsf().get_object_schema(name)


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> Iterator[str]:
    """Give what is wrong with the value; raises NotImplementedError where the schema says what is not understood."""
    root = root if root is not None else schema
    if unknown := schema.keys() - KNOWN:
        raise NotImplementedError(f"{at}: {unknown}")
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
        return
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if types and "null" not in types and not any(_is(value, kind) for kind in types):
        yield f"{at}: {value!r} is no {types}"
        return
    yield from (f"{at}: {rule} of the schema, for {value!r}" for rule in _broken(value, schema))
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), root, f"{at}[{number}]")
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, root, at)


def _broken(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Name the rules for a plain value that this one breaks; what is deprecated counts as broken."""
    rules: dict[str, Callable[[Any], bool]] = {
        "deprecated": lambda _: False,
        "enum": lambda values: value in values,
        "const": lambda wanted: value == wanted,
        "pattern": lambda pattern: bool(re.search(pattern, value)),
        "maxLength": lambda length: len(value) <= length,
        "minimum": lambda minimum: value >= minimum,
        "maximum": lambda maximum: value <= maximum,
    }
    return (name for name, holds in rules.items() if name in schema and not holds(schema[name]))


def _object_faults(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{at}.{name}: required"
    for name, item in value.items():
        if name in properties:
            yield from faults(item, properties[name], root, f"{at}.{name}")
        elif not schema.get("additionalProperties", True):
            yield f"{at}.{name}: unknown"
    for rule, fits in (("anyOf", lambda count: count > 0), ("oneOf", lambda count: count == 1)):
        if rule in schema and not fits(sum(choice["required"][0] in value for choice in schema[rule])):
            yield f"{at}: {rule} {schema[rule]}"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
