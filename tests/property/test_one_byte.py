"""Every scheme: one byte of anything that it covers is changed, and the request is refused.

What is covered is listed here by what each scheme is said to sign, and not by the string that the gate makes, which
could miss something.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.policy.presets import preset
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.content import Content, Json, Number, find, read_json, read_pointer, write_json
from gateway.signing.jws_header import Expected
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.places import InContent
from gateway.signing.scheme import Scheme
from gateway.signing.sigv4 import SigV4Scheme
from tests import messages, vendors
from tests.mint import NOW
from tests.vendors import Request, with_field, with_target

UNTIMED = settings(deadline=None, max_examples=20)
ALGORITHMS = ("ed25519", "ecdsa-p256-sha256", "hmac-sha256", "rsa-pss-sha512")


class Case(NamedTuple):
    """A scheme, a request that it signed, and the key."""

    scheme: Scheme[Any]
    signed: Request
    keys: dict[str, SigningKey]

    def takes(self, made: Request) -> bool:
        try:
            vendors.verify(self.scheme, made, self.keys)
        except Denied:
            return False
        return True


def case(scheme: Scheme[Any], algorithm: str, plain: Request) -> Case:
    made = scheme.sign(*plain, key=vendors.own_key(algorithm), now=NOW, nonce="nonce-1")
    return Case(scheme, Request(*made.applied(*plain)), dict(vendors.keys(algorithm)))


PLAIN = vendors.request(
    "POST", "/v1/pay?b=2&a=1",
    {"content-type": "application/json", "x-amz-meta": "m", "x-list": "a, b", "x-latin": "café", "x-dict": "a=1, b=2"},
    b'{"amount":"10.00","to":{"iban":"DE00"}}',
)  # fmt: skip
COVERED = (
    "@method", "@target-uri", "@path", "@query", '"@query-param";name="a"', "content-type", "x-list", "x-latin;bs",
    "x-dict;sf", "@authority", "@request-target",
)  # fmt: skip


def cases() -> Iterator[tuple[str, Case]]:
    for name in vendors.NAMES:
        yield name, case(vendors.scheme(name), preset(name).key["algorithm"], vendors.sample(name))
    for algorithm in ALGORITHMS:
        kinds: Any = {"x-dict": "dictionary"}
        by = messages.scheme(*COVERED, structured_fields=kinds, nonce_required=True)
        yield f"rfc9421 {algorithm}", case(by, algorithm, PLAIN)
        for unencoded in (True, False):
            jws = JwsScheme("jws", frozenset({algorithm}), "x-jws", expected=Expected(unencoded=unencoded))
            yield f"jws b64={not unencoded} {algorithm}", case(jws, algorithm, PLAIN)
    for carried in ("attached", "body"):
        field = "" if carried == "body" else "x-jws"
        yield f"jws {carried}", case(JwsScheme("jws", frozenset({"ed25519"}), field, carried=carried), "ed25519", PLAIN)
    payload = RequestPayload(("X-List",))
    yield (
        "jws over the target",
        case(JwsScheme("jws", frozenset({"ed25519"}), "x-jws", payload=payload), "ed25519", PLAIN),
    )
    yield "sigv4 of s3", case(SigV4Scheme("aws", "eu-west-1", "s3"), "hmac-sha256", PLAIN)


CASES = dict(cases())


def places(found: Case) -> list[str]:
    """Name what is covered: `method`, `path`, `query`, `body`, or a field."""
    scheme, (head, body) = found.scheme, found.signed
    if isinstance(scheme, ComposedScheme):
        return [*_composed(scheme, found.signed), *sorted(scheme.carriers & {scheme.signature.name})]
    if isinstance(scheme, JwsScheme):
        own = ["method", "path"] if scheme.payload.signs_target else []
        fields = [name for name in (*scheme.payload.fields, scheme.header_field) if name]
        return [*own, *sorted(fields), "body"]
    if isinstance(scheme, SigV4Scheme):
        named = ["content-type", "host", *(name for name, _ in head.headers.fields if name.startswith("x-amz"))]
        return ["method", "path", *(["query"] if head.query else []), "authorization", "body", *named]
    return ["method", "path", "query", "body", "content-type", "x-list", "x-latin", "host", "signature"] + (
        ["content-digest"] if body else []
    )


def _composed(scheme: ComposedScheme, made: Request) -> Iterator[str]:
    for part in scheme.parts:
        match part:
            case p.Method():
                yield "method"
            case p.Path():
                yield "path"
            case p.Target():
                yield from ["path", *(["query"] if made.head.query else [])]
            case p.Query():
                yield from ["query"] if made.head.query else []
            case p.Header():
                yield part.name
            case p.Body() | p.BodyDigest() | p.Crc32():
                yield "body"
            case p.Timestamp() | p.Nonce():
                place = scheme.timestamp if isinstance(part, p.Timestamp) else scheme.nonce
                assert place is not None
                yield place.name if not place.in_body and place.name in made.head.headers else "inside"
            case p.Literal() | p.Shared():
                pass
            case _:
                yield "inside"


def changed(data: st.DataObject, made: Request, place: str) -> Request:
    """Change one byte of a place."""
    head, body = made
    if place == "method":
        return Request(head._replace(method=data.draw(st.sampled_from(["PUT", "GET", "DELETE", "PATCH"]))), body)
    if place == "path":
        return with_target(made, _other(data, head.path, 1) + ("" if head.query is None else f"?{head.query}"))
    if place == "query":
        return with_target(made, f"{head.path}?{_other(data, head.query or '', 0)}")
    if place == "body":
        at, byte = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255))
        return Request(head, body[:at] + bytes([body[at] ^ byte]) + body[at + 1 :])
    if place == "host":
        other = _other(data, head.authority, 0)
        return (
            Request(head._replace(authority=other, host=other), body)._replace()
            if "host" not in head.headers
            else (with_field(Request(head._replace(authority=other, host=other), body), "host", other))
        )
    return with_field(made, place, _other(data, head.headers.single(place) or "", 0))


def _other(data: st.DataObject, text: str, start: int) -> str:
    """Change a letter or digit into another: white space and case may be the same to a scheme, these never are."""
    able = [at for at, char in enumerate(text) if at >= start and char.isascii() and char.isalnum()]
    at = data.draw(st.sampled_from(able))
    new = data.draw(st.sampled_from([char for char in "0123456789mnopqrstuvw" if char != text[at].lower()]))
    return text[:at] + new + text[at + 1 :]


type Leaf = tuple[str, tuple[str, ...]]
"""A value in `query`, `form` or `json`, and the names that lead to it."""


def leaves(found: Case) -> list[Leaf]:
    """Name every value in query and body that the scheme covers by taking them apart."""
    scheme, listed = found.scheme, list[Leaf]()
    for part in scheme.parts if isinstance(scheme, ComposedScheme) else ():
        for source in p.sources(part) if isinstance(part, p.DERIVED) else ():
            listed += _leaves(part, source, Content(*found.signed))
    for place in (scheme.timestamp, scheme.nonce) if isinstance(scheme, ComposedScheme) else ():
        if isinstance(place, InContent):
            listed.append((place.source, read_pointer(place.name) if place.source == "json" else (place.name,)))
    return list(dict.fromkeys(listed))


def _leaves(part: p.Part, source: str, content: Content) -> Iterator[Leaf]:
    held: Json = content.json if source == "json" else dict(content.form if source == "form" else content.query)
    if isinstance(part, p.Field):
        way = read_pointer(part.name) if source == "json" else (part.name,)
        try:
            found = find(held, way)
        except KeyError:
            return  # an optional one
        yield from [(source, way)] if _letters(found) else []
        return
    way = read_pointer(part.pointer) if isinstance(part, p.Serialized) else ()
    left = part.without if isinstance(part, p.Parameters) else (part.name,) if isinstance(part, p.QueryWithout) else ()
    for leaf in _texts(find(held, way), way):
        if leaf[0] not in left:
            yield source, leaf


def _texts(value: Json, way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, (*way, name))
    elif isinstance(value, list) and len(value) == 1:
        yield from _texts(value[0], (*way, "0"))
    elif _letters(value):
        yield way


def _letters(value: Json) -> bool:
    return isinstance(value, str) and any(char.isascii() and char.isalnum() for char in value)


def changed_inside(data: st.DataObject, made: Request, leaf: Leaf) -> Request:
    """Change one byte of a value."""
    (head, body), (source, way) = made, leaf
    if source == "json":
        value = read_json(body)
        old = find(value, way)
        assert isinstance(old, str)
        digit = str((int(old[-1]) + 1) % 10) if isinstance(old, Number) else ""
        _replace(value, way, Number(old[:-1] + digit) if digit else _other(data, old, 0))
        return Request(head, write_json(value).encode())
    pairs = (body.decode() if source == "form" else head.query or "").split("&")
    at = next(at for at, pair in enumerate(pairs) if unquote_plus(pair.partition("=")[0]) == way[0])
    name, _, text = pairs[at].partition("=")
    pairs[at] = f"{name}={quote_plus(_other(data, unquote_plus(text), 0))}"
    text = "&".join(pairs)
    return Request(head, text.encode()) if source == "form" else with_target(made, f"{head.path}?{text}")


def _replace(value: Json, way: tuple[str, ...], new: str) -> None:
    for step in way[:-1]:
        value = value[step] if isinstance(value, dict) else value[0]  # type: ignore[index, assignment]
    if isinstance(value, dict):
        value[way[-1]] = new
    else:
        value[0] = new  # type: ignore[index]


PLACES = [(name, place) for name, found in CASES.items() for place in dict.fromkeys(places(found)) if place != "inside"]


def test_every_scheme_is_here_with_what_it_covers() -> None:
    assert set(vendors.NAMES) <= CASES.keys()
    inside = {name for name, found in CASES.items() if "inside" in places(found)}
    assert {name for name, _ in PLACES} | inside == CASES.keys()
    assert inside <= {name for name, _ in LEAVES}
    assert all(found.takes(found.signed) for found in CASES.values())


LEAVES = [(name, leaf) for name, found in CASES.items() for leaf in leaves(found)]


@pytest.mark.parametrize(("name", "leaf"), LEAVES, ids=str)
@given(data=st.data())
@UNTIMED
def test_one_byte_of_a_value_that_is_covered(name: str, leaf: Leaf, data: st.DataObject) -> None:
    found = CASES[name]
    other = changed_inside(data, found.signed, leaf)
    assert other != found.signed
    assert not found.takes(other), leaf


@pytest.mark.parametrize(("name", "place"), PLACES)
@given(data=st.data())
@UNTIMED
def test_one_byte_of_what_is_covered(name: str, place: str, data: st.DataObject) -> None:
    found = CASES[name]
    other = changed(data, found.signed, place)
    assert other != found.signed
    assert not found.takes(other), place
