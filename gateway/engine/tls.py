"""TLS of a listener: the gate's own OpenSSL context, why a handshake failed, and the facts of one that did not.

mitmproxy's own contexts take any certificate or none, so they are not used.
"""

import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Sequence

from cryptography import x509

from gateway.core.message import Instant, Tls
from gateway.core.policy import ListenerTls
from gateway.core.reasons import Reason
from gateway.pki.inspect import certificate_facts

ALPN = ("h2", "http/1.1")

REMEMBERED_CHAINS = 10_000
"""Verified chains remembered for sessions that are resumed; beyond that a client makes a full handshake."""

_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 4.2)."""

_VERIFY_CODES = {
    2: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to get issuer certificate
    9: Reason.TLS_CERTIFICATE_EXPIRED,  # not yet valid
    10: Reason.TLS_CERTIFICATE_EXPIRED,
    18: Reason.TLS_CERTIFICATE_UNTRUSTED,  # self-signed
    19: Reason.TLS_CERTIFICATE_UNTRUSTED,  # self-signed in chain
    20: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to get local issuer
    21: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to verify the leaf
    26: Reason.TLS_CERTIFICATE_PURPOSE,
}
"""OpenSSL's X509_V_ERR codes."""

_ERROR_WORDS = (
    ("HTTP_REQUEST", Reason.TLS_PLAINTEXT),
    ("HTTPS_PROXY_REQUEST", Reason.TLS_PLAINTEXT),
    ("WRONG_VERSION_NUMBER", Reason.TLS_PLAINTEXT),
    ("PACKET_LENGTH_TOO_LONG", Reason.TLS_PLAINTEXT),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Reason.TLS_NO_CERTIFICATE),
    ("UNSUPPORTED_PROTOCOL", Reason.TLS_VERSION),
    ("VERSION_TOO_LOW", Reason.TLS_VERSION),
)


class ResumptionError(Exception):
    """A session was resumed whose verified chain is not known any more."""


class ServerContext:
    """A listener's TLS context, and the chains verified under it.

    A new one is made on each reload: sessions of the old one can then not be resumed, so that a CA that was
    taken out of the trust store is out at once.
    """

    def __init__(self, settings: ListenerTls) -> None:
        """Read the files. Raises OSError or ssl.SSLError; `gateway check` explains such errors better."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _MINIMUM[settings.minimum]
        context.set_ciphers(_CIPHERS)
        context.load_cert_chain(settings.certificate, settings.key)
        context.load_verify_locations(settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if settings.client_certificate_required else ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        # Session tickets would carry a verified certificate past a reload; renegotiation and compression are
        # attacks looking for a use.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.num_tickets = 0
        context.set_alpn_protocols(list(ALPN))
        context.sni_callback = _keep_server_name
        self.context = context
        self._chain_ends: OrderedDict[bytes, Instant] = OrderedDict()

    @property
    def trusted(self) -> frozenset[bytes]:
        """The authorities that client certificates may lead to, as DER."""
        return frozenset(self.context.get_ca_certs(binary_form=True))

    def facts(self, connection: ssl.SSLObject) -> Tls:
        """Read the facts of a finished handshake.

        Raises ResumptionError for a resumed session whose chain is not remembered, and ValueError where the
        certificate that OpenSSL accepted cannot be read.
        """
        # OpenSSL's own idea of the peer certificate, never the first of a list the peer sent.
        der = connection.getpeercert(binary_form=True)
        cipher = connection.cipher()
        certificate = None
        if der is not None:
            certificate = certificate_facts(der, self._chain_end(der, connection))
        return Tls(
            version=connection.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=getattr(connection, "gateway_server_name", None),
            alpn=connection.selected_alpn_protocol(),
            certificate=certificate,
        )

    def _chain_end(self, der: bytes, connection: ssl.SSLObject) -> Instant:
        """Give the earliest end of validity in the verified chain; a resumed session brings no chain along."""
        leaf = hashlib.sha256(der).digest()
        if connection.session_reused:
            if leaf not in self._chain_ends:
                raise ResumptionError
            return self._chain_ends[leaf]
        ends = min(_not_after(link) for link in (der, *_verified_chain(connection)[1:]))
        self._chain_ends[leaf] = ends
        self._chain_ends.move_to_end(leaf)
        if len(self._chain_ends) > REMEMBERED_CHAINS:
            self._chain_ends.popitem(last=False)
        return ends


def _keep_server_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    connection.gateway_server_name = name  # type: ignore[attr-defined]


def _verified_chain(connection: ssl.SSLObject) -> Sequence[bytes]:
    get = getattr(connection, "get_verified_chain", None)  # from CPython 3.13 on
    return get() if get is not None else ()


def _not_after(der: bytes) -> Instant:
    return Instant(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())


def handshake_failure(error: BaseException) -> tuple[Reason, str]:
    """Classify why a handshake failed, with OpenSSL's own words for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFY_CODES.get(error.verify_code, Reason.TLS_CERTIFICATE_INVALID)
        return reason, f"{error.verify_message} (OpenSSL {error.verify_code})"
    if isinstance(error, ssl.SSLError):
        words = error.reason or str(error)
        for word, reason in _ERROR_WORDS:
            if word in words:
                return reason, words.lower().replace("_", " ")
        return Reason.TLS_HANDSHAKE, words.lower().replace("_", " ")
    if isinstance(error, TimeoutError) or (isinstance(error, ConnectionAbortedError) and "handshake" in str(error)):
        return Reason.TLS_TIMEOUT, "the handshake was not finished in time"
    return Reason.TLS_HANDSHAKE, "the peer closed the connection during the handshake"
