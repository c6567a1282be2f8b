from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity
from gateway.pki.ocsp import ENDLESS, Answer, Question
from tests.crls import DAY, chain, moment
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
ROOT = Authority.root("Partners CA", VALID)
STRANGER = Authority.root("Partners CA", VALID)
LEAF = ROOT.issue(Names("casino"), Purpose.CLIENT, VALID)
OTHER = ROOT.issue(Names("bingo"), Purpose.CLIENT, VALID)
LINK, AUTHORITY = chain(LEAF, ROOT).links
QUESTION = Question.about(LINK, AUTHORITY)


def responder(*purposes: Any, by: Authority = ROOT, ends: float = DAY, key: Any = None) -> tuple[x509.Certificate, Any]:
    """Give a responder's certificate and key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(
        by.credential.certificate.subject, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")]),
        key.public_key(), 9, moment(NOW - DAY), moment(NOW + ends),
    )  # fmt: skip
    if purposes:
        made = made.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return made.sign(by.credential.key, hashes.SHA256()), key


def answer(
    status: Any = ocsp.OCSPCertStatus.GOOD, *, about: Credential = LEAF, issuer: Authority = ROOT, by: Any = None,
    nonce: bytes | None = None, at: float = NOW - 60, ends: float | None = NOW + 3600, algorithm: Any = hashes.SHA1(),  # noqa: B008, S303
) -> bytes:  # fmt: skip
    """Give a responder's answer; `by` is its certificate and key, the issuer's own without it."""
    certificate, key = by or (ROOT.credential.certificate, ROOT.credential.key)
    revoked = moment(NOW - DAY) if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        about.certificate, issuer.credential.certificate, algorithm, status, moment(at),
        None if ends is None else moment(ends), revoked, None,
    ).responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)  # fmt: skip
    if by is not None:
        builder = builder.certificates([certificate])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def read(data: bytes, now: float = NOW) -> Answer:
    return QUESTION.read(data, Instant(now))


def test_the_question_names_certificate_and_issuer_and_has_a_nonce() -> None:
    asked = ocsp.load_der_ocsp_request(QUESTION.der)
    assert asked.serial_number == LEAF.certificate.serial_number
    assert asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == QUESTION.nonce
    assert Question.about(LINK, AUTHORITY).nonce != QUESTION.nonce


def test_the_issuer_answers_itself() -> None:
    assert read(answer()) == Answer(revoked=False, this_update=Instant(NOW - 60), next_update=Instant(NOW + 3600))
    assert read(answer(ocsp.OCSPCertStatus.REVOKED)).revoked


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65_537, 2_048)])
def test_a_responder_that_the_issuer_certified_may_answer(key: Any) -> None:
    assert not read(answer(by=responder(ExtendedKeyUsageOID.OCSP_SIGNING, key=key))).revoked


def test_an_answer_may_repeat_the_nonce_and_name_the_issuer_by_any_hash() -> None:
    assert not read(answer(nonce=QUESTION.nonce)).revoked
    assert not read(answer(algorithm=hashes.SHA256())).revoked


def test_an_answer_without_end_counts_for_a_while() -> None:
    assert read(answer(ends=None)).next_update == NOW - 60 + ENDLESS


UNSUCCESSFUL = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)

FAULTS: dict[str, tuple[Any, str]] = {
    "garbage": (lambda: b"<html>", "no OCSP response"),
    "unsuccessful": (lambda: UNSUCCESSFUL, "answered try_later"),
    "of another certificate": (lambda: answer(about=OTHER), "about another certificate"),
    "of another issuer": (lambda: answer(issuer=STRANGER), "about another certificate"),
    "changed": (lambda: answer()[:-4] + b"abcd", "signed the answer|no OCSP response"),
    "by a stranger": (
        lambda: answer(by=(STRANGER.credential.certificate, STRANGER.credential.key)), "signed the answer",
    ),
    "by a stranger's responder": (
        lambda: answer(by=responder(ExtendedKeyUsageOID.OCSP_SIGNING, by=STRANGER)), "signed the answer",
    ),
    "by a server": (lambda: answer(by=responder(ExtendedKeyUsageOID.SERVER_AUTH)), "signed the answer"),
    "by a leaf": (lambda: answer(by=responder()), "signed the answer"),
    "by a responder that has ended": (
        lambda: answer(by=responder(ExtendedKeyUsageOID.OCSP_SIGNING, ends=-60)), "signed the answer",
    ),
    "to another question": (lambda: answer(nonce=b"another one here"), "another question"),
    "dated ahead": (lambda: answer(at=NOW + 3600, ends=NOW + 7200), "dated ahead"),
    "that knows nothing": (lambda: answer(ocsp.OCSPCertStatus.UNKNOWN), "does not know the certificate"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_does_not_count_says_why(fault: str) -> None:
    make, words = FAULTS[fault]
    with pytest.raises(ValueError, match=words):
        read(make())


def test_the_responders_certificate_counts_by_the_gates_clock() -> None:
    made = answer(by=responder(ExtendedKeyUsageOID.OCSP_SIGNING))
    with pytest.raises(ValueError, match="signed the answer"):
        read(made, NOW + timedelta(days=2).total_seconds())
