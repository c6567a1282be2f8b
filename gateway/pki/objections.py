"""What the gate would object to in a certificate: by OpenSSL's strict rules, and by what it is meant for.

Signatures and chains are not verified here: the handshake does that.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from gateway.core.message import Instant
from gateway.core.reasons import Denied
from gateway.pki.inspect import public_key_info
from gateway.pki.keys import subject_key_facts
from gateway.pki.offered import check_key

WEAK_HASHES = frozenset({"md5", "sha1"})

MAX_SERIAL_BITS = 159
"""20 octets, of which the first bit is the sign (RFC 5280 4.1.2.2)."""

_KNOWN_CRITICAL = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
    }
)
"""Critical extensions that OpenSSL acts upon; any other critical one makes it refuse."""


class Use(Enum):
    """What a certificate is meant for."""

    SERVER = "server"
    CLIENT = "client"
    CA = "ca"


def objections(certificate: x509.Certificate, now: Instant, use: Use | None = None) -> list[str]:
    """Give every objection, each with what to do; `use` is what it is meant for, where that is known."""
    try:
        with warnings.catch_warnings():
            # A serial number of zero is told of in our words.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = [*_of_time(certificate, now), *_of_strength(certificate), *_of_form(certificate)]
            found += _of_authority(certificate) if is_authority(certificate) else _of_leaf(certificate)
            return found + list(_of_use(certificate, use))
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return [f"its extensions cannot be read ({type(error).__name__}): have it issued anew"]


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether its basic constraints make it a CA. Raises ValueError where its extensions cannot be read."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.value.ca


def extension[T: x509.ExtensionType](
    holder: x509.Certificate | x509.CertificateSigningRequest, kind: type[T]
) -> x509.Extension[T] | None:
    """Give an extension, None where it is absent. Raises ValueError where the extensions cannot be read."""
    try:
        return holder.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def hash_name(certificate: x509.Certificate) -> str | None:
    """Give the hash of its signature; None for algorithms that have none of their own, and for unknown ones."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return None if algorithm is None else algorithm.name


def _of_time(certificate: x509.Certificate, now: Instant) -> Iterator[str]:
    moment = datetime.fromtimestamp(now, UTC)
    if certificate.not_valid_after_utc < moment:
        yield f"expired on {certificate.not_valid_after_utc.date().isoformat()}: renew it"
    if certificate.not_valid_before_utc > moment:
        yield f"not valid before {certificate.not_valid_before_utc.date().isoformat()}: wait, or set the clock right"


def _of_strength(certificate: x509.Certificate) -> Iterator[str]:
    weakness = subject_key_facts(certificate).weakness
    if weakness is not None:
        yield weakness
    else:
        try:
            check_key(public_key_info(certificate.public_bytes(Encoding.DER)))
        except Denied as denied:
            yield f"{denied.detail}: have it issued for RSA, EC P-256 or Ed25519"
    # Nobody verifies the signature of a root: it is trusted for what it is.
    if hash_name(certificate) in WEAK_HASHES and certificate.issuer != certificate.subject:
        yield f"signed with {(hash_name(certificate) or '').upper()}, which can be forged: have it issued with SHA-256"


def _of_form(certificate: x509.Certificate) -> Iterator[str]:
    if certificate.version is not x509.Version.v3:
        yield "not of version 3: it can say nothing about its use; have it issued anew"
    if certificate.serial_number <= 0 or certificate.serial_number.bit_length() > MAX_SERIAL_BITS:
        yield "its serial number is not a positive number of 20 octets (RFC 5280 4.1.2.2): have it issued anew"
    if not list(certificate.issuer):
        yield "its issuer has no name: have it issued anew"
    for each in certificate.extensions:
        if each.critical and each.oid not in _KNOWN_CRITICAL:
            yield f"its critical extension {each.oid.dotted_string} is not known: have it issued without"
    if certificate.issuer != certificate.subject and extension(certificate, x509.AuthorityKeyIdentifier) is None:
        yield "no authority key identifier (RFC 5280 4.2.1.1): have it issued anew"


def _of_authority(certificate: x509.Certificate) -> Iterator[str]:
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    if constraints is not None and not constraints.critical:
        yield "a CA whose basic constraints are not critical (RFC 5280 4.2.1.9): have it issued anew"
    if usage is None or not usage.value.key_cert_sign:
        yield "a CA without the key usage keyCertSign: have it issued anew"
    if extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield "a CA without subject key identifier (RFC 5280 4.2.1.2): have it issued anew"
    if not list(certificate.subject):
        yield "a CA without a name: have it issued anew"


def _of_leaf(certificate: x509.Certificate) -> Iterator[str]:
    usage, extended = extension(certificate, x509.KeyUsage), extension(certificate, x509.ExtendedKeyUsage)
    alternatives = extension(certificate, x509.SubjectAlternativeName)
    if usage is not None and usage.value.key_cert_sign:
        yield "key usage keyCertSign on what is no CA: have it issued anew"
    if alternatives is None:
        yield "no subject alternative name: clients refuse such a server; name a partner by subject or pin"
    if extended is not None and not _served(extended.value):
        yield "its extended key usage is for neither servers nor clients: have it issued for one of them"


def _of_use(certificate: x509.Certificate, use: Use | None) -> Iterator[str]:
    if use is None:
        return
    if use is Use.CA:
        if not is_authority(certificate):
            yield "no CA: nothing else is accepted by it"
        return
    if is_authority(certificate):
        yield f"a CA, where a {use.value}'s own certificate is wanted: have one issued for the {use.value}"
    extended, usage = extension(certificate, x509.ExtendedKeyUsage), extension(certificate, x509.KeyUsage)
    if extended is not None and use not in _served(extended.value):
        wanted = "serverAuth" if use is Use.SERVER else "clientAuth"
        yield f"not for {use.value}s: its extended key usage lacks {wanted}; have it issued for that"
    if usage is not None and not usage.value.digital_signature:
        yield "key usage without digitalSignature, which TLS 1.3 needs: have it issued anew"


def _served(extended: x509.ExtendedKeyUsage) -> frozenset[Use]:
    # anyExtendedKeyUsage alone is no use to OpenSSL.
    uses = {ExtendedKeyUsageOID.SERVER_AUTH: Use.SERVER, ExtendedKeyUsageOID.CLIENT_AUTH: Use.CLIENT}
    return frozenset(use for oid, use in uses.items() if oid in extended)
