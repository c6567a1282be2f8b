from gateway.core.holds import Enter, Leave
from gateway.core.message import Instant
from gateway.core.stores import StateSettings
from gateway.state.in_flight import InFlight
from gateway.state.memory import MemoryState
from tests.world import NOW


def ask(partner: str = "acme", route: str = "pay", most: int = 2) -> Enter:
    return Enter(partner, "psp", route, most, 60)


def test_so_many_are_in_flight_and_no_more_until_one_ends() -> None:
    places = InFlight()
    taken = [places.enter(ask(), NOW) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, True, False]
    places.leave(Leave(ask(), taken[0].token))
    assert [places.enter(ask(), NOW).allowed for _ in range(2)] == [True, False]


def test_partners_and_routes_are_counted_apart() -> None:
    places = InFlight()
    for each in (ask(most=1), ask("blue", most=1), ask(route="other", most=1)):
        assert [places.enter(each, NOW).allowed for _ in range(2)] == [True, False]


def test_a_place_is_freed_once() -> None:
    places = InFlight()
    first, second = (places.enter(ask(), NOW) for _ in range(2))
    for _ in range(3):
        places.leave(Leave(ask(), first.token))
    assert [places.enter(ask(), NOW).allowed for _ in range(2)] == [True, False]
    places.leave(Leave(ask("nobody"), second.token))


def test_a_lease_ends() -> None:
    places = InFlight()
    kept = places.enter(ask(), NOW)
    assert places.enter(ask(), Instant(NOW + 59)).allowed
    assert not places.enter(ask(), Instant(NOW + 59.9)).allowed
    assert places.enter(ask(), Instant(NOW + 60)).allowed
    places.leave(Leave(ask(), kept.token))  # it was over, and takes nobody else's
    assert not places.enter(ask(), Instant(NOW + 60)).allowed


def test_nothing_is_kept_of_a_partner_without_requests() -> None:
    places = InFlight()
    places.leave(Leave(ask(), places.enter(ask(), NOW).token))
    assert len(places) == 0


def test_the_state_of_a_process_has_places() -> None:
    state = MemoryState(StateSettings())
    taken = state.enter(ask(most=1), NOW)
    assert not state.enter(ask(most=1), NOW).allowed
    state.settle(Leave(ask(), taken.token), NOW)
    assert state.enter(ask(most=1), NOW).allowed


def test_places_that_are_taken_are_told() -> None:
    places = InFlight()
    assert places.taken("psp", "deposit", "acme", NOW) == 0
    for _ in range(2):
        places.enter(Enter("acme", "psp", "deposit", 5, 60), NOW)
    assert places.taken("psp", "deposit", "acme", NOW) == 2
    assert places.taken("psp", "deposit", "acme", Instant(NOW + 60)) == 0
