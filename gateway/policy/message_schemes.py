"""Schemes of the section `schemes` that are HTTP Message Signatures (RFC 9421), by themselves or by a preset."""

import re
from collections.abc import Mapping

from gateway.policy.document import Definition
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.values import Unfit, field_name, near
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.httpsig.component import DERIVED, Component
from gateway.signing.httpsig.fields import KINDS, Kind
from gateway.signing.httpsig.inputs import MAX_TEXT
from gateway.signing.httpsig.profiles import PROFILES, Profile
from gateway.signing.httpsig.scheme import HttpMessageScheme

TYPE = "http-message-signatures"

_DEMANDS = ("required", "optional")
_OPTIONAL = ("type", "covered_if_present", "label", "nonce", "expires", "algorithms", "structured_fields")
_LABEL = re.compile(r"[a-z*][a-z0-9_\-.*]{0,63}\Z")


def read_message_scheme(reader: Reader, name: str, definition: Definition) -> HttpMessageScheme | None:
    """Read one scheme. What signatures may leave unprotected is warned of."""
    fields = reader.fields(definition.node, **_keys(definition))
    if fields is None:
        return None
    errors = reader.errors
    reader.choice(fields.get("type"), (TYPE,), "type of schemes with these keys")
    chosen = reader.choice(fields.get("preset"), tuple(PROFILES), "preset")
    profile = PROFILES[chosen] if chosen is not None else None
    covered = reader.values(fields.get("covered"), _component, "covered components") or ()
    if_present = reader.values(fields.get("covered_if_present"), field_name, "names of fields") or ()
    label = reader.value(fields.get("label"), _label)
    tag = reader.value(fields.get("tag"), _tag)
    nonce = reader.choice(fields.get("nonce"), _DEMANDS)
    expires = reader.choice(fields.get("expires"), _DEMANDS)
    algorithms = _read_algorithms(reader, fields.get("algorithms"), profile)
    structured = _read_structured(reader, fields.get("structured_fields"))
    if reader.errors > errors or not (covered or profile):
        return None
    try:
        scheme = HttpMessageScheme(
            name=name,
            covered=tuple(dict.fromkeys([*(profile.covered if profile else ()), *covered])),
            covered_if_present=tuple(dict.fromkeys([*(profile.covered_if_present if profile else ()), *if_present])),
            algorithms=algorithms,
            label=label,
            tag=tag if profile is None else profile.tag,
            nonce_required=nonce == "required",
            expires_required=expires == "required",
            structured_fields=structured,
        )
    except ValueError as error:
        hint = "expected it in `structured_fields`" if any(component.sf for component in covered) else ""
        reader.error(fields.get("covered", definition.key), str(error), hint)
        return None
    for weakness in scheme.weaknesses():
        message, _, hint = weakness.partition(": ")
        reader.warning(definition.key, message, hint)
    return scheme


def _keys(definition: Definition) -> dict[str, tuple[str, ...]]:
    """Give the keys that a scheme must and may have: a preset states its tag, and components to begin with."""
    if isinstance(definition.node, MappingNode) and "preset" in definition.node.values:
        return {"required": ("preset",), "optional": ("covered", *_OPTIONAL)}
    return {"required": ("covered",), "optional": ("tag", *_OPTIONAL)}


def _component(text: str) -> Component:
    name = text.partition(";")[0].strip('"')
    if name.startswith("@") and name not in DERIVED:
        meant = near(name, DERIVED)
        hint = f"did you mean {quoted(meant)}?" if meant else f"expected one of {', '.join(map(quoted, DERIVED))}"
        raise Unfit(f"there is no component {quoted(name)}", hint)
    if not name.startswith("@"):
        field_name(name)
    try:
        return Component.parse(text)
    except ValueError as error:
        hint = 'expected one such as "@method", content-type, or \'"@query-param";name="id"\''
        raise Unfit(f"{quoted(text)}: {error}", hint) from None


def _label(text: str) -> str:
    if not _LABEL.match(text):
        raise Unfit(f"{quoted(text)} is no label of a signature", "expected one in lower case such as sig1")
    return text


def _tag(text: str) -> str:
    if not text.isascii() or len(text) > MAX_TEXT:
        raise Unfit(f"{quoted(text)} is no tag", f"expected up to {MAX_TEXT} ASCII characters")
    return text


def _read_algorithms(reader: Reader, node: Node | None, profile: Profile | None) -> frozenset[str]:
    known = ALGORITHMS if profile is None else profile.algorithms
    if node is None:
        return frozenset(known)
    items = reader.items(node, "algorithms of signatures") or ()
    return frozenset(
        found for item in items if (found := reader.choice(item, known, "algorithm of signatures here")) is not None
    )


def _read_structured(reader: Reader, node: Node | None) -> Mapping[str, Kind]:
    mapping = reader.mapping(node, "a mapping from names of fields to their structure")
    found: dict[str, Kind] = {}
    for written, value in mapping.values.items() if mapping is not None else ():
        assert mapping is not None
        named = reader.value(mapping.keys[written], field_name)
        kind = reader.choice(value, KINDS, "structure of fields")
        if named is not None and kind is not None:
            found[named] = kind
    return found
