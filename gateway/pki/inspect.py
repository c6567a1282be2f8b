"""Reading the facts of a certificate that OpenSSL has accepted. Nothing is verified here."""

import hashlib
import warnings

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from gateway.core.message import Certificate, Instant
from gateway.pki.der import element


def certificate_facts(
    der: bytes, chain_not_after: Instant | None = None, authorities: tuple[str, ...] = ()
) -> Certificate:
    """Give the facts of the DER certificate that the handshake authenticated.

    `chain_not_after` is the earliest end of validity among its issuers; where it comes first, it counts.
    `authorities` are the public keys of its issuers, by their SHA-256.

    OpenSSL accepts more than cryptography reads (odd names, repeated extensions, unknown kinds of name): raises
    ValueError that says what could not be read, and nothing else.
    """
    try:
        with warnings.catch_warnings():
            # Such as a serial number of zero: OpenSSL took it, and all it is used for is the log.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return _facts(der, chain_not_after, authorities)
    except Exception as error:
        raise ValueError(f"certificate cannot be read: {type(error).__name__}: {error}") from error


def _facts(der: bytes, chain_not_after: Instant | None, authorities: tuple[str, ...]) -> Certificate:
    certificate = x509.load_der_x509_certificate(der)
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = x509.SubjectAlternativeName([])
    not_after = Instant(certificate.not_valid_after_utc.timestamp())
    if chain_not_after is not None:
        not_after = min(not_after, chain_not_after)
    return Certificate(
        fingerprint=hashlib.sha256(der).hexdigest(),
        public_key_fingerprint=public_key_pin(der),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=_hex(certificate.serial_number),
        not_before=Instant(certificate.not_valid_before_utc.timestamp()),
        not_after=not_after,
        san_dns=tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName)),
        san_uri=tuple(alternatives.get_values_for_type(x509.UniformResourceIdentifier)),
        san_email=tuple(map(email, alternatives.get_values_for_type(x509.RFC822Name))),
        authorities=authorities,
    )


def public_key_pin(der: bytes) -> str:
    """Give the SHA-256 of a certificate's SubjectPublicKeyInfo, lower-case hex. Raises ValueError."""
    return hashlib.sha256(public_key_info(der)).hexdigest()


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give a certificate's DNS names in lower case; none where they cannot be read."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))


def email(address: str) -> str:
    """Give an address as it is compared: only its domain without regard to case (RFC 5321 2.3.11)."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def _hex(serial: int) -> str:
    """Lower-case hex of whole octets, as `openssl x509 -serial` prints it but for the case."""
    digits = f"{abs(serial):x}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


_EXPLICIT_VERSION = 0xA0
"""Tag of TBSCertificate.version, which is absent in version 1 (RFC 5280 4.1)."""


def public_key_info(der: bytes) -> bytes:
    """Cut the SubjectPublicKeyInfo out of a certificate, octet by octet as it was signed. Raises ValueError.

    Encoding the loaded key anew could give other octets (compressed points, absent parameters), hence another pin,
    and fails on key types that cryptography does not know.
    """
    certificate, _ = element(der, 0)
    position, _ = element(der, certificate)
    if der[position] == _EXPLICIT_VERSION:
        _, position = element(der, position)
    for _ in ("serialNumber", "signature", "issuer", "validity", "subject"):
        _, position = element(der, position)
    _, end = element(der, position)
    return der[position:end]
