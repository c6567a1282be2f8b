from ipaddress import ip_address

import pytest

from gateway.core.policy import IdentityFields, Limits, StateSettings
from gateway.policy.listeners import read_identity, read_listeners, read_state
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
    assert read_state(reader(), None) == StateSettings()


def test_state() -> None:
    assert read_state(reader(), node("{replay_entries: 50_000}")) == StateSettings(50_000)


@pytest.mark.parametrize(
    "text", ["{strip: [host]}", "{strip: [transfer-encoding]}", "{strip: ['*']}", "{strip: ['x*']}"]
)
def test_fields_that_cannot_be_stripped(text: str) -> None:
    used = reader()
    read_identity(used, node(text))
    assert len(problems(used)) == 1
