"""Whatever bytes come in: a head or a denial, then a decision, and nothing else."""

import json
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.controls.claims import ClaimRules
from gateway.core.chain import Claim, ClaimOnce, FetchKeys, RateTaken, ReadBody, TakeRate
from gateway.core.decision import Decision
from gateway.core.exchange import decide
from gateway.core.facts import Claims
from gateway.core.forwarding import field_lines, upstream_fields, upstream_lines
from gateway.core.message import Address, Headers, Instant, Peer, RequestHead
from gateway.core.networks import NetworkSet, client_address, normalised
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.core.syntax import read_head
from gateway.signing.jose import decode_base64url, encode_base64url, read_object
from gateway.signing.jwks import KeySet
from gateway.signing.jws import CompactJws
from tests import world
from tests.world import NOW, Answers, World, raising

UNTIMED = settings(deadline=None)
SIGNED = st.sampled_from(["authorization", "x-key-id", "x-timestamp", "x-nonce", "x-signature"])
METHODS = st.sampled_from([b"GET", b"POST", b"DELETE"]) | st.binary(max_size=8)
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/2"]) | st.text(max_size=9)
TARGET_PIECES = [b"/", b"v1", b"deposits", b".", b"..", b"%2e", b"%2F", b"%C3%A9", b";", b"?", b"//", b"https://", b"a"]
TARGETS = (
    st.just(b"/v1/deposits")
    | st.lists(st.sampled_from(TARGET_PIECES) | st.binary(max_size=3), max_size=8).map(b"".join)
    | st.binary(max_size=40)
)
NAMES = st.sampled_from(
    [
        b"host",
        b"Host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"te",
        b"expect",
        b"authorization",
        b"x-forwarded-for",
        b"x-gateway-partner",
        b"x-key-id",
        b"x-timestamp",
        b"x-nonce",
        b"x-signature",
    ]
) | st.binary(max_size=12)
VALUES = (
    st.sampled_from(
        [world.HOST.encode(), b"0", b"66", b"chunked", b"close", b"100-continue", b"Bearer a.b.c", b"10.0.0.1"]
    )
    | st.binary(max_size=24)
    | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=24).map(str.encode)
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
WITH_HOST = FIELDS.map(lambda fields: [(b"host", world.HOST.encode()), *fields])
AUTHORITIES = st.none() | st.just(world.HOST.encode()) | st.binary(max_size=24)

