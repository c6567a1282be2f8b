"""The OpenSSL contexts of a listener: versions, suites and groups by profile, and a certificate for each name.

The profiles are Mozilla's (Server Side TLS, version 6.0).
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import PurePath

from gateway.core.policy import ListenerTls
from gateway.engine.openssl import Context

_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_SUITES = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 4.2). For TLS 1.3 OpenSSL has the three that
Mozilla lists."""

_GROUPS = "X25519MLKEM768:X25519:prime256v1:secp384r1"
_GROUPS_BEFORE = "X25519:prime256v1:secp384r1"
"""For an OpenSSL that does not know ML-KEM: before 3.5."""


def server_contexts(settings: ListenerTls) -> tuple[ssl.SSLContext, Mapping[str, ssl.SSLContext]]:
    """Make the context that a handshake begins with, and by name those of further certificates.

    The names are in lower case; one that begins with `*.` stands for all with one more label in its place.
    Raises OSError or ssl.SSLError.
    """
    others: dict[str, ssl.SSLContext] = {}
    for served in settings.certificates:
        context = _context(settings, served.certificate, served.key)
        others.update(dict.fromkeys(served.names, context))
    first = _context(settings, settings.certificate, settings.key)
    first.sni_callback = _choosing(others)
    return first, others


def _context(settings: ListenerTls, certificate: PurePath, key: PurePath) -> ssl.SSLContext:
    made = Context()
    context = made.context
    context.minimum_version = _MINIMUM[settings.minimum]
    context.set_ciphers(_SUITES)
    made.set_groups(_GROUPS, _GROUPS_BEFORE)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(settings.client_ca)
    context.verify_mode = ssl.CERT_REQUIRED if settings.client_certificate_required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    # Session tickets would carry a verified certificate past a reload; renegotiation and compression are
    # attacks looking for a use.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # All suites are good ones: the client knows best which its hardware is fast at.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(list(settings.alpn))
    return context


def _choosing(others: Mapping[str, ssl.SSLContext]) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    """Give what keeps the name that a client asks for, and answers it with the certificate of that name."""

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.gateway_server_name = name  # type: ignore[attr-defined]
        if name is not None and others:
            asked = name.lower().removesuffix(".")
            chosen = others.get(asked) or others.get("*." + asked.partition(".")[2])
            if chosen is not None:
                connection.context = chosen

    return choose
