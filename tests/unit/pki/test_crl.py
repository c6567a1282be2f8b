import threading
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import UniformResourceIdentifier as Uri

from gateway.pki.authority import Authority, Validity
from gateway.pki.crl import Holders, RevocationList, Scope, read_lists
from gateway.pki.der import SEQUENCE, element, integer, wrapped
from tests.crls import DAY, Entry, crl, der, pem, with_sha1
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
AUTHORITY = Authority.root("Partners CA", VALID)
RSA = rsa.generate_private_key(65537, 2048)
OTHER = Authority.root("Partners CA", VALID)
SERIALS = (1, 127, 128, 255, 2**64, 2**158 + 7, 2**159 - 1)


def signed_by(found: RevocationList, authority: Authority) -> bool:
    certificate = authority.credential.certificate
    return found.signed_by(certificate, certificate.fingerprint(hashes.SHA256()))


def test_a_list_says_who_is_revoked_and_how_long_it_counts() -> None:
    found = RevocationList(der(crl(AUTHORITY, *SERIALS, extensions=[(x509.CRLNumber(7), False)])))
    assert len(found) == len(SERIALS)
    assert all(integer(serial) in found for serial in SERIALS)
    assert integer(2) not in found
    assert (found.this_update, found.next_update, found.number) == (NOW - 3600, NOW + DAY, 7)
    assert found.scope == Scope()
    assert repr(found) == "RevocationList(CN=Partners CA, 7 entries)"


def test_an_empty_list_revokes_nobody() -> None:
    found = RevocationList(der(crl(AUTHORITY)))
    assert (len(found), found.number) == (0, None)
    assert signed_by(found, AUTHORITY)


def test_what_the_list_says_is_what_cryptography_says() -> None:
    made = crl(
        AUTHORITY, *(Entry(serial, x509.CRLReason(x509.ReasonFlags.key_compromise)) for serial in range(1, 1_200))
    )
    found = RevocationList(der(made))
    assert {integer(each.serial_number) for each in made} == set(found._serials)


def test_only_the_authority_itself_can_have_signed_it() -> None:
    found = RevocationList(der(crl(AUTHORITY, 1)))
    assert signed_by(found, AUTHORITY)
    assert not signed_by(found, OTHER)
    assert not signed_by(found, OTHER)  # remembered


def test_a_list_that_was_changed_is_nobodys() -> None:
    whole = der(crl(AUTHORITY, 0x0102030405060708))
    changed = whole.replace(bytes.fromhex("0102030405060708"), bytes.fromhex("0102030405060709"))
    assert not signed_by(RevocationList(changed), AUTHORITY)


def test_a_certificate_that_may_not_sign_lists_has_signed_none() -> None:
    leaf = x509.CertificateBuilder(
        AUTHORITY.credential.certificate.subject, AUTHORITY.credential.certificate.subject,
        AUTHORITY.credential.key.public_key(), 1, AUTHORITY.credential.certificate.not_valid_before_utc,
        AUTHORITY.credential.certificate.not_valid_after_utc,
    ).add_extension(
        x509.KeyUsage(True, False, False, False, False, True, False, False, False), True,
    ).sign(AUTHORITY.credential.key, hashes.SHA256())  # fmt: skip
    assert not RevocationList(der(crl(AUTHORITY))).signed_by(leaf, leaf.fingerprint(hashes.SHA256()))


def test_numbers_that_their_issuer_padded_are_found() -> None:
    padded = wrapped(SEQUENCE, b"\x02\x03\x00\x00\x05" + b"\x17\x0d261101000000Z")
    found = RevocationList(with_entries(padded))
    assert b"\x05" in found


# Scope


def distribution(**changes: object) -> tuple[x509.ExtensionType, bool]:
    valid = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False,
        "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**valid | changes), True  # type: ignore[arg-type]


URL = "http://crl.example/one.crl"
OTHER_URL = "http://crl.example/two.crl"


@pytest.mark.parametrize(
    ("changes", "scope", "leaf", "authority"),
    [
        ({"only_contains_user_certs": True}, Scope(Holders.USERS), True, False),
        ({"only_contains_ca_certs": True}, Scope(Holders.AUTHORITIES), False, True),
        ({"full_name": [Uri(URL)]}, Scope(points=frozenset({URL})), True, True),
        ({"full_name": [Uri(OTHER_URL)]}, Scope(points=frozenset({OTHER_URL})), False, False),
    ],
)  # fmt: skip
def test_a_list_may_be_about_some_certificates(
    changes: dict[str, object], scope: Scope, leaf: bool, authority: bool
) -> None:
    found = RevocationList(der(crl(AUTHORITY, extensions=[distribution(**changes)])))
    assert found.scope == scope
    assert found.is_about(authority=False, points=(URL,)) is leaf
    assert found.is_about(authority=True, points=(URL,)) is authority


# Lists that are of no use


