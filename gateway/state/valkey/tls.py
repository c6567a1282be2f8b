"""TLS towards the servers of a store: chain and name verified, TLS 1.2 or newer."""

import ssl

from gateway.core.stores import ValkeySettings


def context_of(settings: ValkeySettings) -> ssl.SSLContext:
    """Make the context. Raises OSError or ssl.SSLError."""
    context = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.client is not None:
        # An empty passphrase: OpenSSL would ask the terminal for one.
        context.load_cert_chain(settings.client.certificate, settings.client.key, password="")
    return context
