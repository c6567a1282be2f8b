import pytest

from gateway.core.holds import StoredAnswer
from gateway.core.secret import Secret
from gateway.state.answers import Answers
from tests.unit.state.money_store import ANSWER

KEY = b"k" * 16
SEALING = Answers(Secret(b"s" * 32))


@pytest.mark.parametrize("answers", [Answers(None), SEALING])
@pytest.mark.parametrize("answer", [ANSWER, StoredAnswer(204, (), b""), ANSWER._replace(body=bytes(range(256)))])
def test_an_answer_is_had_back_as_it_was(answers: Answers, answer: StoredAnswer) -> None:
    assert answers.open(KEY, answers.pack(KEY, answer)) == answer


def test_a_sealed_answer_shows_nothing() -> None:
    packed = SEALING.pack(KEY, ANSWER)
    assert b"balance" not in packed
    assert packed != SEALING.pack(KEY, ANSWER)


@pytest.mark.parametrize(
    ("answers", "digest"), [(Answers(Secret(b"o" * 32)), KEY), (SEALING, b"o" * 16), (Answers(None), KEY)]
)
def test_a_sealed_answer_opens_for_its_secret_and_its_key_only(answers: Answers, digest: bytes) -> None:
    assert answers.open(digest, SEALING.pack(KEY, ANSWER)) is None


def test_what_was_put_there_in_clear_is_not_given_where_answers_are_sealed() -> None:
    assert SEALING.open(KEY, Answers(None).pack(KEY, ANSWER)) is None


@pytest.mark.parametrize("place", [0, 1, 12, 13, -1])
def test_a_changed_answer_is_none(place: int) -> None:
    packed = bytearray(SEALING.pack(KEY, ANSWER))
    packed[place] ^= 1
    assert SEALING.open(KEY, bytes(packed)) is None


@pytest.mark.parametrize("packed", [b"", b"\x00", b"\x00[]\n", b"\x00{\n", b"\x00[200,[[1]]]\n", b"\x02x", b"\x01"])
def test_what_is_no_answer_is_none(packed: bytes) -> None:
    assert Answers(None).open(KEY, packed) is None
