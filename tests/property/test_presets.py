"""Every preset: what is signed verifies, no changed byte of it does, and whatever comes is refused, never an error."""

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.core.message import Headers, Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.syntax import read_head
from gateway.policy.presets import preset
from gateway.signing.scheme import Scheme, read_whole
from tests import vendors
from tests.mint import NOW
from tests.vendors import NONCE, Request, keys, own_key, sample, verify

UNTIMED = settings(deadline=None, max_examples=200)

SCHEMES: dict[str, Scheme[Any]] = {name: vendors.scheme(name) for name in vendors.NAMES}
ALGORITHMS = {name: preset(name).key["algorithm"] for name in vendors.NAMES}
KEYS: dict[str, dict[str, SigningKey]] = {name: dict(keys(ALGORITHMS[name])) for name in vendors.NAMES}
SIGNED = {name: vendors.signed(name) for name in vendors.NAMES}

NAMES = st.sampled_from(vendors.NAMES)
TIMES = st.integers(1_100_000_000, 4_000_000_000).map(lambda at: Instant(float(at)))
NONCES = st.text(st.characters(min_codepoint=0x30, max_codepoint=0x7A), min_size=1, max_size=20)


def verified(name: str, made: Request, now: Instant = NOW) -> bool:
    try:
        verify(SCHEMES[name], made, KEYS[name], now)
    except Denied:
        return False
    return True


def string_of(name: str, made: Request) -> bytes | None:
    """Give what the request's signature must be over; None where it cannot be said."""
    scheme = SCHEMES[name]
    try:
        return scheme.string_to_sign(*made, read_whole(scheme, *made, lambda _: True))
    except Denied:
        return None


@given(NAMES, TIMES, NONCES)
@UNTIMED
def test_what_is_signed_verifies_at_any_time(name: str, now: Instant, nonce: str) -> None:
    plain = sample(name)
    try:
        made = SCHEMES[name].sign(*plain, key=own_key(ALGORITHMS[name]), now=now, nonce=nonce)
    except ValueError as error:
        assume("would refuse the request" not in str(error))  # a nonce that holds the separator
        raise
    assert verified(name, Request(*made.applied(*plain)), now)


@given(NAMES, st.data())
@UNTIMED
def test_a_changed_byte_of_the_body_is_refused_where_it_is_signed(name: str, data: st.DataObject) -> None:
    head, body = SIGNED[name]
    assume(body)
    place = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.integers(0, 255))
    other = Request(head, body[:place] + bytes([byte]) + body[place + 1 :])
    assume(other.body != body)
    assert not verified(name, other) or string_of(name, other) == string_of(name, SIGNED[name])


@given(NAMES, st.data())
@UNTIMED
def test_a_changed_byte_of_a_field_is_refused_where_it_is_signed(name: str, data: st.DataObject) -> None:
    head, body = SIGNED[name]
    fields = list(head.headers.fields)
    index = data.draw(st.integers(0, len(fields) - 1))
    field, value = fields[index]
    place = data.draw(st.integers(0, max(0, len(value) - 1)))
    character = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
    fields[index] = (field, value[:place] + character + value[place + 1 :])
    assume(fields[index][1] != value)
    other = Request(head._replace(headers=Headers(fields)), body)
    assert not verified(name, other) or string_of(name, other) == string_of(name, SIGNED[name])


@given(NAMES, st.text("/abz019?&=%+.-_~", min_size=1, max_size=12))
@UNTIMED
def test_another_target_is_refused_where_it_is_signed(name: str, more: str) -> None:
    head, body = SIGNED[name]
    made = vendors.with_target(SIGNED[name], f"{head.target}{more}")
    assert not verified(name, made) or string_of(name, made) == string_of(name, SIGNED[name])
    assert body == made.body


@given(NAMES, st.binary(max_size=200), st.data())
@UNTIMED
def test_any_body_and_fields_are_a_denial_and_never_an_error(name: str, body: bytes, data: st.DataObject) -> None:
    head = SIGNED[name].head
    values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
    fields = [
        (field, data.draw(values) if data.draw(st.booleans()) and field != "host" else value)
        for field, value in head.headers.fields
    ]
    made = Request(head._replace(headers=Headers(fields)), body)
    assert not verified(name, made) or string_of(name, made) == string_of(name, SIGNED[name])


@given(NAMES, st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
@UNTIMED
def test_any_json_is_a_denial_and_never_an_error(name: str, value: object) -> None:
    made = SIGNED[name]._replace(body=json.dumps(value).encode())
    assert not verified(name, made) or string_of(name, made) == string_of(name, SIGNED[name])


def test_a_nonce_that_was_used_is_the_identity() -> None:
    for name in vendors.NAMES:
        found = verify(SCHEMES[name], SIGNED[name], KEYS[name])
        runs_together = any("nothing stands between" in told for told in SCHEMES[name].weaknesses())
        by_nonce = found.nonce is not None and not runs_together
        assert (found.identity == f"{vendors.KEY_ID}\n{NONCE}".encode()) == by_nonce


def test_heads_of_samples_are_what_the_gate_reads() -> None:
    for head, _ in SIGNED.values():
        fields = [(name.encode(), value.encode("latin-1")) for name, value in head.headers.fields]
        target = head.target.encode()
        again = read_head(method=head.method.encode(), target=target, version="HTTP/1.1", fields=fields)
        assert again.headers.fields == head.headers.fields
