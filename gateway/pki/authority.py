"""Development certificate authorities (RFC 5280): they issue for the demo and the tests, never for production.

What they issue passes OpenSSL's strict rules (X509_V_FLAG_X509_STRICT), which CPython 3.13 applies by default:
critical basic constraints and key usage on a CA, key identifiers everywhere, one stated purpose on a leaf.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.message import Address, Instant


class Purpose(Enum):
    """What a leaf certificate is for (extended key usage)."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Validity:
    """From `not_before` to `not_after`, both included, in whole seconds (RFC 5280 4.1.2.5)."""

    not_before: Instant
    not_after: Instant

    @classmethod
    def around(cls, now: Instant, *, days: int) -> Self:
        """From an hour before `now`, since clocks disagree, to `days` days after it."""
        return cls(Instant(now - 3600), Instant(now + days * 86400))


@dataclass(frozen=True, slots=True)
class Names:
    """What a certificate says of its subject."""

    common_name: str
    organisation: str | None = None
    dns: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    uris: tuple[str, ...] = ()

    def subject(self) -> x509.Name:
        """Give the distinguished name."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]
        if self.organisation is not None:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation))
        return x509.Name(attributes)

    def alternatives(self) -> list[x509.GeneralName]:
        """Give the subject alternative names."""
        return [
            *(x509.DNSName(name) for name in self.dns),
            *(x509.IPAddress(address) for address in self.addresses),
            *(x509.UniformResourceIdentifier(uri) for uri in self.uris),
        ]


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, its private key, and the intermediates that lead to the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        """Without the key."""
        return f"Credential({self.certificate.subject.rfc4514_string()})"

    def certificate_pem(self) -> bytes:
        """Give the certificate and its intermediates, leaf first, as a server or client presents them."""
        chain = (self.certificate, *self.intermediates)
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)

    def key_pem(self) -> bytes:
        """Give the private key, unencrypted: it MUST go to `files.write_private` or stay in memory."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """A certificate authority with a P-256 key. It lives in this process only, unless `development` writes it down."""

    def __init__(self, credential: Credential, *, is_root: bool) -> None:
        self.credential = credential
        self._is_root = is_root

    @classmethod
    def root(cls, common_name: str, validity: Validity, organisation: str | None = None) -> Self:
        """Make a root, signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = Names(common_name, organisation).subject()
        builder = _as_authority(_builder(subject, subject, key.public_key(), validity), path_length=1)
        builder = builder.add_extension(_key_identifier(key.public_key()), critical=False)
        return cls(Credential(builder.sign(key, hashes.SHA256()), key), is_root=True)

    def subordinate(self, common_name: str, validity: Validity) -> "Authority":
        """Make an intermediate CA below this one; only a root can.

        Raises RuntimeError below an intermediate: its path length allows leaves only.
        """
        if not self._is_root:
            raise RuntimeError(f"{common_name}: an intermediate issues leaves only")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder_below(Names(common_name).subject(), key.public_key(), validity)
        certificate = _as_authority(builder, path_length=0).sign(self.credential.key, hashes.SHA256())
        return Authority(Credential(certificate, key, (certificate,)), is_root=False)

    def issue(self, names: Names, purpose: Purpose, validity: Validity) -> Credential:
        """Issue a leaf for a new key, with exactly one purpose."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder_below(names.subject(), key.public_key(), validity)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose.value]), critical=False)
        if alternatives := names.alternatives():
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self.credential.key, hashes.SHA256())
        return Credential(certificate, key, self.credential.intermediates)

    def certificate_pem(self) -> bytes:
        """Give the authority's own certificate, for a trust store."""
        return self.credential.certificate.public_bytes(Encoding.PEM)

    def _builder_below(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, validity: Validity
    ) -> x509.CertificateBuilder:
        issuer = self.credential.certificate
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return (
            _builder(subject, issuer.subject, public_key, validity)
            .add_extension(_key_identifier(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(validity.not_before), UTC))
        .not_valid_after(datetime.fromtimestamp(int(validity.not_after), UTC))
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _usage(signs_certificates=True), critical=True
    )


def _key_identifier(public_key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
