"""The plan of a composed scheme, and the body of the sample request that it needs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlencode

from gateway.kit.plan import BODY, SHARED, Piece, Pieces, Plan, Sample, Taken, field_variable, text
from gateway.kit.taken import way_of
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.content import FORM
from gateway.signing.places import InContent, InHeader, InItems, Place

_PARTS: Mapping[type, str] = {
    p.Method: "method", p.Path: "path", p.Target: "target", p.Body: BODY, p.Timestamp: "timestamp", p.Nonce: "nonce",
    p.Shared: SHARED,
}  # fmt: skip


def composed_plan(scheme: ComposedScheme, sample: Sample) -> Plan | None:
    """Give the plan; None where the samples have no words for a part or place."""
    places = _places(scheme)
    contents = [place for place, _ in places if isinstance(place, InContent)]
    if any(place.source == "query" for place in contents) or not all(map(_known, scheme.parts)):
        return None
    members = _members(scheme)
    if members and not sample.body:
        return None
    string: list[str] = []
    taken: list[Taken] = []
    for index, part in enumerate(scheme.parts):
        string += [scheme.separator.decode("latin-1")] if index and scheme.separator else []
        if isinstance(part, p.DERIVED):
            headers = tuple(_headers_signed(part, scheme, sample))
            taken.append(Taken(f"taken_{len(taken)}", part, headers, members=bool(p.sources(part) & {members})))
            string.append(f"{{{taken[-1].name}}}")
            continue
        found = _part(part, sample)
        if found is None:
            return None
        string += found
    carried = [(place, pieces) for place, pieces in places if isinstance(place, InContent)]
    numeric = scheme.timestamp if scheme.timestamp_format != "rfc3339" else None
    return Plan(
        string=text(*string),
        algorithm=scheme.algorithm,
        encoding=scheme.encoding,
        headers=tuple(_headers(places)),
        timestamp_format=scheme.timestamp_format,
        der=scheme.der,
        taken=tuple(taken),
        members=members,
        carried=tuple(
            (_steps(place), pieces[0].text, members == "json" and place is numeric)
            for place, pieces in carried if place is not scheme.signature
        ),
        signature_at=_steps(scheme.signature) if isinstance(scheme.signature, InContent) else (),
    )  # fmt: skip


def _places(scheme: ComposedScheme) -> list[tuple[Place, Pieces]]:
    """Give where everything stands and what stands there, in the order in which the gate's own signer writes it."""
    signature = text(*(["{key_id}", scheme.key_id_until] if scheme.key_id_until else []), "{signature}")
    own = ((scheme.key_id, "key_id"), (scheme.timestamp, "timestamp"), (scheme.nonce, "nonce"))
    found = [(place, text(f"{{{name}}}")) for place, name in own if place is not None]
    return [*found, (scheme.signature, signature)]


def _members(scheme: ComposedScheme) -> Literal["", "json", "form"]:
    used = {source for part in scheme.parts for source in p.sources(part)}
    used |= {place.source for place, _ in _places(scheme) if isinstance(place, InContent)}
    return "form" if "form" in used else "json" if "json" in used else ""


def _known(part: p.Part) -> bool:
    """Whether samples have words for a part; they have no query."""
    return not isinstance(part, p.QueryWithout) and not (
        isinstance(part, (p.Field, p.SortedJson)) and part.source == "query"
    )


def _steps(place: Place) -> tuple[str | int, ...]:
    if isinstance(place, InContent) and place.source == "json":
        return tuple(way_of(place.name))
    return (place.name,)


def _part(part: p.Part, sample: Sample) -> list[str] | None:
    if isinstance(part, p.Literal):
        return [part.text]
    if isinstance(part, p.Query):
        return []
    if isinstance(part, p.Header):
        known = part.name in sample.fields
        return ["{authority}"] if part.name == "host" else [f"{{{field_variable(part.name)}}}"] if known else None
    if isinstance(part, p.BodyDigest):
        known = part.encoding in ("hex", "base64")
        return [f"{{digest_{part.hash}_{part.encoding}}}"] if known else None
    return [f"{{{_PARTS[type(part)]}}}"] if type(part) in _PARTS else None


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


def sample_body(scheme: ComposedScheme, plain: str) -> tuple[str, str]:
    """Give a media type and a body that holds what the scheme signs; `plain` is a JSON object to begin with."""
    if _members(scheme) == "form":
        fields = [part for part in scheme.parts if isinstance(part, p.Field) and part.source == "form"]
        form = {"sample": "1", **{part.name: _value(part) for part in fields}}
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
