"""The plan of a composed scheme, and the query and body of the sample request that it needs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlencode

from gateway.kit.plan import BODY, SHARED, Piece, Pieces, Plan, Sample, Taken, digest_variable, field_variable, text
from gateway.kit.taken import way_of
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.content import FORM
from gateway.signing.places import InContent, InHeader, InItems, Place

_PARTS: Mapping[type, str] = {
    p.Method: "method", p.Path: "path", p.Query: "query", p.Target: "target", p.Body: BODY, p.Timestamp: "timestamp",
    p.Nonce: "nonce", p.Shared: SHARED,
}  # fmt: skip


def composed_plan(scheme: ComposedScheme, sample: Sample) -> Plan:
    """Give the plan."""
    places = _places(scheme)
    carried_fields = dict(_headers([(place, pieces) for place, pieces in places if place is not scheme.signature]))
    string: list[Piece] = []
    taken: list[Taken] = []
    for index, part in enumerate(scheme.parts):
        string += [Piece(scheme.separator.decode("latin-1"))] if index and scheme.separator else []
        if isinstance(part, p.DERIVED):
            taken.append(Taken(f"taken_{len(taken)}", part, tuple(_headers_signed(part, scheme, sample))))
            string.append(Piece(taken[-1].name, variable=True))
        elif isinstance(part, p.Header) and part.name in carried_fields:
            string += carried_fields[part.name]
        else:
            string.append(_part(part))
    members = _members(scheme)
    numeric = scheme.timestamp if scheme.timestamp_format != "rfc3339" else None
    before = [(place, pieces[0].text) for place, pieces in places if place is not scheme.signature]
    return Plan(
        string=tuple(string),
        algorithm=scheme.algorithm,
        encoding=scheme.encoding,
        headers=tuple(_headers(places)),
        timestamp_format=scheme.timestamp_format,
        der=scheme.der,
        taken=tuple(taken),
        members=members,
        carried=tuple(
            (_steps(place), name, members == "json" and place is numeric)
            for place, name in before if isinstance(place, InContent) and place.in_body
        ),
        signature_at=_steps(scheme.signature) if scheme.signature.in_body else (),
        query_carried=tuple((place.name, name) for place, name in before if _in_query(place)),
        signature_parameter=scheme.signature.name if _in_query(scheme.signature) else "",
    )  # fmt: skip


def _places(scheme: ComposedScheme) -> list[tuple[Place, Pieces]]:
    """Give where everything stands and what stands there, in the order in which the gate's own signer writes it."""
    signature = text(*(["{key_id}", scheme.key_id_until] if scheme.key_id_until else []), "{signature}")
    own = ((scheme.key_id, "key_id"), (scheme.timestamp, "timestamp"), (scheme.nonce, "nonce"))
    found = [(place, text(f"{{{name}}}")) for place, name in own if place is not None]
    return [*found, (scheme.signature, signature)]


def _in_query(place: Place) -> bool:
    return isinstance(place, InContent) and not place.in_body


def _members(scheme: ComposedScheme) -> Literal["", "json", "form"]:
    used = {source for part in scheme.parts for source in p.sources(part)}
    used |= {place.source for place, _ in _places(scheme) if isinstance(place, InContent)}
    return "form" if "form" in used else "json" if "json" in used else ""


def _steps(place: Place) -> tuple[str | int, ...]:
    if isinstance(place, InContent) and place.source == "json":
        return tuple(way_of(place.name))
    return (place.name,)


def _part(part: p.Part) -> Piece:
    if isinstance(part, p.Literal):
        return Piece(part.text)
    if isinstance(part, p.Header):
        if part.name == "host":
            return Piece("authority", variable=True)
        return Piece(field_variable(part.name), variable=True)
    if isinstance(part, p.BodyDigest):
        return Piece(digest_variable(part.hash, part.encoding), variable=True)
    return Piece(_PARTS[type(part)], variable=True)


def _headers_signed(part: p.Part, scheme: ComposedScheme, sample: Sample) -> Iterator[tuple[str, Pieces]]:
    carried = {place.name: (place.prefix, pieces) for place, pieces in _places(scheme) if isinstance(place, InHeader)}
    for name in part.headers if isinstance(part, p.Parameters) else ():
        if name.lower() in sample.fields:
            yield name, (Piece(field_variable(name.lower()), variable=True),)
        elif name.lower() in carried:
            prefix, pieces = carried[name.lower()]
            yield name, (*((Piece(prefix),) if prefix else ()), *pieces)


def _headers(places: Sequence[tuple[Place, Pieces]]) -> Iterator[tuple[str, Pieces]]:
    listed: dict[str, Pieces] = {}
    for place, pieces in places:
        if isinstance(place, InContent):
            continue
        made = (*((Piece(place.prefix),) if place.prefix else ()), *pieces)
        if isinstance(place, InItems):
            before = listed.get(place.name)
            listed[place.name] = made if before is None else (*before, Piece(place.separator), *made)
        else:
            yield place.name, made
    yield from listed.items()


# The sample request


def headers_needed(scheme: ComposedScheme) -> list[str]:
    """Name the fields that are signed and that the scheme itself does not carry."""
    own = {place.name for place, _ in _places(scheme) if not isinstance(place, InContent)}
    found = [part.name for part in scheme.parts if isinstance(part, p.Header)]
    found += [name.lower() for part in scheme.parts if isinstance(part, p.Parameters) for name in part.headers]
    return [name for name in found if name not in own and name != "host"]


def sample_query(scheme: ComposedScheme) -> str:
    """Give a query that holds what the scheme signs of it; none where it signs and carries nothing there."""
    own = {place.name for place, _ in _places(scheme) if _in_query(place)}
    used = {source for part in scheme.parts if isinstance(part, p.DERIVED) for source in p.sources(part)}
    if not own and "query" not in used:
        return ""
    signed = [part for part in scheme.parts if isinstance(part, p.Field) and part.source == "query"]
    return urlencode({"test": "1", **{part.name: _value(part) for part in signed if part.name not in own}})


def sample_body(scheme: ComposedScheme, plain: str) -> tuple[str, str]:
    """Give a media type and a body that holds what the scheme signs; `plain` is a JSON object to begin with."""
    if _members(scheme) == "form":
        own = {place.name for place, _ in _places(scheme) if isinstance(place, InContent)}
        fields = [part for part in scheme.parts if isinstance(part, p.Field) and part.source == "form"]
        form = {"sample": "1", **{part.name: _value(part) for part in fields if part.name not in own}}
        return FORM, urlencode(form)
    content = json.loads(plain)
    for part in scheme.parts:
        if isinstance(part, p.Field) and part.source == "json":
            _put(content, way_of(part.name), _value(part))
        elif isinstance(part, p.Serialized):
            _put(content, way_of(part.pointer), {"sample": "sample"})
    return "application/json", json.dumps(content, separators=(",", ":"))


def _value(part: p.Field) -> str:
    return "1.00" if part.format == "two-decimals" else "sample"


def _put(content: Any, way: Sequence[str | int], value: object) -> None:  # noqa: ANN401 - JSON
    for step, after in pairwise(way):
        content = content.setdefault(step, [{}] if after == 0 else {}) if isinstance(step, str) else content[step]
    if way:
        content[way[-1]] = value
