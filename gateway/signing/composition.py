"""What a composition of parts must be, and what it leaves unprotected."""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.signing import parts as p
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS, WEAK_PUBLIC
from gateway.signing.places import InContent, InHeader, InItems, Place
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^`|~0-9a-z]+")


class Composition(Protocol):
    """What is composed."""

    @property
    def parts(self) -> tuple[p.Part, ...]: ...  # noqa: D102 - as in ComposedScheme

    @property
    def algorithm(self) -> str: ...  # noqa: D102

    @property
    def signature(self) -> Place: ...  # noqa: D102

    @property
    def key_id(self) -> Place | None: ...  # noqa: D102

    @property
    def timestamp(self) -> Place | None: ...  # noqa: D102

    @property
    def nonce(self) -> Place | None: ...  # noqa: D102

    @property
    def der(self) -> bool: ...  # noqa: D102

    @property
    def key_id_until(self) -> str: ...  # noqa: D102


def check_composition(scheme: Composition) -> None:
    """Raise ValueError where a composition would not protect what it names, or can never be."""
    if not any(not isinstance(part, (p.Literal, p.Shared)) for part in scheme.parts):
        raise ValueError("nothing of the request is signed: name its parts")
    _check_algorithm(scheme)
    for what, kind, place in (("timestamp", p.Timestamp, scheme.timestamp), ("nonce", p.Nonce, scheme.nonce)):
        signed = any(isinstance(part, kind) for part in scheme.parts)
        if place is not None and not signed and not signs(scheme.parts, place):
            raise ValueError(
                f"the {what} of {place.name} is not signed, so anyone could change it: add it to the parts"
            )
        if place is None and signed:
            raise ValueError(f"the {what} is signed, but no field carries it: name its field")
    _check_places(scheme)
    if signs(scheme.parts, scheme.signature):
        raise ValueError("the signature cannot sign itself")


def _check_algorithm(scheme: Composition) -> None:
    known = (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)
    if scheme.algorithm not in known:
        raise ValueError(f"algorithm {scheme.algorithm!r} is none of {', '.join(known)}")
    secret = SECRET_ALGORITHMS.get(scheme.algorithm)
    shared = sum(isinstance(part, p.Shared) for part in scheme.parts)
    if secret is not None and not secret.keyed and shared != 1:
        raise ValueError(f"{scheme.algorithm} has no key of its own: add secret to the parts, once")
    if shared and (secret is None or secret.keyed):
        raise ValueError(f"the secret is the key of {scheme.algorithm}: take it out of the parts")
    if scheme.der and not scheme.algorithm.startswith("ecdsa-"):
        raise ValueError("only ECDSA signatures come in DER")


def _check_places(scheme: Composition) -> None:
    own = [place for place in (scheme.signature, scheme.key_id, scheme.timestamp, scheme.nonce) if place is not None]
    addresses = [_address(place) for place in own]
    whole = [place.name for place in own if isinstance(place, InHeader)]
    items = {(place.name, place.separator) for place in own if isinstance(place, InItems)}
    names = [name for name, _ in items]
    if len(set(addresses)) < len(addresses) or len({*whole, *names}) < len(whole) + len(names):
        raise ValueError("key id, timestamp, nonce and signature each need a field of their own")
    if scheme.key_id_until and (scheme.key_id is not None or isinstance(scheme.signature, InContent)):
        raise ValueError("a key id before the signature stands in a field, and in no other place")
    headers = [name for part in scheme.parts if isinstance(part, p.Parameters) for name in part.headers]
    signed = [part.name for part in scheme.parts if isinstance(part, p.Header)]
    for name in (*whole, *names, *signed, *(name.lower() for name in headers)):
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no field name in lower case")


def _address(place: Place) -> tuple[str, ...]:
    if isinstance(place, InContent):
        return place.source, place.name
    return ("header", place.name, place.prefix) if isinstance(place, InItems) else ("header", place.name)


def signs(parts: Sequence[p.Part], place: Place) -> bool:
    """Whether what stands at a place is among what the parts sign."""
    return any(_signs(part, place) for part in parts)


def _signs(part: p.Part, place: Place) -> bool:
    if not isinstance(place, InContent):
        named = {name.lower() for name in part.headers} if isinstance(part, p.Parameters) else frozenset[str]()
        return place.name in named or part == p.Header(place.name)
    source, name = place.source, place.name
    match part:
        case p.QueryWithout():
            signed = source == "query" and name != part.name
        case p.Body() | p.BodyDigest() | p.Crc32():
            signed = place.in_body
        case p.Parameters():
            top = name.split("/")[1] if source == "json" else name
            signed = source in part.sources and top not in part.without
        case p.Serialized():
            signed = source == "json" and f"{name}/".startswith(f"{part.pointer}/")
        case p.Field():
            signed = (part.source, part.name) == (source, name)
        case _:
            signed = source in p.sources(part)
    return signed


def weaknesses(scheme: Composition, run_together: Sequence[p.Part]) -> tuple[str, ...]:
    """Give what a composition leaves unprotected, one sentence each with the way to mend it."""
    return tuple(_weaknesses(scheme, run_together))


def _weaknesses(scheme: Composition, run_together: Sequence[p.Part]) -> Iterator[str]:
    kinds = {type(part) for part in scheme.parts}
    yield from _of_body(scheme.parts)
    if p.Method not in kinds:
        yield "the method is not signed, so a request can be turned into another: add method"
    if not kinds & {p.Path, p.Target}:
        yield "the path is not signed, so a request can be sent to another resource: add path or target"
    if not any("query" in p.sources(part) and not isinstance(part, p.Field) for part in scheme.parts):
        yield "the query is not signed, so it can be changed: add query or target"
    if any(isinstance(part, p.Parameters) and part.write == "values" for part in scheme.parts):
        yield "the names of parameters are not signed, so a value can be moved to another name: sign pairs"
    if scheme.timestamp is None:
        yield "there is no timestamp, so a request counts for ever once its replay memory ends: add one"
    if scheme.nonce is None:
        yield "there is no nonce, so a repeated request cannot be told from a replayed one: add one"
    if run_together:
        names = " and ".join(p.label(part) for part in run_together)
        yield f"nothing stands between {names}, so content can move between them: add a separator"
    weak = weakness_of(scheme.algorithm)
    if weak:
        yield f"{scheme.algorithm} is weak, as {weak}: move to hmac-sha256 or a public key"


def _of_body(parts: Sequence[p.Part]) -> Iterator[str]:
    if any(isinstance(part, (p.Body, p.BodyDigest)) for part in parts) or any(
        isinstance(part, (p.Parameters, p.SortedJson)) and p.sources(part) & {"form", "json"} for part in parts
    ):
        return
    single = [part for part in parts if isinstance(part, (p.Field, p.Serialized)) and p.needs_body(part)]
    if single:
        names = ", ".join(part.name if isinstance(part, p.Field) else part.pointer for part in single)
        yield f"only {names} of the body are signed, so the rest can be changed: add body"
    elif any(isinstance(part, p.Crc32) for part in parts):
        yield "only a checksum of the body is signed, and another body with the same one is easily made: add body"
    else:
        yield "the body is not signed, so it can be changed: add body or body_digest"


def weakness_of(algorithm: str) -> str:
    """Say why an algorithm should no longer be used; empty where it is sound."""
    secret = SECRET_ALGORITHMS.get(algorithm)
    return secret.weak if secret is not None else WEAK_PUBLIC.get(algorithm, "")
