"""A development CA that is kept in a folder: `ca.pem` and `ca.key`, and beside them what it issues.

Whoever reads the folder can issue what the CA's certificate is trusted for, so it says in its name what it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity
from gateway.pki.files import write_private, write_public

MARK = "DEVELOPMENT ONLY"
"""Organisation of a development CA and of what it issues."""


class DevelopmentError(Exception):
    """The folder is not as it must be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @classmethod
    def named(cls, folder: Path, name: str) -> "Pair":
        """Give the files `NAME.pem` and `NAME.key`."""
        return cls(folder / f"{name}.pem", folder / f"{name}.key")


def create(folder: Path, name: str, validity: Validity) -> Pair:
    """Make a CA in a folder, which is made where it is not there. Raises DevelopmentError or OSError."""
    pair = Pair.named(folder, "ca")
    _refuse(pair, "use another folder, or remove them once nothing trusts this CA")
    folder.mkdir(parents=True, exist_ok=True)
    made = Authority.root(name, validity, MARK)
    _write(pair, made.credential)
    return pair


def issue(folder: Path, name: str, names: Names, purpose: Purpose, validity: Validity) -> tuple[Pair, Credential]:
    """Issue a certificate for a new key, valid no longer than the CA; its files stand beside the CA's.

    Raises DevelopmentError or OSError.
    """
    pair = Pair.named(folder, name)
    _refuse(pair, "use another name, or remove them")
    authority = _open(folder)
    issuer = authority.credential.certificate
    begins = Instant(max(validity.not_before, issuer.not_valid_before_utc.timestamp()))
    ends = Instant(min(validity.not_after, issuer.not_valid_after_utc.timestamp()))
    if ends <= begins or issuer.not_valid_after_utc.timestamp() <= validity.not_before:
        raise DevelopmentError(f"the CA in {folder} has expired: make a new one with `gateway certs ca`")
    made = authority.issue(names, purpose, Validity(begins, ends))
    _write(pair, made)
    return pair, made


def is_development(certificate: x509.Certificate) -> bool:
    """Whether the certificate is of a development CA, or issued by one."""
    organisations = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return MARK in {attribute.value for attribute in organisations}


def _refuse(pair: Pair, hint: str) -> None:
    taken: Iterable[Path] = [path for path in (pair.certificate, pair.key) if path.exists() or path.is_symlink()]
    if taken:
        raise DevelopmentError(f"{' and '.join(map(str, taken))} already there: {hint}")


def _write(pair: Pair, made: Credential) -> None:
    """Write the key first: a certificate without its key would look finished."""
    write_private(pair.key, made.key_pem())
    write_public(pair.certificate, made.certificate_pem())


def _open(folder: Path) -> Authority:
    pair = Pair.named(folder, "ca")
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        key = load_pem_private_key(pair.key.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise DevelopmentError(f"no {error.filename}: make a CA with `gateway certs ca {folder}`") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DevelopmentError(f"{pair.certificate} or {pair.key} cannot be read: make a new CA") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise DevelopmentError(f"{pair.key} is not the key of {pair.certificate}: make a new CA")
    if not is_development(certificate):
        raise DevelopmentError(f"{pair.certificate} is no development CA: only those of `gateway certs ca` issue here")
    return Authority(Credential(certificate, key), is_root=True)
