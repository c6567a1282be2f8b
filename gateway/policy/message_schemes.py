"""Schemes of the section `schemes` that are HTTP Message Signatures (RFC 9421), by themselves or by a preset."""

from collections.abc import Mapping

from gateway.policy.answer_rules import read_answer_rules
from gateway.policy.components import component, signature_label, signature_tag
from gateway.policy.document import Definition
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.reader import Reader
from gateway.policy.values import field_name
from gateway.policy.weaknesses import warn_of
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.httpsig.fields import KINDS, Kind
from gateway.signing.httpsig.profiles import PROFILES, Profile
from gateway.signing.httpsig.scheme import HttpMessageScheme

TYPE = "http-message-signatures"

_DEMANDS = ("required", "optional")
_OPTIONAL = ("type", "covered_if_present", "label", "nonce", "expires", "algorithms", "structured_fields", "responses")


def read_message_scheme(reader: Reader, name: str, definition: Definition) -> HttpMessageScheme | None:
    """Read one scheme. What signatures may leave unprotected is warned of."""
    fields = reader.fields(definition.node, **_keys(definition))
    if fields is None:
        return None
    errors = reader.errors
    reader.choice(fields.get("type"), (TYPE,), "type of schemes with these keys")
    chosen = reader.choice(fields.get("preset"), tuple(PROFILES), "preset")
    profile = PROFILES[chosen] if chosen is not None else None
    covered = reader.values(fields.get("covered"), component, "covered components") or ()
    if_present = reader.values(fields.get("covered_if_present"), field_name, "names of fields") or ()
    label = reader.value(fields.get("label"), signature_label)
    tag = reader.value(fields.get("tag"), signature_tag)
    nonce = reader.choice(fields.get("nonce"), _DEMANDS)
    expires = reader.choice(fields.get("expires"), _DEMANDS)
    algorithms = _read_algorithms(reader, fields.get("algorithms"), profile)
    structured = _read_structured(reader, fields.get("structured_fields"))
    answers = read_answer_rules(reader, fields.get("responses"), profile, structured)
    if reader.errors > errors or answers is None or not (covered or profile):
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
            answers=answers,
        )
    except ValueError as error:
        hint = "expected it in `structured_fields`" if any(each.sf for each in covered) else ""
        reader.error(fields.get("covered", definition.key), str(error), hint)
        return None
    warn_of(reader, definition, scheme)
    return scheme


def _keys(definition: Definition) -> dict[str, tuple[str, ...]]:
    """Give the keys that a scheme must and may have: a preset states its tag, and components to begin with."""
    if isinstance(definition.node, MappingNode) and "preset" in definition.node.values:
        return {"required": ("preset",), "optional": ("covered", *_OPTIONAL)}
    return {"required": ("covered",), "optional": ("tag", *_OPTIONAL)}


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
