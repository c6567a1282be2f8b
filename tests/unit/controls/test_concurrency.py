import pytest

from gateway.controls.concurrency import Concurrency
from gateway.core.exchange import Exchange
from gateway.core.holds import Ended, Enter, Entered, Leave
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import Answers, World, check

CONTROL = Concurrency(3, 60)


def exchange() -> Exchange:
    entered = World().exchange()
    entered.partner = world.partner()
    return entered


def test_a_place_is_taken_and_freed_however_the_request_ends() -> None:
    entered, answers = exchange(), Answers()
    check(CONTROL, entered, answers)
    (ask,) = answers.asked
    assert ask == Enter(world.PARTNER, entered.policy.name, entered.route.name if entered.route else "", 3, 60)
    (hold,) = entered.holds
    for ended in (Ended(sent=False), Ended(sent=True), Ended(True, 200), Ended(True, 500)):
        assert hold.settle(ended) == Leave(ask, "token")
    assert (hold.wants, hold.fields) == (None, frozenset())


def test_without_a_place_the_request_is_refused_and_nothing_is_held() -> None:
    entered = exchange()
    with pytest.raises(Denied) as caught:
        check(CONTROL, entered, Answers({Enter: lambda _: Entered(False)}))
    assert caught.value.reason is Reason.CONCURRENCY_REACHED
    assert caught.value.detail == f"3 requests of {world.PARTNER} are in flight"
    assert caught.value.fields == (("retry-after", "1"),)
    assert entered.holds == ()


def test_whoever_is_not_identified_has_no_place() -> None:
    with pytest.raises(Denied) as caught:
        check(CONTROL, World().exchange())
    assert caught.value.reason is Reason.PARTNER_UNKNOWN
