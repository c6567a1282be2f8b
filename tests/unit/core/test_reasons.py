import re

import pytest

from gateway.core.reasons import Denied, Reason, Unavailable

CLOSED_WITHOUT_ANSWER = {"connection", "tls"}
REASONS = pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)


def test_codes_are_unique() -> None:
    codes = [reason.code for reason in Reason]
    assert sorted(set(codes)) == sorted(codes)


def test_no_reason_is_another_name_of_one() -> None:
    assert len(Reason.__members__) == len(list(Reason))


@REASONS
def test_a_code_is_area_and_fault(reason: Reason) -> None:
    assert reason is Reason.ALLOWED or re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", reason.code)


@REASONS
def test_a_status_says_whose_fault_it_is(reason: Reason) -> None:
    area = reason.code.partition(".")[0]
    if area in CLOSED_WITHOUT_ANSWER or reason is Reason.CLIENT_CLOSED:
        assert reason.status is None
    elif area in ("gate", "upstream"):
        assert reason.status in (502, 503, 504)
    elif reason not in (Reason.ALLOWED, Reason.IDEMPOTENCY_ANSWERED):  # the one is forwarded, the other answered
        assert reason.status is not None
        assert 400 <= reason.status < 600


@REASONS
def test_the_title_is_a_few_words(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][^.]{3,60}", reason.title)


@REASONS
@pytest.mark.parametrize("reader", ["deployer", "author", "auditor"])
def test_each_reader_gets_a_sentence(reason: Reason, reader: str) -> None:
    sentence = getattr(reason, reader)
    assert sentence.endswith(".")
    assert sentence == sentence.strip()
    assert "  " not in sentence


def test_a_title_tells_the_caller_nothing_of_the_policy() -> None:
    assert not [reason for reason in Reason if "partners." in reason.title or "issuers." in reason.title]


def test_a_denial_carries_its_reason_and_fields() -> None:
    denied = Denied(Reason.RATE_EXCEEDED, "5/minute", (("retry-after", "7"),))
    assert (denied.reason, denied.detail, denied.fields) == (Reason.RATE_EXCEEDED, "5/minute", (("retry-after", "7"),))
    assert str(denied) == "rate.exceeded: 5/minute"


def test_what_is_unavailable_names_the_denial_it_leads_to() -> None:
    unavailable = Unavailable(Reason.STATE_UNAVAILABLE, "no answer")
    assert (unavailable.reason, unavailable.detail) == (Reason.STATE_UNAVAILABLE, "no answer")
    assert str(unavailable) == "gate.state_unavailable: no answer"


@pytest.mark.parametrize("error", [Denied, Unavailable])
def test_a_denial_cannot_say_allowed(error: type[Denied | Unavailable]) -> None:
    with pytest.raises(RuntimeError, match="other than ALLOWED"):
        error(Reason.ALLOWED)
