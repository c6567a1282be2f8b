from gateway.audit.events import ControlFailed, ControlRecovered
from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.engine.revocation import RevocationCheck, record_staleness
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.crl import RevocationList
from gateway.pki.revocation import Status
from tests.crls import DAY, chain, crl, der
from tests.unit.engine.gates import Made
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
ROOT = Authority.root("Partners CA", VALID)
ISSUING = ROOT.subordinate("Issuing CA", VALID)
LEAF = ISSUING.issue(Names("casino"), Purpose.CLIENT, VALID)
CHAIN = chain(LEAF, ISSUING, ROOT)


def check(*revoked: object, **settings: object) -> RevocationCheck:
    lists = [RevocationList(der(crl(ISSUING, *revoked))), RevocationList(der(crl(ROOT)))]  # type: ignore[arg-type]
    return RevocationCheck(Revocation(**settings), lists)  # type: ignore[arg-type]


def test_a_chain_is_judged_by_the_listeners_settings() -> None:
    late = Instant(NOW + DAY + 60)
    assert check().judge(CHAIN, NOW).status is Status.GOOD
    assert check(LEAF).judge(CHAIN, NOW).status is Status.REVOKED
    assert check().judge(CHAIN, late).status is Status.UNKNOWN
    assert check(stale_for=3600.0).judge(CHAIN, late).status is Status.GOOD
    only_leaf = RevocationCheck(Revocation(leaf_only=True), [RevocationList(der(crl(ISSUING)))])
    assert only_leaf.judge(CHAIN, NOW).status is Status.GOOD


def test_a_list_that_goes_out_of_date_is_recorded_once_and_so_is_its_end() -> None:
    made = Made()
    facts, late = made.gate.in_force.facts, Instant(NOW + DAY + 60)

    record_staleness([check()], made.gate.health, NOW, facts)
    assert made.log.events == []

    for _ in range(2):
        record_staleness([check(), check()], made.gate.health, late, facts)
    failed = made.log.of(ControlFailed)
    assert [event.control for event in failed] == ["revocation:CN=Issuing CA", "revocation:CN=Partners CA"]
    assert failed[0].detail == "the revocation list is out of date since 60 s"

    record_staleness([], made.gate.health, Instant(late + 5), facts)
    assert [event.control for event in made.log.of(ControlRecovered)] == [event.control for event in failed]
    assert made.gate.health.failing == {}


def test_other_failures_are_left_alone() -> None:
    made = Made()
    made.gate.health.failed("state", "down", NOW, made.gate.in_force.facts)
    record_staleness([], made.gate.health, NOW, made.gate.in_force.facts)
    assert set(made.gate.health.failing) == {"state"}
