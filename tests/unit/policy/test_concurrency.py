import pytest

from gateway.controls.concurrency import Concurrency
from gateway.policy.concurrency import read_concurrency
from tests.policy.reading import node, problems, reader


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("{per_partner: 20}", Concurrency(20, 300)),
        ("{per_partner: 1, lease: 24h}", Concurrency(1, 86_400)),
    ],
)
def test_what_a_route_says(text: str, control: Concurrency) -> None:
    used = reader()
    assert read_concurrency(used, node(text)) == control
    assert used.problems == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20", "a mapping with"),
        ("{lease: 5m}", "`per_partner` is missing"),
        ("{per_partner: 0}", "a whole number from 1 to 10,000"),
        ("{per_partner: 10_001}", "a whole number from 1 to 10,000"),
        ("{per_partner: 5, lease: 25h}", "no lease is as short or as long"),
        ("{per_partner: 5, lease: 500ms}", "is not a whole number of seconds"),
        ("{per_partner: 5, for: 5m}", "unknown key `for`"),
    ],
)
def test_what_cannot_be_understood(text: str, said: str) -> None:
    used = reader()
    assert read_concurrency(used, node(text)) is None
    assert said in "\n".join(problems(used))
