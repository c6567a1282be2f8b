"""The files that a policy names, read and understood: certificates, private keys, CAs, key sets.

Paths are relative to the file that names them, and may hold variables of the environment.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.utils import CryptographyDeprecationWarning

from gateway.pki.inspect import public_key_pin
from gateway.policy.environment import named_path, shown_path
from gateway.policy.folder import explained, read_bounded
from gateway.policy.inventory import Role
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.signing.jwks import KeySet

MAX_FILE_BYTES = 4_194_304
"""Bytes of a certificate, CA or key file: room for a bundle of 2,000 CAs."""

OTHERS = 0o077
"""Mode bits that open a file to others than its owner."""


def named_file(reader: Reader, node: Node | None, prefix: str = "") -> Path | None:
    """Give the path that a node's text names after `prefix`, and have the file watched."""
    text = reader.text(node, f"{prefix}PATH" if prefix else "the path of a file")
    if node is None or text is None:
        return None
    if not text.startswith(prefix) or text == prefix:
        reader.error(node, f"{quoted(text)} does not name a file", f"expected `{prefix}PATH`")
        return None
    return named_path(reader, node, text.removeprefix(prefix))


def read_named(
    reader: Reader, node: Node, path: Path, most: int = MAX_FILE_BYTES, refused_mode: int = 0
) -> bytes | None:
    """Read a file that the policy names."""
    try:
        return read_bounded(path, most, refused_mode)
    except (OSError, ValueError) as error:
        message, hint = explained(error) if isinstance(error, OSError) else ("has no name that a file could have", "")
        if isinstance(error, FileNotFoundError):
            hint = "paths are relative to the file that names them"
        reader.error(node, f"file {shown_path(node, path)} {message}", hint)
        return None


def certificates(reader: Reader, node: Node | None) -> tuple[Path, list[x509.Certificate]] | None:
    """Read a PEM file of one or more certificates; expired ones are warned of."""
    path = named_file(reader, node)
    if node is None or path is None:
        return None
    data = read_named(reader, node, path)
    if data is None:
        return None
    try:
        with warnings.catch_warnings():
            # Oddities such as a serial number of zero; OpenSSL decides about them.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = x509.load_pem_x509_certificates(data)
    except ValueError:
        hint = "expected PEM: -----BEGIN CERTIFICATE-----"
        if b"PRIVATE KEY-----" in data:
            hint = f"it holds a private key; {hint}"
        reader.error(node, f"file {shown_path(node, path)} holds no readable certificate", hint)
        return None
    for certificate in found:
        warn_of_validity(reader, node, certificate)
    return path, found


def authorities(reader: Reader, node: Node | None) -> Path | None:
    """Check a PEM file of CA certificates and give its path."""
    read = certificates(reader, node)
    if node is None or read is None:
        return None
    path, found = read
    for certificate in found:
        reader.uses(node, Role.AUTHORITY, certificate, shown_path(node, path))
        if not _is_authority(certificate):
            reader.warning(node, f"{_subject(certificate)} is not a CA", "no other certificate will be accepted by it")
    return path


def authority_keys(reader: Reader, node: Node | None) -> frozenset[str] | None:
    """Read a PEM file of CA certificates that narrows whom a listener trusts; give their public keys' SHA-256."""
    count = len(reader.material)
    if node is None or authorities(reader, node) is None:
        return None
    found = [each.what for each in reader.material[count:] if isinstance(each.what, x509.Certificate)]
    if reader.trusted.isdisjoint([name for each in found for name in (each.subject, each.issuer)]):
        hint = "add its root to a listener's `client_ca`: here it only narrows"
        reader.warning(node, "no listener trusts any of these CAs", hint)
    ders = [each.public_bytes(Encoding.DER) for each in found]
    return frozenset(map(public_key_pin, ders))


def key_pair(reader: Reader, certificate_node: Node | None, key_node: Node | None) -> tuple[Path, Path] | None:
    """Check that a certificate file and a private key file can be read and belong together; give their paths."""
    read = certificates(reader, certificate_node)
    if certificate_node is not None and read is not None:
        for index, certificate in enumerate(read[1]):
            role = Role.SENT_ALONG if index else Role.PRESENTED
            reader.uses(certificate_node, role, certificate, shown_path(certificate_node, read[0]))
    key_path = named_file(reader, key_node)
    if key_node is None or key_path is None:
        return None
    key = _private_key(reader, key_node, key_path)
    if read is None or key is None:
        return None
    path, found = read
    if _public_bytes(found[0].public_key) != _public_bytes(key.public_key):
        reader.error(
            key_node,
            f"file {shown_path(key_node, key_path)} is not the key of the certificate",
            "which is the first in its file",
        )
        return None
    return path, key_path


def key_set(reader: Reader, node: Node | None) -> tuple[Path, KeySet] | None:
    """Read a JWKS file (RFC 7517)."""
    path = named_file(reader, node, "file:")
    if node is None or path is None:
        return None
    data = read_named(reader, node, path)
    if data is None:
        return None
    try:
        keys = KeySet.load(data)
    except ValueError as error:
        reader.error(node, f"file {shown_path(node, path)}: {error}")
        return None
    for key in keys.every:
        reader.uses(node, Role.TOKENS, key, shown_path(node, path))
    for skipped in keys.skipped:
        reader.warning(node, f"file {shown_path(node, path)}: {skipped}", "it is left out")
    return path, keys


def private_key(reader: Reader, node: Node | None) -> PrivateKeyTypes | None:
    """Read a PEM file of one private key; one that others may read is warned of."""
    path = named_file(reader, node)
    return None if node is None or path is None else _private_key(reader, node, path)


def _private_key(reader: Reader, node: Node, path: Path) -> PrivateKeyTypes | None:
    data = read_named(reader, node, path)
    if data is None:
        return None
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        reader.error(
            node,
            f"file {shown_path(node, path)} is encrypted",
            "the gate starts unattended: store the key without a passphrase",
        )
        return None
    except (ValueError, UnsupportedAlgorithm):
        reader.error(
            node,
            f"file {shown_path(node, path)} holds no readable private key",
            "expected PEM: -----BEGIN PRIVATE KEY-----",
        )
        return None
    if _is_open_to_others(path):
        reader.warning(
            node, f"file {shown_path(node, path)} may be read by others than its owner", "run `chmod 600` on it"
        )
    return key


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & OTHERS)
    except OSError:  # it is being replaced; the next look will tell
        return False


def _public_bytes(public_key: Callable[[], PublicKeyTypes]) -> bytes | None:
    try:
        return public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None


def warn_of_validity(reader: Reader, node: Node, certificate: x509.Certificate) -> None:
    """Warn of a certificate that is expired, or not valid yet."""
    if reader.now is None:
        return
    if certificate.not_valid_after_utc.timestamp() < reader.now:
        ended = certificate.not_valid_after_utc.date().isoformat()
        reader.warning(node, f"certificate {_subject(certificate)} expired on {ended}", "renew it")
    elif certificate.not_valid_before_utc.timestamp() > reader.now:
        begins = certificate.not_valid_before_utc.date().isoformat()
        reader.warning(node, f"certificate {_subject(certificate)} is not valid before {begins}")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _subject(certificate: x509.Certificate) -> str:
    try:
        return quoted(certificate.subject.rfc4514_string())
    except ValueError:
        return f"number {certificate.serial_number:x}"
