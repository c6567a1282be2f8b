import pytest

from gateway.audit.events import ControlFailed, ControlRecovered, Event, PolicyFacts
from gateway.core.message import Instant
from gateway.engine.health import Health
from tests.world import NOW

POLICY = PolicyFacts("psp", "0" * 64)
LATER = Instant(NOW + 60)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def health(events: list[Event]) -> Health:
    return Health(events.append)


def test_the_beginning_of_a_failure_is_recorded_once(health: Health, events: list[Event]) -> None:
    health.failed("state", "no space left", NOW, POLICY)
    health.failed("state", "still none", LATER, POLICY)
    assert events == [ControlFailed(at=NOW, policy=POLICY, control="state", detail="no space left")]
    assert health.failing == {"state": NOW}


def test_the_end_of_a_failure_tells_its_beginning(health: Health, events: list[Event]) -> None:
    health.failed("state", "no space left", NOW, POLICY)
    health.worked(["policy", "state"], LATER, POLICY)
    health.worked(["state"], LATER, POLICY)
    assert events[1:] == [
        ControlRecovered(at=LATER, policy=POLICY, control="state", failed_at=NOW, detail="works again")
    ]
    assert health.failing == {}


def test_what_ends_a_failure_may_be_said(health: Health, events: list[Event]) -> None:
    health.failed("state", "no space left", NOW, POLICY)
    health.worked(["state"], LATER, POLICY, "no longer in the policy")
    (_, recovered) = events
    assert isinstance(recovered, ControlRecovered)
    assert recovered.detail == "no longer in the policy"


def test_what_never_failed_does_not_recover(health: Health, events: list[Event]) -> None:
    health.worked(["state"], NOW, POLICY)
    health.failed("token.keys:operator", "", NOW, POLICY)
    health.worked(["state"], NOW, POLICY)
    assert len(events) == 1
    assert health.failing == {"token.keys:operator": NOW}


def test_a_control_that_fails_again_is_recorded_again(health: Health, events: list[Event]) -> None:
    for at in (NOW, LATER):
        health.failed("state", "", at, POLICY)
        health.worked(["state"], at, POLICY)
    assert [event.at for event in events] == [NOW, NOW, LATER, LATER]
