"""TLS of a listener: the gate's own OpenSSL context, why a handshake failed, and the facts of one that did not.

mitmproxy's own contexts take any certificate or none, so they are not used.
"""

import _ssl
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Sequence

from gateway.core.message import Tls
from gateway.core.policy import ListenerTls
from gateway.core.reasons import Denied, Reason
from gateway.engine.openssl import OfferRefused
from gateway.engine.tls_contexts import server_contexts
from gateway.pki.chain import Chain

REMEMBERED_CHAINS = 10_000
"""Verified chains remembered, some 5 KB each: for sessions that are resumed (beyond that a client makes a full
handshake), and so that a certificate is read once, not at each handshake."""

_VERIFY_CODES = {
    2: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to get issuer certificate
    9: Reason.TLS_CERTIFICATE_EXPIRED,  # not yet valid
    10: Reason.TLS_CERTIFICATE_EXPIRED,
    18: Reason.TLS_CERTIFICATE_UNTRUSTED,  # self-signed
    19: Reason.TLS_CERTIFICATE_UNTRUSTED,  # self-signed in chain
    20: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to get local issuer
    21: Reason.TLS_CERTIFICATE_UNTRUSTED,  # unable to verify the leaf
    26: Reason.TLS_CERTIFICATE_PURPOSE,
    22: Reason.TLS_CERTIFICATE_CHAIN,  # too long
    25: Reason.TLS_CERTIFICATE_CHAIN,  # path length exceeded
    32: Reason.TLS_CERTIFICATE_CHAIN,  # an issuer without keyCertSign
    47: Reason.TLS_CERTIFICATE_CHAIN,  # name not among those permitted
    48: Reason.TLS_CERTIFICATE_CHAIN,  # name among those excluded
    79: Reason.TLS_CERTIFICATE_CHAIN,  # an issuer that is no CA
    66: Reason.TLS_CERTIFICATE_WEAK,  # key of the client's certificate too small
    67: Reason.TLS_CERTIFICATE_WEAK,  # key of a CA too small
    68: Reason.TLS_CERTIFICATE_WEAK,  # digest too weak
}
"""OpenSSL's X509_V_ERR codes."""

_ERROR_WORDS = (
    ("HTTP_REQUEST", Reason.TLS_PLAINTEXT),
    ("HTTPS_PROXY_REQUEST", Reason.TLS_PLAINTEXT),
    ("WRONG_VERSION_NUMBER", Reason.TLS_PLAINTEXT),
    ("PACKET_LENGTH_TOO_LONG", Reason.TLS_PLAINTEXT),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Reason.TLS_NO_CERTIFICATE),
    ("EXCESSIVE_MESSAGE_SIZE", Reason.TLS_CERTIFICATE_COSTLY),
    ("UNSUPPORTED_PROTOCOL", Reason.TLS_VERSION),
    ("VERSION_TOO_LOW", Reason.TLS_VERSION),
)


class ServerContext:
    """A listener's TLS context, and the chains verified under it.

    A new one is made on each reload: sessions of the old one can then not be resumed, so that a CA that was
    taken out of the trust store is out at once.
    """

    def __init__(self, settings: ListenerTls) -> None:
        """Read the files. Raises OSError or ssl.SSLError; `gateway check` explains such errors better."""
        self.context, self.others = server_contexts(settings)
        """The context that handshakes begin with, and those of further certificates by their names."""
        self._chains: OrderedDict[bytes, Chain] = OrderedDict()
        self.trusted = frozenset(self.context.get_ca_certs(binary_form=True))
        """The authorities that client certificates may lead to, as DER."""

    def facts(self, connection: ssl.SSLObject, chain: Chain | None) -> Tls:
        """Read the facts of a finished handshake, in which `chain` was verified."""
        cipher = connection.cipher()
        return Tls(
            version=connection.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=getattr(connection, "gateway_server_name", None),
            alpn=connection.selected_alpn_protocol(),
            certificate=None if chain is None else chain.facts,
        )

    def chain(self, connection: ssl.SSLObject) -> Chain | None:
        """Give the chain that OpenSSL verified; None where the client showed no certificate.

        Raises Denied(TLS_RESUMPTION) for a resumed session whose chain is not remembered, (TLS_CERTIFICATE_WEAK) for a
        chain that can be forged, and (TLS_CERTIFICATE_INVALID) for one that OpenSSL accepted and that cannot be read.
        """
        # OpenSSL's own idea of the peer certificate, never the first of a list the peer sent.
        der = connection.getpeercert(binary_form=True)
        if der is None:
            return None
        leaf = hashlib.sha256(der).digest()
        known = self._chains.get(leaf)
        if connection.session_reused:
            if known is None:
                raise Denied(Reason.TLS_RESUMPTION, "the chain verified before is not remembered")
            return known
        ders = (der, *_verified_chain(connection)[1:])
        if known is None or known.ders != ders:
            known = self._chains[leaf] = _read(ders)
        self._chains.move_to_end(leaf)
        if len(self._chains) > REMEMBERED_CHAINS:
            self._chains.popitem(last=False)
        return known


def _read(ders: Sequence[bytes]) -> Chain:
    try:
        chain = Chain.read(ders)
    except ValueError as error:
        raise Denied(Reason.TLS_CERTIFICATE_INVALID, str(error)) from error
    objection = chain.objection()
    if objection is not None:
        raise Denied(Reason.TLS_CERTIFICATE_INVALID, objection)
    weakness = chain.weakness()
    if weakness is not None:
        raise Denied(Reason.TLS_CERTIFICATE_WEAK, weakness)
    return chain


def _verified_chain(connection: ssl.SSLObject) -> Sequence[bytes]:
    # CPython 3.12 has it here only; from 3.13 on, the public method does just this.
    inner = connection._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    verified: Sequence[_ssl.Certificate] = inner.get_verified_chain() or ()
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in verified]


def handshake_failure(error: BaseException) -> tuple[Reason, str]:
    """Classify why a handshake failed, with OpenSSL's own words for the log."""
    if isinstance(error, OfferRefused):
        return error.denied.reason, error.denied.detail
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
