import pytest

from gateway.controls.charged_rates import AnswerCost, ChargedRates
from gateway.core.document import Pointer
from gateway.policy.rates import read_rates
from tests.policy.reading import node, problems, reader


def cost(text: str, limit: str = "limit: 500/minute") -> AnswerCost:
    used = reader()
    rates = read_rates(used, node(f"[{{{limit}, per: partner, name: units, cost: {text}}}]"))
    assert problems(used) == []
    assert isinstance(rates, ChargedRates)
    return rates.charges["units"]


def test_a_field_of_the_answer() -> None:
    assert cost("{answer: {header: X-Cost}, most: 50}") == AnswerCost(50, "x-cost")


def test_a_value_of_the_answer() -> None:
    assert cost("{answer: {pointer: /usage/units}, most: 50}") == AnswerCost(50, pointer=Pointer("/usage/units"))


def test_the_status_of_the_answer_one_by_itself_before_its_class() -> None:
    made = cost("{answer: {status: {404: 2, 4xx: 10}}}")
    assert made.statuses is not None
    assert (made.most, made.statuses[404], made.statuses[401], made.statuses.get(200)) == (10, 2, 10, None)


def test_the_least_is_taken_before() -> None:
    used = reader()
    text = "{limit: 9/second, burst: 500, per: partner, cost: {answer: {header: X-Cost}, least: 5, most: 500}}"
    rates = read_rates(used, node(f"[{text}]"))
    assert (problems(used), rates is not None and rates.limits[0].cost) == ([], 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{answer: {header: X-Cost}}", "`most` is missing"),
        ("{answer: {header: X-Cost}, most: 501}", "a whole number from 1 to 500"),
        ("{answer: {header: X-Cost}, least: 9, most: 8}", "a whole number from 9 to 500"),
        ("{answer: {header: X-Cost}, least: 0, most: 8}", "a whole number from 1 to 500"),
        ("{answer: {header: 'X Cost'}, most: 5}", "`X Cost`"),
        ("{answer: {pointer: usage}, most: 5}", "`usage` is no JSON pointer"),
        ("{answer: {}, most: 5}", "in one place"),
        ("{answer: {header: X, pointer: /a}, most: 5}", "in one place"),
        ("{answer: X-Cost, most: 5}", "{header: NAME}"),
        ("{answer: {trailer: X}, most: 5}", "`trailer`"),
        ("{answer: {status: {4xx: 10}}, most: 5}", "`most`"),
        ("{answer: {status: {}}}", "names no status"),
        ("{answer: {status: {6xx: 10}}}", "`6xx` is no status"),
        ("{answer: {status: {4xx: 501}}}", "a whole number from 1 to 500"),
        ("{answer: {status: 4xx}}", "costs by status"),
    ],
)
def test_a_cost_that_cannot_be_understood(text: str, said: str) -> None:
    used = reader()
    assert read_rates(used, node(f"[{{limit: 500/minute, per: partner, cost: {text}}}]")) is None
    assert said in "\n".join(problems(used))
