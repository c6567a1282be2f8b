from gateway.core.outgoing import Answered, Stamp
from tests.world import NOW


def test_an_answer_is_the_upstreams_unless_the_gate_says_that_it_is_its_own() -> None:
    assert Answered(200, (), b"").own is False


def test_a_stamp_has_a_time_and_a_nonce() -> None:
    assert Stamp(NOW, "id")._asdict() == {"now": NOW, "nonce": "id"}
