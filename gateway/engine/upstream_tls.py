"""TLS towards upstreams: chain and name verified, and the gate's own certificate presented where the policy has one."""

import ssl
from collections.abc import Mapping
from pathlib import PurePath

from gateway.core.policy import ClientCertificate, Upstream


class UpstreamTls:
    """TLS contexts towards upstreams: chain to the upstream's CAs (or the system's), and its name, verified.

    The files are read once: a renewed certificate counts from the reload on, which makes a new one of these.
    """

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        """Read the files of CAs, certificates and keys. Raises OSError or ssl.SSLError."""
        self._contexts: dict[tuple[PurePath | None, ClientCertificate | None], ssl.SSLContext] = {}
        for upstream in upstreams.values():
            self.context(upstream)

    def context(self, upstream: Upstream) -> ssl.SSLContext | None:
        """Give the context for `upstream`; None where it speaks plain HTTP. Raises OSError or ssl.SSLError."""
        if upstream.scheme != "https":
            return None
        own = upstream.client
        key = upstream.ca, own
        if key not in self._contexts:
            context = ssl.create_default_context(cafile=None if upstream.ca is None else str(upstream.ca))
            context.set_alpn_protocols(["http/1.1"])
            if own is not None:
                # An empty passphrase: OpenSSL would ask the terminal for one.
                context.load_cert_chain(own.certificate, own.key, password="")
            self._contexts[key] = context
        return self._contexts[key]
