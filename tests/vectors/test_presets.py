"""Every preset: what its vendor signs is accepted, and nothing that it covers can be changed."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.policy.presets import preset
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.content import Json, find, put, read_json, read_pointer, write_json
from gateway.signing.places import InContent, InHeader, InItems, Place
from tests import vendors
from tests.mint import NOW
from tests.vendors import Request, signed, verify, with_field, with_target

COMPOSED = [name for name in vendors.NAMES if isinstance(vendors.scheme(name), ComposedScheme)]


def composed(name: str) -> ComposedScheme:
    found = vendors.scheme(name)
    assert isinstance(found, ComposedScheme)
    return found


def refused(name: str, made: Request, now: Instant = NOW) -> Reason:
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme(name), made, vendors.keys(preset(name).key["algorithm"]), now)
    return caught.value.reason


@pytest.mark.parametrize("name", vendors.NAMES)
def test_what_the_vendor_signs_is_accepted(name: str) -> None:
    verified = verify(vendors.scheme(name), signed(name), vendors.keys(preset(name).key["algorithm"]))
    assert verified.key_id == vendors.KEY_ID
    assert (verified.created is None) == (not vendors.scheme(name).dated)


@pytest.mark.parametrize("name", vendors.NAMES)
def test_an_unsigned_request_is_refused(name: str) -> None:
    assert refused(name, vendors.sample(name)) is Reason.SIGNATURE_MISSING


@pytest.mark.parametrize("name", vendors.NAMES)
def test_a_signature_by_another_key_is_refused(name: str) -> None:
    algorithm = preset(name).key["algorithm"]
    keys = dict(vendors.keys(algorithm, "another"))
    if algorithm in vendors.SECRET_ALGORITHMS:
        other = vendors.SigningKey(vendors.KEY_ID, algorithm, vendors.Secret(b"another secret, and a long one it is"))
        keys = {vendors.KEY_ID: other}
    with pytest.raises(Denied) as caught:
        verify(vendors.scheme(name), signed(name), keys)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("name", [name for name in vendors.NAMES if vendors.scheme(name).dated])
def test_an_old_or_post_dated_request_is_refused(name: str) -> None:
    assert refused(name, signed(name), Instant(NOW + 301)) is Reason.SIGNATURE_STALE
    assert refused(name, signed(name), Instant(NOW - 12)) is Reason.SIGNATURE_FUTURE


# Tampering, part by part


def tampered(made: Request, part: p.Part, scheme: ComposedScheme) -> Iterator[Request]:
    """Give the request with changes of one part."""
    head, body = made
    if isinstance(part, (p.Body, p.BodyDigest, p.Crc32)):
        for place in range(0, len(body), 7):
            yield Request(head, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        yield from (Request(head, other) for other in (body[:-1], body + b"\n", b" " + body))
    elif isinstance(part, (p.Parameters, p.SortedJson, p.Serialized)):
        yield from changed_parameters(made, part)
    else:
        yield tampered_once(made, part, scheme)


def tampered_once(made: Request, part: p.Part, scheme: ComposedScheme) -> Request:  # noqa: PLR0911 - one for each kind
    head, body = made
    match part:
        case p.Method():
            return Request(head._replace(method="PUT"), body)
        case p.Path() | p.Target():
            return with_target(made, f"/x{head.target}")
        case p.Query() | p.QueryWithout():
            return with_target(made, f"{head.target}&more=1")
        case p.Header():
            return with_field(made, part.name, f"{head.headers.single(part.name)}x")
        case p.Timestamp():
            assert scheme.timestamp is not None
            return changed(
                made, scheme.timestamp, lambda text: text[:-2] + ("1" if text[-2] != "1" else "2") + text[-1]
            )
        case p.Nonce():
            assert scheme.nonce is not None
            return changed(made, scheme.nonce, lambda text: f"{text}x")
        case p.Field():
            return changed(made, InContent(part.source, part.name), lambda text: f"{text}1")
    raise AssertionError(part)


def other_digit(text: str) -> str:
    return text[:-2] + ("1" if text[-2] != "1" else "2") + text[-1]


def changed(made: Request, place: Place, change: Callable[[str], str]) -> Request:
    head, body = made
    if isinstance(place, InHeader):
        return with_field(made, place.name, change(head.headers.single(place.name) or ""))
    if isinstance(place, InItems):
        items = (head.headers.single(place.name) or "").split(place.separator)
        new = [
            place.prefix + change(each[len(place.prefix) :]) if each.startswith(place.prefix) else each
            for each in items
        ]
        return with_field(made, place.name, place.separator.join(new))
    if place.source == "json":
        value, pointer = read_json(body), read_pointer(place.name)
        old = find(value, pointer)
        assert isinstance(old, str)
        put(value, pointer, type(old)(change(old)))
        return Request(head, write_json(value).encode())
    text = body.decode() if place.source == "form" else head.query or ""
    new_text = re.sub(
        rf"(^|&)({re.escape(place.name)}=)([^&]*)", lambda found: f"{found[1]}{found[2]}{change(found[3])}", text
    )
    return Request(head, new_text.encode()) if place.source == "form" else with_target(made, f"{head.path}?{new_text}")


def changed_parameters(made: Request, part: p.Part) -> Iterator[Request]:
    head, body = made
    sources = p.sources(part)
    if "form" in sources:
        names = [pair.partition("=")[0] for pair in body.decode().split("&")]
        own = set(names) - set(part.without if isinstance(part, p.Parameters) else ())
        yield from (changed(made, InContent("form", name), lambda text: f"{text}1") for name in sorted(own))
        yield Request(head, body + b"&more=1")
    if "query" in sources:
        yield with_target(made, f"{head.target}{'&' if head.query else '?'}more=1")
    if "json" in sources:
        where = read_pointer(part.pointer) if isinstance(part, p.Serialized) else ()
        for name in members(find(read_json(body), where)):
            value = read_json(body)
            inner = find(value, where)
            assert isinstance(inner, dict)
            old = inner[name]
            inner[name] = f"{old}1" if isinstance(old, str) else "1"
            yield Request(head, write_json(value).encode())
        value = read_json(body)
        put(value, (*where, "more"), "1")
        yield Request(head, write_json(value).encode())
    if isinstance(part, p.Parameters):
        for name in part.headers:
            yield with_field(made, name.lower(), f"{head.headers.single(name.lower())}1")


def members(value: Json) -> list[str]:
    assert isinstance(value, dict)
    return list(value)


PARTS = [
    pytest.param(name, part, id=f"{name}: {p.label(part)}")
    for name in COMPOSED
    for part in composed(name).parts
    if not isinstance(part, (p.Literal, p.Shared))
]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_no_part_can_be_changed(name: str, part: p.Part) -> None:
    count = 0
    for other in tampered(signed(name), part, composed(name)):
        count += 1
        assert refused(name, other) in {
            Reason.SIGNATURE_MISMATCH,
            Reason.SIGNATURE_MALFORMED,
            Reason.SIGNATURE_CONTENT,
            Reason.SIGNATURE_KEY_UNKNOWN,
            Reason.SIGNATURE_STALE,
            Reason.SIGNATURE_FUTURE,
        }
    optional = isinstance(part, p.Field) and part.optional
    assert count or optional


@pytest.mark.parametrize("name", COMPOSED)
def test_the_signature_cannot_be_changed(name: str) -> None:
    made, place = signed(name), composed(name).signature

    def other(text: str) -> str:
        start = text.rindex("/") + 1 if composed(name).key_id_until else 0
        return text[:start] + ("1" if text[start] != "1" else "2") + text[start + 1 :]

    assert refused(name, changed(made, place, other)) in {Reason.SIGNATURE_MISMATCH, Reason.SIGNATURE_MALFORMED}


@pytest.mark.parametrize("name", vendors.NAMES)
def test_a_sample_is_what_the_vendor_sends(name: str) -> None:
    """JSON where the media type says so, and nothing that would be refused for itself."""
    plain = vendors.sample(name)
    if "json" in (plain.head.headers.single("content-type") or ""):
        json.loads(plain.body)


@pytest.mark.parametrize("name", vendors.NAMES)
def test_a_weak_scheme_ends_with_its_exception(name: str) -> None:
    found = preset(name)
    if not vendors.weak(found):
        assert not any("is weak" in weakness for weakness in vendors.scheme(name).weaknesses())
        return
    assert refused(name, signed(name), Instant(4_102_444_800.0)) is Reason.SIGNATURE_WEAK


def test_every_preset_that_the_project_promises_is_there() -> None:
    promised = """softswiss hub88 slotegrator pragmatic spribe booming aviatrix evenbet blueocean gitslotpark igamingace
        far-games stripe standard-webhooks standard-webhooks-v1a adyen adyen-platform paypal trustly worldpay paysafe
        nuvei cashfree worldline aws-sigv4 betsy truelayer truelayer-webhook uk-open-banking"""
    assert set(promised.split()) <= set(vendors.NAMES)


def test_a_presets_key_is_for_its_algorithm() -> None:
    for name in vendors.NAMES:
        assert preset(name).key["algorithm"] in vendors.scheme(name).algorithms, name


def test_slotegrators_requests_without_a_body_sign_the_query() -> None:
    plain = vendors.request("GET", "/callback?action=balance&player_id=p-1", {}, b"")
    made = vendors.signed("slotegrator", plain=plain)
    keys = vendors.keys("hmac-sha1")
    assert verify(vendors.scheme("slotegrator"), made, keys).nonce == vendors.NONCE
    assert (
        refused("slotegrator", with_target(made, "/callback?action=balance&player_id=p-2")) is Reason.SIGNATURE_MISMATCH
    )
