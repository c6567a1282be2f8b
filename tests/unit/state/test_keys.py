from gateway.core.holds import KeyState
from gateway.core.message import Instant
from gateway.state.keys import SWEEP, Keys
from tests.unit.state.money_store import key
from tests.world import NOW

MANY = 10 * SWEEP


def digest(number: int) -> bytes:
    return b"%016d" % number


def test_keys_past_their_time_are_let_go_of_a_few_at_a_time() -> None:
    keys = Keys(1_000, 1_000)
    for number in range(MANY):
        keys.take(digest(number), key())
    later = Instant(NOW + 2_000)
    for asked in range(1, 4):
        keys.look(b"other", key(), later)
        assert len(keys) == MANY - asked * SWEEP


def test_a_key_that_is_taken_again_and_again_is_held_once() -> None:
    keys = Keys(1_000, 1_000)
    for number in range(100):
        keys.take(digest(0), key(until=Instant(NOW + number)))
    assert len(keys) == 1
    keys.look(digest(0), key(), Instant(NOW + 1))
    assert len(keys._shares["acme"].order) == 1


def test_a_key_that_was_taken_again_lives_as_long_as_its_last_request() -> None:
    keys = Keys(1_000, 1_000)
    keys.take(digest(0), key(lease=NOW, until=Instant(NOW + 10)))
    keys.take(digest(0), key(lease=NOW, until=Instant(NOW + 30)))
    state, _ = keys.look(digest(0), key(), Instant(NOW + 20))
    assert state is KeyState.UNKNOWN
    assert keys.look(digest(0), key(), Instant(NOW + 30)) == (KeyState.ABSENT, None)


def test_a_key_that_was_forgotten_is_not_restored() -> None:
    keys = Keys(1_000, 1_000)
    keys.restore("acme", digest(0), KeyState.ANSWERED, b"")
    assert len(keys) == 0