def with_entries(entries: bytes) -> bytes:
    """Give a list whose entries are these bytes; its signature does not matter."""
    whole = der(crl(AUTHORITY, 1))
    outer, _ = element(whole, 0)
    tbs, tbs_end = element(whole, outer)
    at = tbs
    for _ in range(5):  # version, algorithm, issuer, both times
        _, at = element(whole, at)
    _, after = element(whole, at)
    changed = wrapped(SEQUENCE, whole[tbs:at] + wrapped(SEQUENCE, entries) + whole[after:tbs_end])
    return wrapped(SEQUENCE, changed + whole[tbs_end:])


ENTRY = b"\x30\x12\x02\x01\x05\x17\x0d261101000000Z"

USELESS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"0", "cannot be read"),
    "cut off": (lambda: der(crl(AUTHORITY, 1))[:-9], "cannot be read"),
    "something behind it": (lambda: der(crl(AUTHORITY, 1)) + b"\x05\x00", "goes on behind"),
    "another structure": (lambda: wrapped(SEQUENCE, wrapped(SEQUENCE, b"\x05\x00" * 3) * 3), "cannot be read"),
    "an entry that is none": (lambda: with_entries(ENTRY + b"\x02\x01\x05"), "no entry"),
    "an entry without number": (lambda: with_entries(b"\x30\x0f\x17\x0d261101000000Z"), "no serial number"),
    "an entry that goes on": (lambda: with_entries(ENTRY[:-1]), r"cannot be read|ends beyond"),
    "a delta": (lambda: der(crl(AUTHORITY, extensions=[(x509.DeltaCRLIndicator(1), True)])), "delta"),
    "indirect": (lambda: der(crl(AUTHORITY, extensions=[distribution(indirect_crl=True)])), "indirect"),
    "some reasons": (
        lambda: der(crl(AUTHORITY, extensions=[
            distribution(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))])), "some reasons",
    ),
    "attributes": (
        lambda: der(crl(AUTHORITY, extensions=[distribution(only_contains_attribute_certs=True)])), "attribute",
    ),
    "relative": (
        lambda: der(crl(AUTHORITY, extensions=[distribution(relative_name=x509.RelativeDistinguishedName(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]))])), "relatively",
    ),
    "unknown and critical": (
        lambda: der(crl(AUTHORITY, extensions=[
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)])), "1.2.3.4",
    ),
    "an entry with a critical extension": (
        lambda: der(crl(AUTHORITY, 1, Entry(2, x509.CertificateIssuer([x509.DNSName("x")]), critical=True), 3)),
        "critical extension",
    ),
    "SHA-1": (lambda: with_sha1(der(crl(AUTHORITY, by=RSA))), "SHA1, which is not taken"),
}  # fmt: skip


@pytest.mark.parametrize("fault", USELESS)
def test_a_list_of_no_use_says_why(fault: str) -> None:
    make, words = USELESS[fault]
    with pytest.raises(ValueError, match=words):
        RevocationList(make())


def test_a_number_that_looks_like_a_critical_extension_is_a_number() -> None:
    serial = 0x0101FF0101FF
    assert integer(serial) in RevocationList(der(crl(AUTHORITY, 1, serial, 3)))


def test_a_list_that_never_ends_is_of_no_use() -> None:
    whole = der(crl(AUTHORITY))
    outer, _ = element(whole, 0)
    tbs, tbs_end = element(whole, outer)
    at = tbs
    for _ in range(4):
        _, at = element(whole, at)
    _, after = element(whole, at)
    endless = wrapped(SEQUENCE, wrapped(SEQUENCE, whole[tbs:at] + whole[after:tbs_end]) + whole[tbs_end:])
    with pytest.raises(ValueError, match="when the next one comes"):
        RevocationList(endless)


# Files


def test_a_file_has_one_list_in_der_or_several_in_pem() -> None:
    one, other = crl(AUTHORITY, 1), crl(OTHER, 2, 3)
    assert [len(each) for each in read_lists(der(one))] == [1]
    assert [len(each) for each in read_lists(b"# of today\n" + pem(one, other))] == [1, 2]
    assert [len(each) for each in read_lists(pem(one).replace(b"\n", b"\r\n"))] == [1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no revocation list"),
        (AUTHORITY.certificate_pem(), "holds no revocation list"),
        (b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----", "cannot be read|is no PEM"),
        (b"-----BEGIN X509 CRL-----\nA\n-----END X509 CRL-----", "is no PEM"),
    ],
)
def test_a_file_without_lists_says_so(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_lists(data)


def test_other_threads_have_their_turn_while_a_list_is_read() -> None:
    data, turns = der(crl(AUTHORITY, *range(1, 3_001))), []
    reading = threading.Thread(target=lambda: turns.append(len(RevocationList(data))))
    reading.start()
    reading.join()
    assert turns == [3_000]
