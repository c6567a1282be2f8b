"""Certificate revocation lists (RFC 5280 section 5): read, verified, and asked.

A list of 100,000 entries is read in a thread beside the event loop, so two things are done by hand that `cryptography`
does in one go without letting other threads run: walking the entries, and hashing the list.
"""

import binascii
import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from gateway.core.memo import Bounded
from gateway.core.message import Instant
from gateway.pki.der import GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME, element, wrapped
from gateway.pki.signatures import Signed, may_sign_lists

MAX_BYTES = 67_108_864
"""Bytes of a list: some 1.5 million entries."""

MAX_AHEAD = 300.0
"""Seconds that a list's beginning may lie ahead: clocks disagree."""

_BREATH = 500
"""Entries walked until other threads get their turn: a fraction of a millisecond."""

_EXPLICIT_EXTENSIONS = 0xA0
_BIT_STRING = 0x03
_CRITICAL = b"\x01\x01\xff"
"""DER of the BOOLEAN that makes an extension critical."""
_PEM = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

_UNDERSTOOD = frozenset({ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})


class Holders(Enum):
    """Whose certificates a list is about."""

    ALL = "all"
    USERS = "those of users only"
    AUTHORITIES = "those of CAs only"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which of its issuer's certificates a list is about."""

    holders: Holders = Holders.ALL
    points: frozenset[str] | None = None
    """URLs of distribution points: only certificates that name one of them; None: all."""


class RevocationList:
    """One list. Which of its authority's certificates are revoked is known only once `signed_by` has said yes."""

    __slots__ = (
        "_authorities", "_serials", "_signed", "algorithm", "fingerprint", "issuer", "next_update", "number", "scope",
        "this_update",
    )  # fmt: skip

    def __init__(self, der: bytes) -> None:
        """Read a list. Raises ValueError that says why it is of no use."""
        head, serials, tbs = _taken_apart(der)
        try:
            self.issuer = head.issuer
            self.this_update = Instant(head.last_update_utc.timestamp())
            if head.next_update_utc is None:
                raise ValueError("does not say when the next one comes")
            self.next_update = Instant(head.next_update_utc.timestamp())
            self.scope = _scope(head)
            self.number = _number(head)
            self.algorithm = head.signature_algorithm_oid
            self._signed = Signed(
                tbs, head.signature, head.signature_hash_algorithm, head.signature_algorithm_parameters
            )
        except (UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise ValueError(f"has what is not known here ({type(error).__name__})") from None
        self.fingerprint = hashlib.sha256(der).digest()
        """SHA-256 of the list."""
        self._serials = serials
        self._authorities: Bounded[bytes, bool] = Bounded(capacity=256, longest=64)

    def __len__(self) -> int:
        return len(self._serials)

    def __contains__(self, serial: object) -> bool:
        """Whether the certificate with this serial number (contents of its DER) is revoked."""
        return serial in self._serials

    def __repr__(self) -> str:
        return f"RevocationList({self.issuer.rfc4514_string()}, {len(self)} entries)"

    def signed_by(self, authority: x509.Certificate, fingerprint: bytes) -> bool:
        """Whether this authority (whose certificate has this digest) signed it, and may."""
        known = self._authorities.get(fingerprint)
        if known is None:
            known = may_sign_lists(authority) and self._signed.by(authority.public_key())
            self._authorities.keep(fingerprint, known)
        return known

    def is_about(self, *, authority: bool, points: Iterable[str]) -> bool:
        """Whether a certificate of its issuer is in its scope; `points` are the URLs that the certificate names."""
        holders = self.scope.holders
        if holders is not Holders.ALL and authority is not (holders is Holders.AUTHORITIES):
            return False
        return self.scope.points is None or not self.scope.points.isdisjoint(points)


def read_lists(data: bytes) -> list[RevocationList]:
    """Read PEM with one or more lists, or DER with one. Raises ValueError that says why one is of no use."""
    if data.startswith(b"\x30"):
        return [RevocationList(data)]
    blocks = _PEM.findall(data)
    if not blocks:
        raise ValueError("holds no revocation list, PEM (BEGIN X509 CRL) or DER")
    return [RevocationList(_decoded(block)) for block in blocks]


def _decoded(pem: bytes) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(pem.split(b"\n")[1:-1]))
    except binascii.Error:
        raise ValueError("is no PEM") from None


