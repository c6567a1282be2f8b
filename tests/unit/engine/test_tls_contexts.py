import ssl
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.policy import ListenerTls, NamedCertificate
from gateway.engine.tls_contexts import server_contexts
from tests.engine import pki

MOZILLA = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
}  # fmt: skip
"""The suites of the profile `intermediate`, Server Side TLS 6.0."""


@pytest.fixture
def settings(tmp_path: Path) -> ListenerTls:
    return pki.write(tmp_path)


def test_suites_are_those_of_mozillas_profile_and_the_client_chooses(settings: ListenerTls) -> None:
    context, _ = server_contexts(settings)
    assert {cipher["name"] for cipher in context.get_ciphers()} == MOZILLA
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    modern, _ = server_contexts(replace(settings, minimum="1.3"))
    assert modern.minimum_version == ssl.TLSVersion.TLSv1_3


def test_keys_below_112_bits_are_refused_by_openssl(settings: ListenerTls) -> None:
    context, _ = server_contexts(settings)
    assert context.security_level >= 2


# A certificate for each name


@pytest.fixture
def named(settings: ListenerTls, tmp_path: Path) -> ListenerTls:
    other = NamedCertificate(tmp_path / "upstream.pem", tmp_path / "upstream.key", ("api.example", "*.play.example"))
    return replace(settings, certificates=(other,))


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("api.example", True), ("API.Example", True), ("api.example.", True), ("one.play.example", True),
        ("play.example", False), ("one.two.play.example", False), ("else.example", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_the_certificate_is_that_of_the_name_asked_for(named: ListenerTls, asked: str | None, other: bool) -> None:
    context, others = server_contexts(named)
    connection: Any = SimpleNamespace(context=context)
    context.sni_callback(connection, asked, context)  # type: ignore[misc]
    assert connection.gateway_server_name == asked
    assert connection.context is (others["api.example"] if other else context)


def test_every_certificate_is_served_by_the_same_rules(named: ListenerTls) -> None:
    named = replace(named, client_certificate_required=False, minimum="1.3", alpn=("http/1.1",))
    context, others = server_contexts(named)
    for each in {context, *others.values()}:
        assert each.verify_mode == ssl.CERT_OPTIONAL
        assert each.verify_flags & ssl.VERIFY_X509_STRICT
        assert each.minimum_version == ssl.TLSVersion.TLSv1_3
        assert each.get_ca_certs() == context.get_ca_certs() != []
        assert each.options == context.options
