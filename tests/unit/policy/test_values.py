from collections.abc import Callable
from datetime import date
from ipaddress import ip_address, ip_network

import pytest

from gateway.policy import values as v


def refused(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(v.Unfit) as caught:
        parse(text)
    return f"{caught.value.message} ({caught.value.hint})"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (v.duration, "500ms", 0.5),
        (v.duration, "60s", 60.0),
        (v.duration, "1.5m", 90.0),
        (v.duration, "10 m", 600.0),
        (v.duration, "24h", 86_400.0),
        (v.duration, "366d", 31_622_400.0),
        (v.duration_or_zero, "0s", 0.0),
        (v.whole_seconds, "2m", 120),
        (v.size, "0B", 0),
        (v.size, "64KiB", 65_536),
        (v.size, "1MiB", 1_048_576),
        (v.size, "1 GiB", 1_073_741_824),
        (v.day, "2027-05-01", date(2027, 5, 1)),
        (v.instant, "1970-01-02", 86_400.0),
        (v.instant, "1970-01-01T00:00:01Z", 1.0),
        (v.instant, "1970-01-01T01:00:00.5+01:00", 0.5),
        (v.network, "198.51.100.0/24", ip_network("198.51.100.0/24")),
        (v.network, "198.51.100.7", ip_network("198.51.100.7/32")),
        (v.network, "0.0.0.0/0", ip_network("0.0.0.0/0")),
        (v.network, "2001:DB8::/32", ip_network("2001:db8::/32")),
        (v.network, "::1", ip_network("::1/128")),
        (v.socket_address, "127.0.0.1:8443", (ip_address("127.0.0.1"), 8443)),
        (v.socket_address, "[::1]:0", (ip_address("::1"), 0)),
        (v.host, "API.Example.COM.", "api.example.com"),
        (v.host, "[2001:DB8::1]", "[2001:db8::1]"),
        (v.host, "198.51.100.7", "198.51.100.7"),
        (v.authority, "API.vendor.example", "api.vendor.example"),
        (v.authority, "api.vendor.example:08443", "api.vendor.example:8443"),
        (v.authority, "[2001:DB8::1]", "[2001:db8::1]"),
        (v.authority, "[2001:DB8::1]:80", "[2001:db8::1]:80"),
        (v.origin, "https://psp.internal", ("https", "psp.internal", 443)),
        (v.origin, "http://127.0.0.1/", ("http", "127.0.0.1", 80)),
        (v.origin, "https://[2001:db8::1]:9000", ("https", "2001:db8::1", 9000)),
        (v.uri, "spiffe://acme.example/casino", "spiffe://acme.example/casino"),
        (v.uri, "urn:acme:casino", "urn:acme:casino"),
        (v.field_name, "X-Signature", "x-signature"),
        (v.field_text, "sha256=", "sha256="),
        (v.field_text, "HMAC ", "HMAC "),
        (v.key_id, "acme:2026/11", "acme:2026/11"),
        (v.scope, "https://psp/deposit.write", "https://psp/deposit.write"),
        (v.sha256_hex, "AB" * 32, "ab" * 32),
        (v.sha256_hex, ":".join(["Ab"] * 32), "ab" * 32),
        (v.name, "acme-casino_2.eu", "acme-casino_2.eu"),
    ],
)
def test_read(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (v.duration, "0s"),
        (v.duration, "0.0ms"),
        (v.duration, "-1s"),
        (v.duration, "1e3s"),
        (v.duration, "1w"),
        (v.duration, "1M"),
        (v.duration, "1s "),
        (v.duration, "1s\n"),
        (v.duration, "1٣s"),
        (v.duration, "367d"),
        (v.whole_seconds, "0.5s"),
        (v.size, "1kB"),
        (v.size, "1K"),
        (v.size, "1.5MiB"),
        (v.size, "2GiB"),
        (v.size, "-1B"),
        (v.day, "2027-5-1"),
        (v.day, "2027-02-29"),
        (v.day, "2027-W05-1"),
        (v.day, "20270501"),
        (v.instant, "2027-02-01T00:00:00"),
        (v.instant, "2027-02-01 00:00:00Z"),
        (v.instant, "2027-02-01T24:61:00Z"),
        (v.instant, "2027-13-01"),
        (v.network, "198.51.100.0/"),
        (v.network, "198.51.100.0/+24"),
        (v.network, "198.51.100.0/024x"),
        (v.network, "198.51.100.0/24/24"),
        (v.network, "198.51.100"),
        (v.network, "10.0.0.0/255.0.0.0"),
        (v.network, "010.0.0.0/8"),
        (v.network, "fe80::%eth0/64"),
        (v.network, "::ffff:198.51.100.7"),
        (v.network, "*"),
        (v.socket_address, "8443"),
        (v.socket_address, ":8443"),
        (v.socket_address, "[127.0.0.1]:8443"),
        (v.socket_address, "::1:8443"),
        (v.socket_address, "127.0.0.1:"),
        (v.socket_address, "127.0.0.1:٣"),
        (v.socket_address, "127.0.0.1:99999"),
        (v.socket_address, "localhost:8443"),
        (v.host, ""),
        (v.host, "a..b"),
        (v.host, "-a.example"),
        (v.host, "a.example:80"),
        (v.host, "https://a.example"),
        (v.host, "bücher.example"),
        (v.host, "[::1"),
        (v.host, "[x]"),
        (v.host, "a" * 64 + ".example"),
        (v.host, ".".join(["abcdefgh"] * 30)),
        (v.authority, ""),
        (v.authority, "a.example:"),
        (v.authority, ":80"),
        (v.authority, "a.example:0"),
        (v.authority, "a.example:65536"),
        (v.authority, "a.example:٣"),
        (v.authority, "a.example:" + "9" * 5_000),
        (v.authority, "https://a.example"),
        (v.authority, "2001:db8::1"),
        (v.authority, "a.example\r\nx: y"),
        (v.origin, "psp.internal:9000"),
        (v.origin, "//psp.internal"),
        (v.origin, "https://"),
        (v.origin, "https://psp.internal:0"),
        (v.origin, "https://psp.internal:x"),
        (v.origin, "https://psp.internal?"),
        (v.origin, "https://psp.internal#"),
        (v.origin, "https://[::1"),
        (v.origin, "https://bücher.example"),
        (v.uri, "acme"),
        (v.uri, "spiffe://acme example"),
        (v.field_name, "X Signature"),
        (v.field_name, "X-Signature:"),
        (v.field_name, "X_Signature"),
        (v.field_name, "x" * 129),
        (v.field_text, " x"),
        (v.field_text, "a  b"),
        (v.field_text, "sha256=é"),
        (v.key_id, "a b"),
        (v.key_id, "k" * 129),
        (v.scope, 'a"b'),
        (v.scope, "a b"),
        (v.sha256_hex, "ab" * 31),
        (v.sha256_hex, "a:b" * 22),
        (v.sha256_hex, "zz" * 32),
        (v.name, "-a"),
        (v.name, "a b"),
        (v.name, "a/b"),
        (v.name, "é"),
        (v.name, "a\n"),
        (v.name, "a" * 65),
    ],
)
def test_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(v.Unfit):
        parse(text)


