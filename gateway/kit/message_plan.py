"""The plan of RFC 9421, and what of the sample request it covers."""

from collections.abc import Iterable, Iterator

from gateway.kit.plan import Made, Piece, Pieces, Plan, Sample, digest_variable, field_variable, text
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import CONTENT_DIGEST, HASHES, REPR_DIGEST
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.values import FIELD_KINDS

_DERIVED = {
    "@method": "method", "@target-uri": "url", "@authority": "authority", "@request-target": "target", "@path": "path",
}  # fmt: skip
_DIGESTS = (CONTENT_DIGEST, REPR_DIGEST)
_OF_THE_MESSAGE = ("host", "content-length")
"""Fields that every client writes itself."""
_VALUES = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "date": "Sun, 22 Nov 2026 13:00:00 GMT",
    "idempotency-key": '"sample-1"',
    "user-agent": "sample",
}
_OF_CLIENTS = ("accept", "accept-encoding", "user-agent")
"""Fields that curl and others add where they are not told: covered where they must be if they are there."""
_BY_KIND = {"dictionary": "sample=1", "list": "sample", "item": "sample"}


def message_plan(scheme: HttpMessageScheme, algorithm: str, sample: Sample) -> Plan:
    """Give the plan. Raises ValueError for a field that must be covered and that the sample does not have."""
    covered = _covered(scheme, sample)
    made: list[Made] = []
    string: list[Piece] = []
    for component in covered:
        string += [Piece(f"{component.identifier}: "), *_value(component, sample, made), Piece("\n")]
    parameters = [";created=", "{timestamp}", ';keyid="', "{key_id}", '"']
    if scheme.expires_required:
        parameters += [";expires=", "{expires}"]
    parameters += [';nonce="', "{nonce}", '"']
    if scheme.tag is not None:
        parameters.append(f';tag="{scheme.tag}"')
    inner = f"({' '.join(each.identifier for each in covered)})"
    label = scheme.label or "sig1"
    return Plan(
        string=(*string, *text(f'"@signature-params": {inner}', *parameters)),
        algorithm=algorithm,
        encoding="base64",
        headers=(
            *((name, _digest(hashes)) for name, hashes in sample.digests.items()),
            ("signature-input", text(f"{label}={inner}", *parameters)),
            ("signature", text(f"{label}=:", "{signature}", ":")),
        ),
        made=tuple(made),
        query=_query(covered) or None,
    )


def _covered(scheme: HttpMessageScheme, sample: Sample) -> list[Component]:
    covered = dict.fromkeys(scheme.covered)
    sent = {*sample.fields, *sample.digests, "host", *(["content-length"] if sample.body else [])}
    present = [*scheme.covered_if_present, *([CONTENT_DIGEST] if sample.body else [])]
    return list(covered | dict.fromkeys(Component.parse(name) for name in present if name in sent))


def _value(component: Component, sample: Sample, made: list[Made]) -> Pieces:
    """Give the pieces of a component's value; variables that it takes are added to `made`."""
    name = component.name
    if name == "@query-param":
        return (Piece(_parameter(component, made), variable=True),)
    if name == "@query":
        return text("?", "{query}")
    if name.startswith("@"):
        return text("https") if name == "@scheme" else text(f"{{{_DERIVED[name]}}}")
    if component.key is not None:
        return _member(component)
    if name in _DIGESTS:
        value = _digest(sample.digests[name])
    elif name == "host":
        value = text("{authority}")
    elif name == "content-length" and sample.body:
        made.append(Made("length", "length", ()))
        value = text("{length}")
    elif name in sample.fields:
        value = text(f"{{{field_variable(name)}}}")
    else:
        raise ValueError(f"the request that would be signed has no {name}, which must be covered")
    if not component.bs:
        return value
    made.append(Made(f"octets_{len(made)}", "base64", value))
    return text(":", f"{{{made[-1].name}}}", ":")


def _parameter(component: Component, made: list[Made]) -> str:
    made.append(Made(_parameter_variable(component), "encoded", (Piece("sample"),)))
    return made[-1].name


def _parameter_variable(component: Component) -> str:
    return "parameter_" + "".join(char if char.isalnum() else f"_{ord(char):x}" for char in component.parameter or "")


def _query(covered: Iterable[Component]) -> Pieces:
    """Give the query: the parameters that are covered by name."""
    found: list[Piece] = []
    for component in covered:
        if component.parameter is not None:
            found.append(Piece(f"{'&' if found else ''}{component.parameter}="))
            found.append(Piece(_parameter_variable(component), variable=True))
    return tuple(found)


def _member(component: Component) -> Pieces:
    """Give a member of a dictionary as it is serialised (RFC 9421 2.1.2)."""
    if component.name in _DIGESTS:
        named = HASHES.get(component.key or "")
        if named is None:
            raise ValueError(f"{component.identifier}: no digest but by {' or '.join(HASHES)} counts")
        return text(":", f"{{{digest_variable(named, 'base64')}}}", ":")
    return text('"sample"')


def _digest(hashes: Iterable[str]) -> Pieces:
    """Give the value of a digest field."""
    found: list[str] = []
    for each in hashes:
        name = next(name for name, known in HASHES.items() if known == each)
        found += [f"{', ' if found else ''}{name}=:", f"{{{digest_variable(each, 'base64')}}}", ":"]
    return text(*found)


# The sample request


def sample_query(scheme: HttpMessageScheme) -> str:
    """Give a query that has the parameters that are covered by name."""
    named = dict.fromkeys(each.parameter for each in scheme.covered if each.parameter is not None)
    return "&".join(f"{name}=sample" for name in named)


def sample_digests(scheme: HttpMessageScheme, *, body: bool) -> dict[str, tuple[str, ...]]:
    """Give the digest fields that a request has, with their hashes: what is covered, and what a body must have."""
    found: dict[str, list[str]] = {CONTENT_DIGEST: []} if body else {}
    for component in scheme.covered:
        if component.name in _DIGESTS:
            hashes = found.setdefault(component.name, [])
            named = HASHES.get(component.key or "")
            hashes += [named] if named is not None and named not in hashes else []
    return {name: tuple(sorted(hashes) or ["sha256"]) for name, hashes in found.items()}


def sample_fields(scheme: HttpMessageScheme) -> Iterator[tuple[str, str]]:
    """Give the fields that are covered, but for those that every client writes itself, with values of their kind."""
    for name in dict.fromkeys(each.name for each in scheme.covered if not each.name.startswith("@")):
        if name in _DIGESTS or name in _OF_THE_MESSAGE:
            continue
        keys = [each.key for each in scheme.covered if each.name == name and each.key is not None]
        kind = scheme.structured_fields.get(name) or FIELD_KINDS.get(name)
        whole = "sample" if kind is None else _BY_KIND[kind]
        yield name, ", ".join(f'{key}="sample"' for key in keys) or _VALUES.get(name, whole)
    for name in scheme.covered_if_present:
        if name in _OF_CLIENTS:
            yield name, _VALUES[name]
