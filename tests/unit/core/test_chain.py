import pytest

from gateway.core.chain import BODY_RULES, NOTHING, ORDER, answered


def test_the_order_is_cheap_and_identifying_first_and_nonces_last() -> None:
    assert ORDER == ("mutual_tls", "ip_allowlist", "token", "rate_limit", "signature", "replay")


def test_a_repetition_is_answered_before_its_amount_would_count_again() -> None:
    assert BODY_RULES == ("concurrency", "idempotency", "velocity")
    assert not set(BODY_RULES) & set(ORDER)


def test_an_answer_has_the_type_that_was_asked_for() -> None:
    assert answered(b"body", bytes) == b"body"


@pytest.mark.parametrize("answer", [None, "body", 1, bytearray(b"body")])
def test_an_answer_of_another_type_is_a_fault_of_the_engine(answer: object) -> None:
    with pytest.raises(TypeError, match="asked for bytes, answered with"):
        answered(answer, bytes)


def test_a_control_that_asks_nothing_gives_nothing_to_iterate() -> None:
    assert list(NOTHING) == []
