"""The Online Certificate Status Protocol (RFC 6960): what is asked, and whether an answer can be believed. No I/O.

An answer counts where

1. it was successful, and is about the certificate that was asked about, by number and by its issuer's name and key
2. the issuer signed it, or a responder whom the issuer certified for that (extended key usage OCSPSigning) and whose
   certificate is valid now
3. it repeats the nonce of the question, or has none: responders that sign ahead cannot know it
4. its time has begun
"""

import hashlib
import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from gateway.core.message import Instant
from gateway.pki.chain import Link
from gateway.pki.crl import MAX_AHEAD
from gateway.pki.der import element
from gateway.pki.signatures import Parameters, Signed

MAX_BYTES = 65_536
"""Bytes of an answer: a status, a signature and a responder's certificates."""

ENDLESS = 3_600.0
"""Seconds from its beginning for which an answer counts that does not say when the next one comes."""

_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a responder said of one certificate."""

    revoked: bool
    this_update: Instant
    next_update: Instant


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, with the nonce that the answer may repeat."""

    link: Link
    authority: Link
    nonce: bytes

    @classmethod
    def about(cls, link: Link, authority: Link) -> "Question":
        """Ask about a certificate, whose issuer `authority` is."""
        return cls(link, authority, os.urandom(_NONCE_BYTES))

    @property
    def der(self) -> bytes:
        """The request as it is sent."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            self.link.certificate,
            self.authority.certificate,
            hashes.SHA1(),  # noqa: S303 - it only names the issuer, and is what every responder knows (RFC 5019)
        )
        return builder.add_extension(x509.OCSPNonce(self.nonce), critical=False).build().public_bytes(Encoding.DER)

    def read(self, data: bytes, now: Instant) -> Answer:
        """Read the answer. Raises ValueError that says why it does not count."""
        try:
            return self._read(data, now)
        except (UnsupportedAlgorithm, x509.DuplicateExtension, x509.ExtensionNotFound) as error:
            raise ValueError(f"the answer has what is not known here ({type(error).__name__})") from None

    def _read(self, data: bytes, now: Instant) -> Answer:
        try:
            response = ocsp.load_der_ocsp_response(data)
        except ValueError:
            raise ValueError("the answer is no OCSP response") from None
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise ValueError(f"the responder answered {response.response_status.name.lower()}")
        single = next((each for each in response.responses if self._is_about(each)), None)
        if single is None:
            raise ValueError("the answer is about another certificate")
        self._check_signature(response, now)
        self._check_nonce(response)
        begins = Instant(single.this_update_utc.timestamp())
        if begins > now + MAX_AHEAD:
            raise ValueError("the answer is dated ahead")
        if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise ValueError("the responder does not know the certificate")
        following = single.next_update_utc
        ends = begins + ENDLESS if following is None else following.timestamp()
        return Answer(single.certificate_status is ocsp.OCSPCertStatus.REVOKED, begins, Instant(ends))

    def _is_about(self, single: ocsp.OCSPSingleResponse) -> bool:
        name = self.link.certificate.issuer.public_bytes()
        algorithm = single.hash_algorithm.name
        return (
            single.serial_number == self.link.certificate.serial_number
            and single.issuer_name_hash == hashlib.new(algorithm, name).digest()
            and single.issuer_key_hash == hashlib.new(algorithm, _key_bits(self.authority)).digest()
        )

    def _check_signature(self, response: ocsp.OCSPResponse, now: Instant) -> None:
        signed = Signed(
            response.tbs_response_bytes, response.signature, response.signature_hash_algorithm, _parameters(response)
        )
        authority = self.authority.certificate
        if signed.by(authority.public_key()):
            return
        for responder in response.certificates:
            if _may_answer(responder, authority, now) and signed.by(responder.public_key()):
                return
        raise ValueError("neither the issuer nor a responder of its own signed the answer")

    def _check_nonce(self, response: ocsp.OCSPResponse) -> None:
        try:
            nonce = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        except x509.ExtensionNotFound:
            return
        if nonce != self.nonce:
            raise ValueError("the answer is to another question")


def _parameters(response: ocsp.OCSPResponse) -> Parameters:
    algorithm = response.signature_hash_algorithm
    if algorithm is None:
        return None
    known = vars(SignatureAlgorithmOID)
    name = next((name for name, oid in known.items() if oid == response.signature_algorithm_oid), "")
    if name.startswith("RSA_WITH_"):
        return padding.PKCS1v15()
    return ec.ECDSA(algorithm) if name.startswith("ECDSA_WITH_") else None


def _may_answer(responder: x509.Certificate, authority: x509.Certificate, now: Instant) -> bool:
    """Whether the issuer certified the responder for answers, and its certificate is valid (RFC 6960 4.2.2.2)."""
    try:
        purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        certified = Signed(
            responder.tbs_certificate_bytes,
            responder.signature,
            responder.signature_hash_algorithm,
            responder.signature_algorithm_parameters,
        )
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in purposes
        and responder.issuer == authority.subject
        and responder.not_valid_before_utc.timestamp() <= now <= responder.not_valid_after_utc.timestamp()
        and certified.by(authority.public_key())
    )


def _key_bits(authority: Link) -> bytes:
    """Give what stands in the BIT STRING of its public key: the issuer is known by the hash of that."""
    info = authority.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm, _ = element(info, 0)
    _, key = element(info, algorithm)
    unused, end = element(info, key)
    return info[unused + 1 : end]