def test_a_number_without_unit_is_told_from_nonsense() -> None:
    assert refused(v.duration, "60").startswith("`60` has no unit")
    assert refused(v.duration, "soon").startswith("`soon` is no duration")


def test_the_right_network_is_named() -> None:
    assert "`198.51.100.0/24`" in refused(v.network, "198.51.100.77/24")


def test_credentials_in_a_url_are_not_repeated() -> None:
    assert "hunter2" not in refused(v.origin, "https://user:hunter2@psp.internal")
    assert "hunter2" not in refused(v.origin, "https://user:hunter2@psp.internal:port")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("operater", "operator"),
        ("OPERATOR", "operator"),
        ("wallet_hmac", "wallet-hmac"),
        ("something else", None),
        ("", None),
        ("1.1", None),
    ],
)
def test_near_misses(word: str, meant: str | None) -> None:
    assert v.near(word, ["operator", "wallet-hmac", "1.2"]) == meant


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("localhost.evil.example", False)],
)
def test_what_is_this_machine(host: str, loopback: bool) -> None:
    assert v.is_loopback(host) is loopback


@pytest.mark.parametrize("text", ["https://idp.example/jwks", "http://[::1]:8080/a?b=c", "https://idp.example"])
def test_a_url_stays_as_written(text: str) -> None:
    assert v.url(text) == text


@pytest.mark.parametrize(
    "text", ["ftp://idp.example", "https://", "https://a@idp.example", "https://idp.example/a b", "https://x:0/", "//x"]
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(v.Unfit):
        v.url(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [("a@b.example", "a@b.example"), ("Pay.ments+x@ACME.Example", "Pay.ments+x@acme.example")],
)
def test_an_email_address(text: str, address: str) -> None:
    assert v.email_address(text) == address


@pytest.mark.parametrize(
    "text", ["acme.example", "@acme.example", "a b@acme.example", "a@b@acme.example", "a@[127.0.0.1]"]
)
def test_what_is_no_email_address(text: str) -> None:
    with pytest.raises(v.Unfit):
        v.email_address(text)
