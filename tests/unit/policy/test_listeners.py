from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.core.policy import IdentityFields, Limits
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.files import write_private
from gateway.policy.listeners import read_identity, read_listeners
from tests.policy.files import NOW
from tests.policy.reading import definition, node, problems, reader


def test_a_listener_without_settings_has_the_defaults_of_the_core(tls: str) -> None:
    used = reader()
    listener = read_listeners(used, {"main": definition(f"{{address: '[::1]:8443', {tls}}}")})["main"]
    assert used.problems == []
    assert (listener.name, listener.address, listener.port) == ("main", "::1", 8443)
    assert (listener.tls.minimum, listener.tls.client_certificate_required) == ("1.2", True)
    assert listener.limits == Limits()
    assert not listener.proxy_protocol
    assert not listener.trusted_proxies


def test_every_setting_of_a_listener(tls: str) -> None:
    tls = tls.removesuffix("}") + ", minimum: 1.3, client_certificate: optional}"
    limits = (
        "limits: {head: 32KiB, fields: 50, connections: 100, handshake_timeout: 1s, head_timeout: 2s, "
        "body_timeout: 3s, idle_timeout: 1m}"
    )
    used = reader()
    text = f"{{address: '10.0.0.1:443', {tls}, trusted_proxies: [10.0.0.0/8], proxy_protocol: required, {limits}}}"
    listener = read_listeners(used, {"main": definition(text)})["main"]
    assert used.problems == []
    assert (listener.tls.minimum, listener.tls.client_certificate_required) == ("1.3", False)
    assert ip_address("10.1.2.3") in listener.trusted_proxies
    assert listener.proxy_protocol
    assert listener.limits == Limits(32_768, 50, 100, 1.0, 2.0, 3.0, 60.0)


@pytest.mark.parametrize(
    ("one", "other", "free"),
    [
        ("127.0.0.1:8443", "127.0.0.1:8443", False),
        ("127.0.0.1:8443", "0.0.0.0:8443", False),
        ("'[::]:8443'", "127.0.0.1:8443", False),
        ("127.0.0.1:8443", "127.0.0.2:8443", True),
        ("127.0.0.1:8443", "127.0.0.1:9443", True),
        ("127.0.0.1:0", "127.0.0.1:0", True),
    ],
)
def test_two_listeners_do_not_share_an_address(tls: str, one: str, other: str, free: bool) -> None:
    used = reader()
    read_listeners(
        used,
        {
            "one": definition(f"{{address: {one}, {tls}}}"),
            "other": definition(f"{{address: {other}, {tls}}}"),
        },
    )
    assert (used.problems == []) is free


def test_identity_adds_to_what_is_stripped_anyway() -> None:
    identity = read_identity(reader(), node("{prefix: X-Acme-, strip: [X-User, x-sso-*]}"))
    assert identity.prefix == "x-acme-"
    for name in (
        "x-acme-partner",
        "x-user",
        "x-sso-id",
        "x-gateway-partner",
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
    ):
        assert identity.covers(name)
    assert not identity.covers("x-username")


def test_without_sections_the_defaults_of_the_core_count() -> None:
    assert read_identity(reader(), None) == IdentityFields()


@pytest.mark.parametrize(
    "text", ["{strip: [host]}", "{strip: [transfer-encoding]}", "{strip: ['*']}", "{strip: ['x*']}"]
)
def test_fields_that_cannot_be_stripped(text: str) -> None:
    used = reader()
    read_identity(used, node(text))
    assert len(problems(used)) == 1


# TLS


def complaints(tls: str, more: str) -> list[str]:
    used = reader()
    read_listeners(used, {"main": definition(f"{{address: '127.0.0.1:1', {tls.removesuffix('}')}, {more}}}}}")})
    return problems(used)


@pytest.mark.parametrize(
    ("more", "minimum", "alpn"),
    [
        ("profile: intermediate", "1.2", ("h2", "http/1.1")),
        ("profile: modern", "1.3", ("h2", "http/1.1")),
        ('profile: intermediate, minimum: "1.3"', "1.3", ("h2", "http/1.1")),
        ("alpn: [http/1.1]", "1.2", ("http/1.1",)),
    ],
)
def test_profiles_and_protocols(tls: str, more: str, minimum: str, alpn: tuple[str, ...]) -> None:
    used = reader()
    text = f"{{address: '127.0.0.1:1', {tls.removesuffix('}')}, {more}}}}}"
    listener = read_listeners(used, {"main": definition(text)})["main"]
    assert used.problems == []
    assert (listener.tls.minimum, listener.tls.alpn) == (minimum, alpn)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("profile: old", "`old` is no profile"),
        ('profile: modern, minimum: "1.2"', "the profile `modern` begins with 1.3"),
        ("alpn: [h3]", "`h3` is no protocol of the gate (expected h2 or http/1.1)"),
        ("alpn: []", "an empty list of protocols"),
        ("certificates: [{}]", "`certificate` is missing"),
        ("certificates: {}", "expected a list of certificates"),
    ],
)
def test_what_does_not_fit_of_tls(tls: str, more: str, said: str) -> None:
    assert any(said in line for line in complaints(tls, more))


def test_further_certificates_by_their_names(tls: str, certs: Path) -> None:
    more = f"certificates: [{{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}]"
    used = reader()
    text = f"{{address: '127.0.0.1:1', {tls.removesuffix('}')}, {more}}}}}"
    (named,) = read_listeners(used, {"main": definition(text)})["main"].tls.certificates
    assert used.problems == []
    assert (named.certificate, named.names) == (certs / "gateway.pem", ("localhost",))


def test_two_certificates_of_one_name_are_told_of(tls: str, certs: Path) -> None:
    one = f"{{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}"
    (line,) = complaints(tls, f"certificates: [{one}, {one}]")
    assert "`localhost` is a name of another certificate too" in line


def test_a_certificate_that_nobody_can_ask_for_is_told_of(tls: str, tmp_path: Path) -> None:
    made = Authority.root("CA", Validity.around(NOW, days=30)).issue(
        Names("gate"), Purpose.SERVER, Validity.around(NOW, days=1)
    )
    write_private(tmp_path / "gate.key", made.key_pem())
    (tmp_path / "gate.pem").write_bytes(made.certificate_pem())
    (line,) = complaints(tls, f"certificates: [{{certificate: {tmp_path}/gate.pem, key: {tmp_path}/gate.key}}]")
    assert "the certificate has no DNS name" in line
