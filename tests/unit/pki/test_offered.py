"""What is looked at before any library reads it: its cost, counted."""

import pytest

from gateway.core.reasons import Denied, Reason
from gateway.pki.offered import MAX_CERTIFICATES, MAX_KEY_BITS, MAX_STATED, Cost, check_key, examine
from tests import offers
from tests.engine import pki
from tests.offers import certificate, message

PARTNER = pki.pki().clients["intermediate"]
DERS = [offers.ssl.PEM_cert_to_DER_cert(part + "-----END CERTIFICATE-----\n")
        for part in PARTNER.certificate_pem().decode().split("-----END CERTIFICATE-----\n")[:-1]]  # fmt: skip


def refused(offer: bytes, *, with_context: bool = True) -> tuple[Reason, str]:
    with pytest.raises(Denied) as caught:
        examine(offer, with_context=with_context)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("with_context", [True, False])
def test_an_ordinary_chain_costs_little(with_context: bool) -> None:
    cost = examine(message(*DERS, with_context=with_context), with_context=with_context)
    assert cost.certificates == 2
    assert 300 < cost.stated < 1_000


@pytest.mark.parametrize("with_context", [True, False])
def test_none_is_offered(with_context: bool) -> None:
    assert examine(message(with_context=with_context), with_context=with_context) == Cost()


@pytest.mark.parametrize(
    "info",
    [
        offers.rsa(), offers.rsa(MAX_KEY_BITS), offers.rsa(kind=offers.RSA_PSS), offers.curve(offers.P256),
        offers.curve("2b81040022"), offers.curve("2b2403030208010107"), offers.key(offers.ED25519), offers.good_key(),
    ],
    ids=["RSA", "RSA of the most bits", "RSA-PSS", "P-256", "P-384", "brainpool", "Ed25519", "one that was made now"],
)  # fmt: skip
def test_keys_that_are_taken(info: bytes) -> None:
    check_key(info)


@pytest.mark.parametrize(
    ("info", "reason", "detail"),
    [
        (offers.spelt_out(), Reason.TLS_CERTIFICATE_COSTLY, "an elliptic curve that is spelt out rather than named"),
        (offers.key(offers.EC), Reason.TLS_CERTIFICATE_COSTLY, "an elliptic curve that is spelt out rather than named"),
        (offers.curve(offers.SECT571), Reason.TLS_CERTIFICATE_COSTLY, "an elliptic curve that is not taken"),
        (
            offers.key(offers.EC, offers.identifier(offers.P256) + b"\x05\x00"),
            Reason.TLS_CERTIFICATE_COSTLY, "an elliptic curve that is not taken",
        ),
        (offers.rsa(MAX_KEY_BITS + 1), Reason.TLS_CERTIFICATE_COSTLY, "an RSA key of more than 8,192 bits"),
        (
            offers.rsa(exponent=(1 << 32) + 1),
            Reason.TLS_CERTIFICATE_COSTLY, "an RSA key with an exponent of more than 32 bits",
        ),
        (
            offers.key(offers.X25519),
            Reason.TLS_CERTIFICATE_COSTLY, "a key that is neither RSA, nor of a curve that is taken",
        ),
        (offers.key(offers.DSA), Reason.TLS_CERTIFICATE_WEAK, "DSA is no longer taken"),
        (offers.curve(offers.P224), Reason.TLS_CERTIFICATE_WEAK, "a curve below 256 bits"),
    ],
    ids=lambda one: "key" if isinstance(one, bytes) else None,
)  # fmt: skip
def test_keys_that_are_not(info: bytes, reason: Reason, detail: str) -> None:
    assert refused(message(certificate(info))) == (reason, detail)
    assert refused(message(*DERS, certificate(info))) == (reason, detail), "whoever sends it along"


def test_how_many_are_taken() -> None:
    one = certificate(offers.good_key())
    assert examine(message(*[one] * MAX_CERTIFICATES), with_context=True).certificates == MAX_CERTIFICATES
    assert refused(message(*[one] * (MAX_CERTIFICATES + 1))) == (
        Reason.TLS_CERTIFICATE_COSTLY, "9 certificates, at most 8 are taken",
    )  # fmt: skip


def test_how_much_they_may_state_all_together() -> None:
    least = examine(message(certificate(offers.good_key())), with_context=True).stated
    room = (MAX_STATED - 2 * least) // 2 - 12
    fitting = certificate(offers.good_key(), extra=room)
    assert MAX_STATED - 16 < examine(message(fitting, fitting), with_context=True).stated <= MAX_STATED
    reason, detail = refused(message(fitting, certificate(offers.good_key(), extra=room + 16)))
    assert reason is Reason.TLS_CERTIFICATE_COSTLY
    assert detail.endswith("bytes of names and extensions, at most 8,192 are taken")


def test_the_key_and_the_signature_do_not_count() -> None:
    small = examine(message(certificate(offers.rsa(2_048))), with_context=True)
    assert examine(message(certificate(offers.rsa(8_192))), with_context=True).stated - small.stated < 8


GOOD = certificate(offers.good_key())
INDEFINITE = GOOD.replace(offers.sequence(offers.identifier(offers.ECDSA_SHA256)), b"\x30\x80", 1)


@pytest.mark.parametrize(
    "offer",
    [
        b"", b"\0", b"\0\0\0", b"\0\0\0\1", b"\xff" * 40, message(GOOD)[:-1], message(GOOD) + b"\0", message(b""),
        message(b"\x30"), message(b"\x30\x00"), message(GOOD[:-1]), message(GOOD + b"\0"), message(INDEFINITE),
        message(GOOD.replace(b"\x02\x01\x07", b"\x1f\x01\x07", 1)), message(b"\x30\x85\0\0\0\0\1\0"),
        message(certificate(offers.key(offers.RSA, b"", b"\x30\x00"))), message(certificate(b"\x30\x00")),
        b"\0" + (5).to_bytes(3) + (9).to_bytes(3) + b"\0\0",
    ],
)  # fmt: skip
def test_what_is_no_der_is_not_read_on(offer: bytes) -> None:
    reason, detail = refused(offer)
    assert reason is Reason.TLS_CERTIFICATE_INVALID
    assert detail.startswith("cannot be read: ")