def _taken_apart(der: bytes) -> tuple[x509.CertificateRevocationList, set[bytes], bytes]:
    """Give a list without its entries, the serial numbers in them, and the bytes that were signed."""
    try:
        outer, outer_end = element(der, 0)
        tbs, tbs_end = element(der, outer)
        at = tbs
        if der[at] == INTEGER:
            _, at = element(der, at)
        for _ in ("signature", "issuer", "thisUpdate"):
            _, at = element(der, at)
        if der[at] in (UTC_TIME, GENERALIZED_TIME):
            _, at = element(der, at)
        entries = after = at
        serials: set[bytes] = set()
        if at < tbs_end and der[at] == SEQUENCE:
            entries, after = element(der, at)
            serials = _serials(der, entries, after)
        bare = wrapped(SEQUENCE, der[tbs:at] + der[after:tbs_end])
        head = x509.load_der_x509_crl(wrapped(SEQUENCE, bare + der[tbs_end:outer_end]))
    except (ValueError, IndexError) as error:
        raise ValueError(f"cannot be read as a revocation list: {error}") from None
    if outer_end != len(der):
        raise ValueError("goes on behind the revocation list's end")
    return head, serials, der[outer:tbs_end]


def _serials(der: bytes, start: int, end: int) -> set[bytes]:
    """Walk the entries. Raises ValueError where one has a critical extension: the list must not be used then."""
    found: set[bytes] = set()
    suspect = der.find(_CRITICAL, start, end)
    at, turn = start, 0
    while at < end:
        if der[at] != SEQUENCE or (der[at + 1] & 0x80 and der[at + 1] > 0x82):
            raise ValueError(f"no entry at octet {at}")
        contents, entry_end = element(der, at)
        if der[contents] != INTEGER or der[contents + 1] & 0x80:
            raise ValueError(f"no serial number at octet {contents}")
        first = contents + 2
        last = first + der[contents + 1]
        # Issuers have padded numbers with zeros; a certificate's is compared in its shortest form.
        while last - first > 1 and der[first] == 0 and not der[first + 1] & 0x80:
            first += 1
        found.add(der[first:last])
        if last <= suspect < entry_end:
            raise ValueError("an entry has a critical extension, such as that of an indirect list")
        if suspect >= 0 and suspect < entry_end:
            suspect = der.find(_CRITICAL, entry_end, end)
        at = entry_end
        turn += 1
        if turn == _BREATH:
            turn = 0
            time.sleep(0)  # other threads first
    if at != end:
        raise ValueError("an entry ends beyond the others")
    return found


def _scope(head: x509.CertificateRevocationList) -> Scope:
    for extension in head.extensions:
        if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            raise ValueError("is a delta list; only complete ones are taken")
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise ValueError(f"has the critical extension {extension.oid.dotted_string}, which is not known here")
    try:
        point = head.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return Scope()
    if point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs:
        raise ValueError("is an indirect list, or one of some reasons or of attribute certificates only")
    if point.relative_name is not None:
        raise ValueError("names its distribution point relatively, which is not known here")
    points = None
    if point.full_name is not None:
        points = frozenset(name.value for name in point.full_name if isinstance(name, x509.UniformResourceIdentifier))
    if point.only_contains_user_certs:
        return Scope(Holders.USERS, points)
    return Scope(Holders.AUTHORITIES if point.only_contains_ca_certs else Holders.ALL, points)


def _number(head: x509.CertificateRevocationList) -> int | None:
    try:
        return head.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None
