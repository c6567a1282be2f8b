import orjson
import pytest

from gateway.core.reasons import Reason
from gateway.engine.problem import Answer, problem

UNANSWERED = [reason for reason in Reason if reason.status is None or reason is Reason.ALLOWED]
ANSWERED = [reason for reason in Reason if reason not in UNANSWERED]


@pytest.mark.parametrize("reason", ANSWERED, ids=lambda reason: reason.code)
def test_a_refusal_is_problem_details(reason: Reason) -> None:
    answer = problem(reason, "request-1", "x-gateway-request-id")
    assert answer.status == reason.status
    assert orjson.loads(answer.body) == {
        "type": f"urn:gateway:reason:{reason.code}",
        "title": reason.title,
        "status": reason.status,
        "code": reason.code,
        "request_id": "request-1",
    }


def test_a_refusal_is_not_kept_by_caches_and_carries_the_fields_of_its_denial() -> None:
    fields = [("retry-after", "7")]
    answer = problem(Reason.RATE_EXCEEDED, "request-1", "x-psp-request-id", fields)
    assert answer.fields == (
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("x-psp-request-id", "request-1"),
        ("retry-after", "7"),
    )


@pytest.mark.parametrize("reason", UNANSWERED, ids=lambda reason: reason.code)
def test_what_closes_the_connection_or_refuses_nothing_has_no_answer(reason: Reason) -> None:
    with pytest.raises(RuntimeError, match="no refusal that HTTP can answer"):
        problem(reason, "request-1", "x-gateway-request-id")


def test_an_answer_cannot_be_changed() -> None:
    assert hash(Answer(200, (), b"")) == hash(Answer(200, (), b""))
