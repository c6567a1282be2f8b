import pytest

from gateway.core.decision import Decision
from gateway.core.reasons import Reason
from tests.world import World


@pytest.mark.parametrize(("allowed", "reason"), [(True, Reason.ALLOWED), (False, Reason.ROUTE_UNKNOWN)])
def test_a_decision_says_one_thing(allowed: bool, reason: Reason) -> None:
    assert Decision(allowed, reason, "", None, (), World().exchange()).reason is reason


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [(False, Reason.ALLOWED), *((True, reason) for reason in Reason if reason is not Reason.ALLOWED)],
)
def test_a_decision_that_contradicts_itself_cannot_be_made(allowed: bool, reason: Reason) -> None:
    with pytest.raises(RuntimeError, match="with reason"):
        Decision(allowed, reason, "", None, (), World().exchange())
