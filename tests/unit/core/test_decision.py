import pytest

from gateway.core.decision import Decision
from gateway.core.reasons import Reason
from tests.world import World


@pytest.mark.parametrize("reason", Reason)
def test_a_decision_allows_by_its_reason_alone(reason: Reason) -> None:
    decision = Decision(reason, "", None, (), World().exchange())
    assert decision.allowed == (reason is Reason.ALLOWED)


def test_what_was_decided_cannot_be_changed() -> None:
    decision = World(method=b"GET", body=b"").decide()
    for name in ("allowed", "reason"):
        with pytest.raises(AttributeError):
            setattr(decision, name, Reason.ALLOWED)
    assert not decision.allowed
