from typing import get_args

import pytest

from gateway.audit.events import Event
from tests.unit.audit.examples import EVENTS, NOW


def test_every_kind_of_event_has_an_example() -> None:
    assert {type(event) for event in EVENTS.values()} == set(get_args(Event.__value__))


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_does_not_change_after_it_was_made(event: Event) -> None:
    with pytest.raises(AttributeError):
        event.at = NOW
