from gateway.audit.events import PolicyFacts
from gateway.engine.in_force import InForce
from tests import world


def test_records_name_the_policy() -> None:
    made = InForce(world.policy(), {})
    assert made.facts == PolicyFacts("psp", "0" * 64)
    assert made.revocation == {}
