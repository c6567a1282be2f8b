"""Checks records against the OCSF schema that ocsf-json-schema brings along: the part of JSON Schema it uses."""

import re
from collections.abc import Iterator
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
    if schema.get("deprecated"):
        yield f"{at}: deprecated"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: {value!r} has not its form"
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{at}: {value!r} is too long"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{at}: {value!r} is out of range"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), root, f"{at}[{number}]")
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, root, at)


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
