"""A client's certificate chain as OpenSSL verified it, read once for all connections that bring it."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID

from gateway.core.message import Certificate, Instant
from gateway.pki.der import integer
from gateway.pki.inspect import certificate_facts, public_key_pin
from gateway.pki.keys import subject_key_facts
from gateway.pki.objections import WEAK_HASHES, extension, hash_name, is_authority

MAX_LINKS = 8
"""Beyond what anybody needs. As many may be sent (`offered`); what the listener trusts could make a chain longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One certificate of a chain."""

    certificate: x509.Certificate
    der: bytes
    fingerprint: bytes
    """SHA-256 of the DER encoding."""
    public_key: str
    """SHA-256 of its SubjectPublicKeyInfo, lower-case hex."""
    issuer: x509.Name
    serial: bytes
    """Contents of its serial number's DER encoding."""
    authority: bool
    points: tuple[str, ...]
    """URLs of its CRL distribution points."""
    responders: tuple[str, ...]
    """URLs of its OCSP responders."""

    @property
    def name(self) -> str:
        """Its subject, for messages."""
        return self.certificate.subject.rfc4514_string() or "without a name"


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The client's certificate and its issuers, up to the authority that the listener trusts."""

    links: tuple[Link, ...]
    facts: Certificate
    """Of the client's certificate; its end is the earliest end in the chain."""

    @classmethod
    def read(cls, ders: Sequence[bytes]) -> "Chain":
        """Read a verified chain, the client's certificate first. Raises ValueError where it cannot be read."""
        try:
            with warnings.catch_warnings():
                # Such as a serial number of zero: `objection` tells of it.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                links = (_link(ders[0]), *map(_authority, ders[1:]))
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise ValueError(f"certificate cannot be read: {type(error).__name__}: {error}") from error
        ends = min(Instant(link.certificate.not_valid_after_utc.timestamp()) for link in links)
        return cls(links, certificate_facts(ders[0], ends, tuple(link.public_key for link in links[1:])))

    @property
    def ders(self) -> tuple[bytes, ...]:
        """The certificates as they were sent or trusted."""
        return tuple(link.der for link in self.links)

    def objection(self) -> str | None:
        """Say what of the client's certificate OpenSSL lets through, and nobody should issue."""
        leaf = self.links[0]
        facts = self.facts
        named = (facts.subject, *facts.san_uri, *facts.san_dns, *facts.san_email)
        if len(self.links) > MAX_LINKS:
            return f"a chain of {len(self.links)} certificates, at most {MAX_LINKS} are taken"
        if leaf.authority:
            return "a CA's own certificate, where that of a client is wanted"
        if leaf.serial[0] & 0x80 or not any(leaf.serial):
            return "its serial number is not positive (RFC 5280 4.1.2.2)"
        if not all(name.isprintable() for name in named):
            return "a name in it has control characters"
        return None

    def weakness(self) -> str | None:
        """Say what in the chain is too weak: what OpenSSL's security level lets through all the same.

        That is DSA and curves below 256 bits. Nobody relies on the signature of the authority that is trusted itself.
        """
        for place, link in enumerate(self.links):
            weakness = subject_key_facts(link.certificate).weakness
            if weakness is not None:
                return f"{link.name}: {weakness}"
            if place < len(self.links) - 1 and hash_name(link.certificate) in WEAK_HASHES:
                return f"{link.name} is signed with {(hash_name(link.certificate) or '').upper()}"
        return None


def _link(der: bytes) -> Link:
    certificate = x509.load_der_x509_certificate(der)
    return Link(
        certificate,
        der,
        hashlib.sha256(der).digest(),
        public_key_pin(der),
        certificate.issuer,
        integer(certificate.serial_number),
        is_authority(certificate),
        _points(certificate),
        _responders(certificate),
    )


@lru_cache(maxsize=1_024)
def _authority(der: bytes) -> Link:
    """Read a CA's certificate: one object for all chains over it, which thousands of clients' are."""
    return _link(der)


def _points(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give the URLs at which the issuer's complete list is; those of indirect or partial lists are left out."""
    found = extension(certificate, x509.CRLDistributionPoints)
    points = [] if found is None else [point for point in found.value if not point.reasons and not point.crl_issuer]
    return tuple(
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _responders(certificate: x509.Certificate) -> tuple[str, ...]:
    found = extension(certificate, x509.AuthorityInformationAccess)
    return tuple(
        access.access_location.value
        for access in (() if found is None else found.value)
        if access.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(access.access_location, x509.UniformResourceIdentifier)
    )
