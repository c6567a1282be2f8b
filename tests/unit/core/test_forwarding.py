import pytest

from gateway.core.exchange import Exchange
from gateway.core.facts import Claims, VerifiedSignature
from gateway.core.forwarding import (
    HOP_BY_HOP,
    field_lines,
    field_text,
    passed_back,
    response_fields,
    upstream_fields,
    upstream_lines,
)
from gateway.core.message import Instant
from gateway.core.policy import IdentityFields
from tests import world
from tests.world import NOW, World


def verified(**changes: str) -> Exchange:
    """Give an exchange whose caller is beyond doubt, with changed fields."""
    exchange = World(fields=changes).exchange()
    exchange.client_address = world.ADDRESS
    exchange.partner = world.partner()
    exchange.claims = Claims("operator", "acme backend", None, frozenset(), NOW, Instant(NOW + 60), {})
    exchange.signature = VerifiedSignature(world.SIGNING_KEY_ID, NOW, "nonce-1", b"", Instant(NOW + 60))
    return exchange


class TestTowardsUpstream:
    def test_the_gate_says_what_it_verified(self) -> None:
        assert upstream_fields(verified(), "request-1")[-7:] == [
            ("x-gateway-request-id", "request-1"),
            ("x-gateway-client-address", "198.51.100.7"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-proto", "https"),
            ("x-gateway-partner", world.PARTNER),
            ("x-gateway-token-subject", "acme%20backend"),
            ("x-gateway-signing-key", world.SIGNING_KEY_ID),
        ]

    def test_lines_are_the_fields(self) -> None:
        for exchange in (verified(), World().exchange(), verified(**{"x-gateway-partner": "forged", "te": "trailers"})):
            assert upstream_lines(exchange, "request-1") == field_lines(upstream_fields(exchange, "request-1"))

    def test_what_was_said_of_one_caller_is_not_said_of_another(self) -> None:
        one, other = verified(), verified()
        other.policy = one.policy
        other.signature = other.claims = None
        other.marks = (world.PARTNER,)
        for _ in range(2):
            assert ("x-gateway-signing-key", world.SIGNING_KEY_ID) in upstream_fields(one, "request-1")
            names = [name for name, _ in upstream_fields(other, "request-1")]
            assert names[-2:] == ["x-gateway-partner", "x-gateway-marks"]

    def test_what_was_not_verified_is_not_said(self) -> None:
        names = [name for name, _ in upstream_fields(World().exchange(), "request-1")]
        assert not {"x-gateway-partner", "x-gateway-token-subject", "x-gateway-signing-key"} & set(names)

    def test_the_callers_fields_keep_their_order_after_host(self) -> None:
        names = [name for name, _ in upstream_fields(verified(), "request-1")]
        callers = ["content-type", "authorization", "x-key-id", "x-timestamp", "x-nonce", "x-signature"]
        assert names[: len(callers) + 1] == ["host", *callers]

    def test_host_is_the_callers(self) -> None:
        assert upstream_fields(verified(host="API.psp.example:8443"), "request-1")[0] == (
            "host",
            "API.psp.example:8443",
        )

    def test_an_upstream_may_be_known_by_another_host(self) -> None:
        exchange = verified()
        exchange.route = world.route(upstream=world.upstream(authority="api.vendor.example:8443"))
        hosts = [line for line in upstream_fields(exchange, "request-1") if line[0] == "host"]
        assert hosts == [("host", "api.vendor.example:8443")]

    @pytest.mark.parametrize(
        "name",
        [
            "x-gateway-partner",
            "x-gateway-anything",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "forwarded",
            "x-real-ip",
            "x-client-cert-subject",
            "x-ssl-client-verify",
        ],
    )
    def test_a_callers_identity_fields_are_removed(self, name: str) -> None:
        assert (name, "forged") not in upstream_fields(verified(**{name: "forged"}), "request-1")

    @pytest.mark.parametrize("name", sorted(HOP_BY_HOP - {"connection", "transfer-encoding"}))
    def test_hop_by_hop_fields_are_removed(self, name: str) -> None:
        assert name not in dict(upstream_fields(verified(**{name: "value"}), "request-1"))

    @pytest.mark.parametrize(
        ("name", "value"), [("connection", "close"), ("content-length", "66"), ("expect", "100-continue")]
    )
    def test_framing_is_left_to_whoever_writes_the_message(self, name: str, value: str) -> None:
        assert name not in dict(upstream_fields(verified(**{name: value}), "request-1"))

    @pytest.mark.parametrize("name", ["x-forwarded-for", "x-forwarded-proto", "x-acme-partner"])
    def test_what_the_gate_sets_stands_once_whatever_the_policy_lists(self, name: str) -> None:
        exchange = verified(**{name: "forged"})
        identity = IdentityFields(prefix="x-acme-", names=frozenset(), prefixes=())
        exchange.policy = world.policy(identity=identity)
        values = [value for given, value in upstream_fields(exchange, "request-1") if given == name]
        assert len(values) == 1
        assert values != ["forged"]


class TestTowardsTheClient:
    def test_hop_by_hop_fields_are_removed(self) -> None:
        fields = [("Date", "now"), ("Connection", "close"), ("Transfer-Encoding", "chunked"), ("TE", "trailers")]
        assert response_fields(200, fields, []) == [("Date", "now")]

    def test_fields_that_connection_names_are_removed(self) -> None:
        fields = [("X-Hop", "1"), ("connection", "close, x-hop"), ("X-End", "2")]
        assert response_fields(200, fields, []) == [("X-End", "2")]

    def test_the_gates_own_field_replaces_the_upstreams(self) -> None:
        fields = [("RateLimit", "upstream"), ("Date", "now")]
        assert response_fields(200, fields, [("ratelimit", "gate")]) == [("Date", "now"), ("ratelimit", "gate")]

    @pytest.mark.parametrize(("status", "sent"), [(204, False), (101, False), (200, True), (304, True)])
    def test_a_length_goes_on_where_the_status_allows_one(self, status: int, sent: bool) -> None:
        fields = [("Content-Length", "5")]
        assert response_fields(status, fields, []) == (fields if sent else [])

    def test_bytes_and_text_are_read_alike(self) -> None:
        fields = [("X-Hop", "1"), ("Connection", "x-hop, \xe9"), ("X-End", "2"), ("Server", "a")]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        assert passed_back(200, fields, [("server", "b")]) == [("x-end", ("X-End", "2"))]
        assert passed_back(200, raw, [("server", "b")]) == [("x-end", (b"X-End", b"2"))]

    def test_the_gates_own_fields_may_repeat(self) -> None:
        own = [("set-cookie", "a"), ("set-cookie", "b")]
        assert response_fields(200, [], own) == own


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("acme-backend", "acme-backend"),
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("a\r\nx: y", "a%0D%0Ax:%20y"),
        ("\0\x7f", "%00%7F"),
        ("é", "%C3%A9"),
        ("😀", "%F0%9F%98%80"),
        ("", ""),
    ],
)
def test_text_becomes_visible_ascii(text: str, value: str) -> None:
    assert field_text(text) == value
