from typing import Any

import pytest

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.crl import RevocationList
from gateway.pki.revocation import GOOD, Lists, Status, Verdict, judge
from tests.crls import DAY, chain, crl, der
from tests.unit.pki.test_crl import distribution
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
ROOT = Authority.root("Partners CA", VALID)
ISSUING = ROOT.subordinate("Issuing CA", VALID)
STRANGER = Authority.root("Issuing CA", VALID)
LEAF = ISSUING.issue(Names("casino"), Purpose.CLIENT, VALID)
CHAIN = chain(LEAF, ISSUING, ROOT)


def judged(*lists: Any, now: float = NOW, stale_for: float = 0.0, leaf_only: bool = False) -> Verdict:
    known = Lists(RevocationList(der(each)) for each in lists)
    return judge(CHAIN, known, Instant(now), stale_for=stale_for, leaf_only=leaf_only)


def both(*revoked: Any, **options: Any) -> tuple[Any, Any]:
    return crl(ISSUING, *revoked, **options), crl(ROOT, ends=NOW + 2 * DAY)


def test_what_is_on_no_list_of_its_issuers_is_good_until_the_first_of_them_ends() -> None:
    assert judged(*both()) == Verdict(Status.GOOD, until=Instant(NOW + DAY))


def test_what_its_issuer_lists_is_revoked() -> None:
    found = judged(*both(LEAF))
    assert found.status is Status.REVOKED
    assert f"{LEAF.certificate.serial_number:x}" in found.detail
    assert "CN=casino" in found.detail


def test_a_revoked_issuer_takes_all_that_it_issued_along() -> None:
    lists = crl(ISSUING), crl(ROOT, ISSUING.credential)
    assert judged(*lists).status is Status.REVOKED
    assert judged(*lists, leaf_only=True).status is Status.GOOD


def test_the_number_alone_means_nothing_on_another_issuers_list() -> None:
    assert judged(crl(ISSUING), crl(ROOT, LEAF)).status is Status.GOOD


@pytest.mark.parametrize(
    "lists",
    [(), (crl(ROOT),), (crl(ISSUING),), (crl(ROOT), crl(STRANGER)), (crl(ROOT), crl(ISSUING, by=STRANGER))],
    ids=["none", "not the issuer's", "not the root's", "of another CA of that name", "forged"],
)
def test_without_a_list_of_each_issuer_nothing_is_known(lists: Any) -> None:
    found = judged(*lists)
    assert found.status is Status.UNKNOWN
    assert found.detail.startswith("no revocation list of CN=")


def test_a_forged_list_revokes_nobody() -> None:
    assert judged(*both(), crl(ISSUING, LEAF, by=STRANGER)).status is Status.GOOD


def test_the_newest_list_counts() -> None:
    older = crl(ISSUING, LEAF, at=NOW - 7200)
    assert judged(*both(), older).status is Status.GOOD
    assert judged(*both(LEAF), crl(ISSUING, at=NOW - 7200)).status is Status.REVOKED


def test_a_list_of_tomorrow_does_not_count_yet() -> None:
    assert judged(crl(ISSUING, at=NOW + 3600), crl(ROOT)).status is Status.UNKNOWN
    assert judged(crl(ISSUING, at=NOW + 60), crl(ROOT)).status is Status.GOOD  # clocks disagree


def test_a_list_that_is_out_of_date_tells_only_who_is_revoked() -> None:
    late = NOW + DAY + 1
    found = judged(*both(), now=late)
    assert (found.status, found.detail) == (Status.UNKNOWN, "the revocation list of CN=Issuing CA is out of date")
    assert judged(*both(LEAF), now=late).status is Status.REVOKED


def test_the_policy_may_let_a_list_stand_for_a_while() -> None:
    late = NOW + DAY + 3600
    assert judged(*both(), now=late, stale_for=3600) == Verdict(Status.GOOD, until=Instant(late))
    assert judged(*both(), now=late + 1, stale_for=3600).status is Status.UNKNOWN


def test_lists_in_parts_count_for_their_part() -> None:
    users = crl(ISSUING, extensions=[distribution(only_contains_user_certs=True)])
    authorities = crl(ISSUING, LEAF, extensions=[distribution(only_contains_ca_certs=True)])
    assert judged(users, authorities, crl(ROOT)).status is Status.GOOD
    assert judged(authorities, crl(ROOT)).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("one", "other", "worse"),
    [
        (GOOD, Verdict(Status.UNKNOWN), Status.UNKNOWN),
        (Verdict(Status.UNKNOWN), Verdict(Status.REVOKED), Status.REVOKED),
        (Verdict(Status.REVOKED), GOOD, Status.REVOKED),
    ],
)
def test_of_two_verdicts_the_worse_one_counts(one: Verdict, other: Verdict, worse: Status) -> None:
    assert one.worse(other).status is other.worse(one).status is worse


def test_of_two_good_verdicts_the_one_counts_that_ends_first() -> None:
    sooner, later = Verdict(Status.GOOD, until=Instant(1.0)), Verdict(Status.GOOD, until=Instant(2.0))
    assert sooner.worse(later) is later.worse(sooner) is sooner


def test_issuers_are_named_with_the_end_of_their_newest_list() -> None:
    lists = Lists(RevocationList(der(each)) for each in (*both(), crl(ISSUING, at=NOW - DAY, ends=NOW - 3600)))
    assert lists.ends() == {"CN=Issuing CA": NOW + DAY, "CN=Partners CA": NOW + 2 * DAY}


def test_of_an_issuers_lists_in_parts_the_first_end_counts() -> None:
    parts = [
        crl(ISSUING, ends=NOW + end, extensions=[distribution(**{part: True})])
        for part, end in (("only_contains_user_certs", 60), ("only_contains_ca_certs", 3600))
    ]
    assert Lists(RevocationList(der(each)) for each in parts).ends() == {"CN=Issuing CA": NOW + 60}
