"""What is remembered or read at once, for speed, is what the plain way gives."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from ipaddress import ip_address, ip_network
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import memory
from limits.strategies import FixedWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from gateway.controls.claims import ClaimRules
from gateway.controls.verified import VerifiedToken
from gateway.core import syntax
from gateway.core.certificates import CertificateMatch
from gateway.core.chain import RateLimit, Take, TakeRate
from gateway.core.forwarding import HOP_BY_HOP, field_text, response_fields
from gateway.core.message import Address, Certificate, Headers, Instant
from gateway.core.networks import NetworkSet, address_text
from gateway.core.policy import IdentityFields, Partner
from gateway.core.reasons import Denied
from gateway.core.routing import _Root, _walk
from gateway.state.rates import Rates
from tests import world
from tests.world import NOW

START = 1_795_352_400.0
UNTIMED = settings(deadline=None)

OCTETS = st.sampled_from([b"\n", b"\r", b"\0", b"\t", b" ", b"a", b"~", b"\x7f", b"\x80", b"\xff"])
VALUES = st.lists(OCTETS, max_size=6).map(b"".join)
NAMES = st.sampled_from([b"Host", b"host", b"x-a", b"X-B", b"x_c", b"x d", b""]) | VALUES
PATHS = st.lists(st.sampled_from([b"/", b"a", b".", b"%2e", b"%C3%A9", b"%ff", b";", b" "]), max_size=6).map(b"".join)
HOSTS = st.text(st.sampled_from("Aa.:-[]0é@"), max_size=8)
FIELD_NAMES = st.sampled_from(["x-a", "x-b", "connection", "te", "X-A", "Connection", "RateLimit", "ratelimit"])
FIELD_VALUES = st.sampled_from(["1", "close, X-B", "x-a", ""])
TEXTS = st.text(max_size=6)
SEGMENTS = st.lists(st.sampled_from(["a", "b", "{x}", ""]), min_size=1, max_size=3)
ADDRESSES = st.sampled_from([*map(ip_address, ("0.0.0.1", "0.0.0.2", "10.0.0.1", "255.0.0.9", "::", "::1", "a00:1::"))])
SANS = st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple)
MATCHES = st.builds(
    CertificateMatch, san_uri=st.sampled_from([None, "a", "b"]), san_dns=st.sampled_from([None, "a", "b"]),
    subject=st.sampled_from(["CN=casino,O=Acme", "CN=a"]),
)  # fmt: skip
CERTIFICATES = st.builds(
    lambda uris, names: world.certificate(
        san_uri=uris, san_dns=names, fingerprint=sha256(repr((uris, names)).encode()).hexdigest()
    ),
    SANS,
    SANS,
)
TIMES = st.fixed_dictionaries(
    {
        "iat": st.sampled_from([NOW - 60, NOW + 5]),
        "nbf": st.sampled_from([None, NOW - 60, NOW + 5, NOW + 20]),
        "exp": st.sampled_from([NOW + 30, NOW + 45]),
    }
)
LIMITS = st.builds(RateLimit, st.just("limit"), st.integers(1, 9), st.sampled_from([1, 7, 60]), st.booleans())
STEPS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.3, 7.0, 30.0, 59.9, 60.0, 61.0, 119.0, 130.0])


def outcome[T](of: Callable[[], T]) -> T | str:
    """Give what is returned, or what the refusal says."""
    try:
        return of()
    except Denied as denied:
        return str(denied)


# Reading


@given(st.sampled_from(["1.1", "2"]), st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_fields_read_at_once_are_those_read_one_by_one(version: str, fields: list[tuple[bytes, bytes]]) -> None:
    at_once = outcome(lambda: syntax.read_fields(version, fields).fields)
    assert at_once == outcome(lambda: tuple(syntax._read_field(version, *field) for field in fields))


@given(NAMES, PATHS, HOSTS)
def test_names_paths_and_hosts_are_read_alike_each_time(name: bytes, path: bytes, host: str) -> None:
    for _ in range(2):
        assert outcome(lambda: syntax._NAMES[name]) == outcome(lambda: syntax._read_name(name))
        assert outcome(lambda: syntax._PATHS[path]) == outcome(lambda: syntax._read_path(path))
        assert outcome(lambda: syntax._HOSTS[host]) == outcome(lambda: syntax._read_authority(host))


@given(st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=5), FIELD_NAMES)
def test_headers_are_those_of_the_lines(lines: list[tuple[str, str]], name: str) -> None:
    headers, values = Headers(lines), tuple(value for given_name, value in lines if given_name == name)
    assert headers.fields == tuple(lines)
    assert headers.all(name) == values
    assert (name in headers) == bool(values)
    single = outcome(lambda: headers.single(name))
    assert single == (values[0] if values else None) if len(values) < 2 else "stands" in str(single)


# Deciding


@given(st.lists(SEGMENTS.map(lambda names: "/" + "/".join(names)), max_size=5, unique=True), SEGMENTS)
def test_a_path_is_looked_up_as_the_tree_has_it(templates: list[str], path: list[str]) -> None:
    root = _Root[str]()
    for template in templates:
        root.add(frozenset({"GET"}), template, template)
    assert root.find("/" + "/".join(path)) == _walk(root.node, path, 0)


@given(st.lists(st.tuples(ADDRESSES, st.integers(0, 32)), max_size=4), ADDRESSES)
def test_an_address_is_in_a_set_that_has_its_network(given_networks: list[tuple[Address, int]], one: Address) -> None:
    networks = [ip_network((address, prefix), strict=False) for address, prefix in given_networks]
    assert (one in NetworkSet(networks)) == any(one in network for network in networks)


@given(st.ip_addresses())
def test_an_address_is_written_alike_each_time(address: Address) -> None:
    assert address_text(address) == address_text(address) == str(address)


@given(st.lists(MATCHES, max_size=4), st.lists(CERTIFICATES, max_size=4))
def test_a_certificate_stands_for_the_same_partners_each_time(
    matches: list[CertificateMatch], certificates: list[Certificate]
) -> None:
    partners = {f"p{index}": Partner(f"p{index}", certificates=(match,)) for index, match in enumerate(matches)}
    policy = world.policy(partners=partners)
    for certificate in certificates * 2:
        fitting = {name for name, partner in partners.items() if partner.certificates[0].fits(certificate)}
        assert policy.partners_of(certificate) == fitting


@given(st.lists(st.tuples(st.sampled_from([NOW - 80, NOW - 70, NOW, NOW + 50]), st.booleans()), max_size=6), TIMES)
def test_a_remembered_token_is_judged_as_a_new_one(uses: list[tuple[Instant, bool]], times: dict[str, object]) -> None:
    claims = world.claims(**times)
    token = VerifiedToken("ES256", claims, Instant(NOW + 60))
    strict, wide = (ClaimRules(world.issuer(), world.AUDIENCE, lifetime) for lifetime in (100.0, None))
    for now, is_strict in uses:
        rules = strict if is_strict else wide
        assert outcome(partial(token.claims_by, rules, now)) == outcome(partial(rules.check, claims, now))


@UNTIMED
@given(st.lists(LIMITS, min_size=1, max_size=2), st.lists(st.tuples(STEPS, st.integers(1, 3)), max_size=12))
def test_requests_are_counted_as_the_library_counts_them(
    limits: list[RateLimit], requests: list[tuple[float, int]]
) -> None:
    rates, storage, now = Rates(), Rates()._storage, START
    limiters: list[RateLimiter] = [
        (SlidingWindowCounterRateLimiter if limit.sliding else FixedWindowRateLimiter)(storage) for limit in limits
    ]
    with patch.object(memory, "time", SimpleNamespace(time=lambda: now)):
        for elapsed, cost in requests:
            now += elapsed
            taken = rates.take(
                TakeRate(tuple(Take(limit, (str(index),), cost) for index, limit in enumerate(limits))), Instant(now)
            )
            items = [RateLimitItemPerSecond(limit.amount, limit.window) for limit in limits]
            counted = list(zip(limiters, items, map(str, range(len(limits))), strict=True))
            free = [one.test(item, key, cost=cost) for one, item, key in counted]
            if all(free) or (len(limits) == 1 and cost == 1):  # what costs more is taken whole, or not at all
                free = [one.hit(item, key, cost=cost) for one, item, key in counted]
            remaining = [one.get_window_stats(item, key).remaining for one, item, key in counted]
            assert [(state.allowed, state.remaining) for state in taken.states] == list(
                zip(free, remaining, strict=True)
            )
            assert taken.allowed == all(free)


# Forwarding


@given(TEXTS, st.frozensets(TEXTS, max_size=2), st.lists(TEXTS, max_size=2).map(tuple), TEXTS)
def test_a_field_is_covered_alike_each_time(
    prefix: str, names: frozenset[str], prefixes: tuple[str, ...], name: str
) -> None:
    identity = IdentityFields(prefix, names, prefixes)
    covered = name in names or any(name.startswith(one) for one in (prefix, *prefixes))
    assert [identity.covers(name), identity.covers(name)] == [covered, covered]


@given(*[st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=4)] * 2)
def test_a_response_has_the_fields_that_nobody_removes(
    fields: list[tuple[str, str]], added: list[tuple[str, str]]
) -> None:
    named = [value.lower().split(",") for name, value in fields if name.lower() == "connection"]
    removed = {*HOP_BY_HOP, *(name for name, _ in added), *(option.strip() for options in named for option in options)}
    assert response_fields(200, fields, added) == [line for line in fields if line[0].lower() not in removed] + added


@given(st.text(max_size=8))
def test_text_is_written_char_by_char(text: str) -> None:
    plain = [char if "!" <= char <= "~" and char != "%" else quote(char, safe="") for char in text]
    assert field_text(text) == "".join(plain)
