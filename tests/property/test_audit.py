"""Whatever stands in an event, its record is one valid line without a card number or token; whatever is cut off the
log's end, it goes on without a gap."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.events import (
    ConnectionCut,
    ConnectionRefused,
    ControlFailed,
    ControlRecovered,
    Event,
    GateStarted,
    GateStopped,
    PolicyFacts,
    PolicyLoaded,
    PolicyRefused,
    RequestDecided,
    RequestFinished,
)
from gateway.audit.files import log_files
from gateway.audit.log import AuditLog
from gateway.audit.reader import Entry, read
from gateway.audit.record import MAX_LINE, line
from gateway.audit.redact import clean, mask_cards, passes_luhn
from gateway.core.message import Instant, Peer, Tls
from gateway.core.policy import Partner, SwitchedOff
from gateway.core.reasons import Reason
from tests.unit.audit import plain
from tests.unit.audit.examples import (
    CERTIFICATE,
    CLAIMS,
    EVENTS,
    HEAD,
    IN_FORCE,
    ISSUER,
    ROUTE,
    SIGNATURE,
    allowed,
    decided,
    denied,
    finished,
    refused,
)

# Text as an attacker would write it


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    digits = draw(st.lists(st.integers(0, 9), min_size=12, max_size=18))
    number = next(f"{''.join(map(str, digits))}{last}" for last in range(10) if passes_luhn([*digits, last]))
    width = draw(st.sampled_from([4, 5, 19]))
    groups = [number[start : start + width] for start in range(0, len(number), width)]
    return draw(st.sampled_from(["", " ", "-", ".", "%20"])).join(groups)


anything = st.text(st.characters(), max_size=40)
token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl"
pieces = st.one_of(
    anything, card_numbers(), st.sampled_from([token, " ", "-", ".", "?a=", "\u2028", "\ud800", "𝄞" * 3000])
)
text = st.lists(pieces, max_size=4).map("".join)

# Events of it

instants = st.floats(allow_nan=True).map(Instant)
facts = st.builds(PolicyFacts, text, text)
addresses = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)
texts = st.lists(text, max_size=3).map(tuple)
certificates = st.builds(
    lambda **changes: replace(CERTIFICATE, **changes),
    **dict.fromkeys(("fingerprint", "public_key_fingerprint", "subject", "issuer", "serial"), text),
    **dict.fromkeys(("not_before", "not_after"), instants),
    **dict.fromkeys(("san_uri", "san_dns"), texts),
)
tls = st.builds(
    Tls, version=text, cipher=text, server_name=st.none() | text, alpn=st.none() | text,
    certificate=st.none() | certificates,
)  # fmt: skip
peers = st.builds(
    Peer, address=addresses, port=st.integers(0, 65_535), listener=text, tls=st.none() | tls, connection_id=text
)
heads = st.builds(
    HEAD._replace,
    **dict.fromkeys(("method", "target", "path", "version", "authority", "host"), text),
    query=st.none() | text,
    content_length=st.none() | st.integers(0, 10**18 - 1),
    has_body=st.booleans(),
)
claims = st.builds(
    lambda **changes: replace(CLAIMS, **changes),
    subject=text, token_id=st.none() | text, issued_at=instants, expires=instants,
)  # fmt: skip
signatures = st.builds(
    SIGNATURE._replace,
    key_id=text, nonce=st.none() | text, created=st.none() | instants,
)  # fmt: skip
routes = st.builds(
    lambda **changes: replace(ROUTE, **changes),
    name=text,
    upstream=st.builds(lambda name: replace(ROUTE.upstream, name=name), text),
    switched_off=st.lists(st.builds(SwitchedOff, text, text), max_size=2).map(tuple),
)
policies = st.builds(
    lambda issuer, **changes: replace(IN_FORCE, issuers={"operator": replace(ISSUER, issuer=issuer)}, **changes),
    issuer=text, name=text, digest=text,
)  # fmt: skip
DENIALS = [reason for reason in Reason if reason is not Reason.ALLOWED]
decisions = st.builds(
    lambda allow, reason, detail, control, changes: (
        allowed(**changes) if allow else denied(reason, detail, control, **changes)
    ),
    st.booleans(),
    st.sampled_from(DENIALS),
    text,
    st.none() | text,
    st.fixed_dictionaries(
        {},
        optional={
            "policy": policies, "peer": peers, "head": st.none() | heads, "route": st.none() | routes,
            "partner": st.none() | st.builds(Partner, text), "claims": st.none() | claims,
            "signature": st.none() | signatures, "body": st.none() | st.binary(max_size=10),
            "passed": st.lists(text, max_size=3), "client_address": addresses,
        },
    ),
)  # fmt: skip
seconds = st.floats()
statuses = st.none() | st.integers(100, 599)
requests = st.one_of(
    st.builds(RequestDecided, instants, text, decisions, seconds, statuses, st.none() | text),
    st.builds(
        RequestFinished, instants, text, decisions, st.sampled_from(Reason), text, statuses, seconds,
        st.none() | seconds, st.integers(0, 2**50),
    ),
)  # fmt: skip
events = st.one_of(
    requests,
    st.builds(
        ConnectionRefused, instants, facts, text, text, addresses, st.integers(0, 65_535), st.sampled_from(Reason),
        text, st.none() | tls,
    ),
    st.builds(
        ConnectionCut, instants, facts, text, text, addresses, st.integers(0, 65_535), st.sampled_from(Reason),
        text, st.none() | tls,
    ),
    st.builds(GateStarted, instants, facts, texts, texts),
    st.builds(GateStopped, instants, facts, text, st.integers(0, 2**40)),
    st.builds(PolicyLoaded, instants, facts, facts, text, texts),
    st.builds(PolicyRefused, instants, facts, text, texts),
    st.builds(ControlFailed, instants, facts, text, text),
    st.builds(ControlRecovered, instants, facts, text, instants, text, st.integers(0, 2**40)),
)  # fmt: skip

# What must not be there

_OWN = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@cache
def _digits(count: int) -> re.Pattern[str]:
    """Match so many digits with single separators, beginning and ending where their group does."""
    separator = r"(?:[ .-]|%2[0DEde])"
    return re.compile(rf"(?:(?<![\d%])|(?<=%2[0DEde]))(?=(\d(?:{separator}?\d){{{count - 1}}})(?!\d))")


def card_numbers_in(text: str) -> list[str]:
    """Find card numbers another way than the redaction does: every length at every place."""
    found = [match[1] for count in range(13, 20) for match in _digits(count).finditer(text)]
    bare = {number: re.sub(r"%2[0DEde]|\D", "", number) for number in found}
    return [number for number, digits in bare.items() if passes_luhn([int(digit) for digit in digits])]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@given(events)
@settings(max_examples=500, deadline=None)
def test_any_event_gives_one_valid_line_without_secrets(event: Event) -> None:
    made = line(event, 1, "origin")
    assert len(made) <= MAX_LINE + 1
    assert len(made.decode().splitlines()) == 1
    shown = [string for string in strings(orjson.loads(made)) if not _OWN.fullmatch(string)]
    assert [string for string in shown if card_numbers_in(string) or "eyJ" in string] == []


@given(requests)
@settings(max_examples=300, deadline=None)
def test_a_record_of_a_request_is_the_same_in_the_plain_way(event: RequestDecided | RequestFinished) -> None:
    assert line(event, 1, "origin") == plain.line(event, 1, "origin")


@given(text, st.integers(0, 300))
@settings(deadline=None)
def test_text_is_cleaned_as_in_the_plain_way(text: str, limit: int) -> None:
    for _ in range(2):
        assert clean(text, limit) == plain.clean(text, limit)


@given(card_numbers())
def test_a_card_number_is_found_by_the_test_itself(number: str) -> None:
    assert card_numbers_in(number)


@given(text)
@settings(deadline=None)
def test_masking_keeps_the_length_and_leaves_nothing_for_a_second_time(text: str) -> None:
    masked = mask_cards(text)
    assert len(masked) == len(text)
    assert mask_cards(masked) == masked


@given(text, st.integers(0, 300))
@settings(deadline=None)
def test_cleaned_text_is_bounded_and_printable(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit + 60
    assert cleaned.isprintable()


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_log_that_is_cut_anywhere_goes_on_without_a_gap(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with AuditLog(directory) as log:
            for event in (decided(), refused(), finished(), EVENTS["stop"]):
                log.append(event)
        path = log_files(directory)[0].path
        size = data.draw(st.integers(0, path.stat().st_size))
        whole = path.read_bytes()[:size]
        path.write_bytes(whole)
        with AuditLog(directory) as log:
            log.append(decided())
        entries = list(read(directory))
        assert [entry for entry in entries if not isinstance(entry, Entry)] == []
        assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
        assert path.read_bytes().startswith(whole[: whole.rfind(b"\n") + 1])