PROXIES = NetworkSet([ip_network("0.0.0.0/1"), ip_network("::/1")])
PEERS = st.builds(world.peer, st.ip_addresses(), certificate=st.none() | st.just(world.certificate()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
CLAIM_VALUES = JSON | st.sampled_from([world.ISSUER, world.AUDIENCE, [world.AUDIENCE], NOW, NOW + 60, "a b"])


def head_of(
    method: bytes, target: bytes, version: str, fields: Any, authority: bytes | None, ends: bool
) -> RequestHead:
    return read_head(
        method=method, target=target, version=version, fields=fields, authority=authority, ends_with_head=ends
    )


def outcome[T](read: Callable[[], T]) -> T | Denied | ValueError:
    """Give what was read, or the refusal; any other error is a fault."""
    try:
        return read()
    except (Denied, ValueError) as refusal:
        return refusal


def addresses_in(headers: Headers) -> set[Address]:
    read = (outcome(partial(ip_address, text.strip())) for text in (headers.single("x-forwarded-for") or "").split(","))
    return {normalised(address) for address in read if not isinstance(address, ValueError)}


@st.composite
def heads(draw: st.DrawFn) -> RequestHead:
    """Draw a head that can be read, near the valid one as often as not."""
    changes = draw(st.dictionaries(SIGNED, VALUES.map(lambda value: value.decode("latin-1")), max_size=2))
    method, target, extra = draw(METHODS), draw(TARGETS), draw(FIELDS)
    changed = World(method=method, target=target, fields=changes).raw_fields()
    valid = World().raw_fields()
    for fields in ([*changed, *extra], [*valid, *extra], changed, valid):
        for line in ((method, target), (b"POST", b"/v1/deposits")):
            head = outcome(partial(head_of, *line, "HTTP/1.1", fields, None, ends=False))
            if isinstance(head, RequestHead):
                return head
    raise AssertionError("the valid head was refused")


@UNTIMED
@given(METHODS, TARGETS, VERSIONS, FIELDS | WITH_HOST, AUTHORITIES, st.booleans())
def test_any_bytes_are_a_head_or_denied(
    method: bytes, target: bytes, version: str, fields: Any, authority: bytes | None, ends: bool
) -> None:
    head = outcome(lambda: head_of(method, target, version, fields, authority, ends))
    if isinstance(head, Denied):
        assert head.reason.status is not None
        assert head.detail.isprintable()
        return
    assert method == head.method.encode()
    assert head.target == (head.path if head.query is None else f"{head.path}?{head.query}")
    assert not {"", ".", ".."} & set(head.path.split("/")[1:-1])
    assert [name for name, _ in head.headers.fields] == [name.decode().lower() for name, _ in fields]
    assert len(head.headers.all("host")) <= 1
    assert head.has_body or not head.content_length


@UNTIMED
@given(METHODS, TARGETS, FIELDS | WITH_HOST)
def test_a_head_that_was_read_is_read_the_same_again(method: bytes, target: bytes, fields: Any) -> None:
    head = outcome(lambda: head_of(method, target, "HTTP/1.1", fields, None, ends=False))
    if isinstance(head, Denied):
        return
    lines = [(name.encode(), value.encode("latin-1")) for name, value in head.headers.fields]
    again = head_of(head.method.encode(), head.target.encode(), "HTTP/1.1", lines, None, ends=False)
    assert (again.path, again.query, again.host) == (head.path, head.query, head.host)
    assert (again.content_length, again.has_body) == (head.content_length, head.has_body)
    assert again.headers.fields == head.headers.fields


@UNTIMED
@given(heads(), PEERS, st.floats(min_value=0, max_value=4e9))
def test_any_head_gives_a_decision(head: RequestHead, peer: Peer, now: float) -> None:
    decision = world.drive(decide(world.policy(), peer, head, Instant(now)), Answers())
    assert isinstance(decision, Decision)
    assert decision.reason is not Reason.CONTROL_FAILED
    if decision.allowed:
        assert decision.exchange.passed == [control.name for control in world.chain()]


@UNTIMED
@given(heads())
def test_what_goes_upstream_is_fields_that_are_read_the_same(head: RequestHead) -> None:
    exchange = World().exchange()
    exchange.head = head
    fields = upstream_fields(exchange, "request-1")
    lines = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    read = head_of(b"POST", head.target.encode(), "HTTP/1.1", lines, None, ends=False)
    assert list(read.headers.fields) == fields
    assert upstream_lines(exchange, "request-1") == field_lines(fields)
    assert len(read.headers.all("x-forwarded-for")) == 1
    assert read.headers.all("x-gateway-partner") == ()


ANY_ANSWER = st.sampled_from(
    [
        None,
        b"",
        world.BODY,
        "text",
        Claim.SEEN,
        Claim.UNKNOWABLE,
        RateTaken(False, ()),
        RateTaken(True, ()),
        raising(Unavailable(Reason.STATE_UNAVAILABLE)),
        raising(Denied(Reason.BODY_TIMEOUT)),
        raising(OSError()),
    ]
)


@UNTIMED
@given(st.sampled_from([ReadBody, TakeRate, ClaimOnce, FetchKeys]), ANY_ANSWER)
def test_any_answer_but_the_right_one_denies(ask: type, answer: Any) -> None:
    overridden = answer if callable(answer) else lambda _: answer
    decision = World(answers=Answers({ask: overridden})).decide()
    right = ask is ReadBody and answer == world.BODY
    assert decision.allowed == right


@UNTIMED
@given(st.ip_addresses(), st.lists(st.text(max_size=20) | st.ip_addresses().map(str), max_size=4))
def test_a_client_has_an_address_or_is_denied(address: Any, forwarded: list[str]) -> None:
    headers = Headers([("x-forwarded-for", ",".join(forwarded))])
    client = outcome(lambda: client_address(world.peer(address), headers, PROXIES))
    if isinstance(client, Denied):
        assert client.reason is Reason.ADDRESS_UNREADABLE
        assert address in PROXIES
    elif address in PROXIES:
        assert client in addresses_in(headers)
    else:
        assert client == address


@UNTIMED
@given(st.binary())
def test_base64url_has_one_spelling(raw: bytes) -> None:
    text = encode_base64url(raw)
    assert decode_base64url(text) == raw


@UNTIMED
@given(st.text(max_size=12) | st.text("AQgwZz09-_=+/.", max_size=12))
def test_what_is_decoded_is_encoded_the_same_again(text: str) -> None:
    raw = outcome(lambda: decode_base64url(text))
    assert isinstance(raw, ValueError) or encode_base64url(raw) == text


@UNTIMED
@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    value = outcome(lambda: read_object(raw))
    assert isinstance(value, ValueError) or json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


@UNTIMED
@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops"]), JSON))
def test_any_key_is_loaded_or_refused(changes: dict[str, Any]) -> None:
    text = json.dumps({"keys": [world.jwk(), {**world.jwk(kid="changed"), **changes}]}).encode()
    keys = outcome(lambda: KeySet.load(text))
    if isinstance(keys, ValueError):
        assert str(keys).startswith("keys[1]") or str(keys).endswith("is not JSON")
    else:
        assert world.KEY_ID in keys.keys


@UNTIMED
@given(st.text(max_size=40) | st.lists(st.binary(max_size=20).map(encode_base64url), max_size=5).map(".".join))
def test_text_without_a_header_is_no_token(text: str) -> None:
    assert isinstance(outcome(lambda: CompactJws.read(text)), ValueError)


@UNTIMED
@given(st.data())
def test_a_token_of_which_one_character_differs_is_denied(data: st.DataObject) -> None:
    text = world.token()
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E).filter(lambda char: char != text[position]))
    decision = World(token=text[:position] + other + text[position + 1 :]).decide()
    assert not decision.allowed
    assert decision.control == "token"


@UNTIMED
@given(st.dictionaries(st.sampled_from([*world.claims(), "scp"]), CLAIM_VALUES))
def test_any_claims_are_facts_or_denied(changes: dict[str, Any]) -> None:
    rules = ClaimRules(world.issuer(), world.AUDIENCE, 600.0)
    claims = outcome(lambda: rules.check({**world.claims(), **changes}, NOW))
    if isinstance(claims, Denied):
        assert claims.reason.status == 401
    else:
        assert isinstance(claims, Claims)
        assert claims.issued_at < claims.expires <= claims.issued_at + 600
