"""Whatever is fetched or put in place: a list or an answer is read, or refused with a ValueError, and nothing else."""

from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Instant
from gateway.pki.crl import RevocationList, read_lists
from gateway.pki.der import integer
from tests.crls import Entry, crl, der, pem
from tests.unit.pki.test_ocsp import NOW, QUESTION, ROOT, answer

REASON = x509.CRLReason(x509.ReasonFlags.key_compromise)
LIST = der(crl(ROOT, 1, Entry(2**150, REASON), 3, extensions=[(x509.CRLNumber(9), False)]))
ANSWER = answer()


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Give what is almost the data: some octets changed, cut out or put in."""
    place = st.integers(0, len(data) - 1)

    def changed(edits: list[tuple[int, int, bytes]]) -> bytes:
        made = bytearray(data)
        for at, length, put in edits:
            made[at : at + length] = put
        return bytes(made)

    edit = st.tuples(place, st.integers(0, 3), st.binary(max_size=3))
    return st.lists(edit, min_size=1, max_size=4).map(changed)


@given(st.one_of(st.binary(max_size=300), mutations(LIST), mutations(pem(crl(ROOT, 1)))))
def test_any_bytes_are_lists_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        for found in read_lists(data):
            assert len(found) >= 0
            found.signed_by(ROOT.credential.certificate, b"root")


@given(mutations(LIST))
def test_a_list_that_was_changed_is_not_its_authoritys(data: bytes) -> None:
    with suppress(ValueError):
        if RevocationList(data).signed_by(ROOT.credential.certificate, b"root"):
            # The signature covers all but its own encoding and the algorithm beside it.
            assert x509.load_der_x509_crl(data).tbs_certlist_bytes == x509.load_der_x509_crl(LIST).tbs_certlist_bytes


@given(st.one_of(st.binary(max_size=300), mutations(ANSWER)))
def test_any_bytes_are_an_answer_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        found = QUESTION.read(data, Instant(NOW))
        assert not found.revoked


@given(st.lists(st.integers(1, 2**159 - 1), unique=True, max_size=60))
def test_every_number_on_a_list_is_found_and_no_other(serials: list[int]) -> None:
    found = RevocationList(crl(ROOT, *serials).public_bytes(Encoding.DER))
    assert len(found) == len(serials)
    assert all(integer(serial) in found for serial in serials)
    assert all(integer(serial + 1) not in found for serial in serials if serial + 1 not in serials)
