from gateway.core.holds import KeyState
from gateway.core.message import Instant
from gateway.state.keys import LATER, SWEEP, Keys
from tests.unit.state.money_store import key
from tests.world import NOW

MANY = 10 * SWEEP


def digest(number: int) -> bytes:
    return b"%016d" % number


def test_keys_past_their_time_are_let_go_of_a_few_at_a_time() -> None:
    keys = Keys(1_000, 1_000)
    for number in range(MANY):
        keys.take(digest(number), key()).state = KeyState.UNKNOWN
    later = Instant(NOW + 2_000)
    for asked in range(1, 4):
        keys.look(b"other", key(), later)
        assert len(keys) == MANY - asked * SWEEP


def test_a_key_that_is_taken_again_and_again_is_held_once() -> None:
    keys = Keys(1_000, 1_000)
    for number in range(100):
        keys.take(digest(0), key(until=Instant(NOW + number))).state = KeyState.UNKNOWN
    assert len(keys) == 1
    keys.look(digest(0), key(), Instant(NOW + 1))
    assert len(keys._shares["acme"].order) == 1


def test_a_key_that_was_taken_again_lives_as_long_as_its_last_request() -> None:
    keys = Keys(1_000, 1_000)
    keys.take(digest(0), key(lease=NOW, until=Instant(NOW + 10)))
    keys.take(digest(0), key(lease=NOW, until=Instant(NOW + 30))).state = KeyState.UNKNOWN
    state, _ = keys.look(digest(0), key(), Instant(NOW + 20))
    assert state is KeyState.UNKNOWN
    assert keys.look(digest(0), key(), Instant(NOW + 30)) == (KeyState.ABSENT, None)


def test_a_key_that_was_forgotten_is_not_restored() -> None:
    keys = Keys(1_000, 1_000)
    keys.restore("acme", digest(0), KeyState.ANSWERED, b"")
    assert len(keys) == 0


def test_a_key_in_flight_is_not_forgotten_and_not_looked_at_all_the_time() -> None:
    keys = Keys(1_000, 1_000)
    taken = keys.take(digest(0), key())
    late = Instant(NOW + 5_000)
    for _ in range(3):
        state, _ = keys.look(digest(0), key(), late)
        assert state is KeyState.IN_FLIGHT
    assert keys._shares["acme"].order == [(late + LATER, digest(0))]
    taken.state = KeyState.ANSWERED
    assert keys.look(digest(0), key(), late) == (KeyState.ABSENT, None)
