"""Revocation lists that somebody on the way puts in the place of the CA's: plain HTTP lets anybody answer."""

from pathlib import Path

import pytest

from gateway.engine.revocation_store import KeptLists
from gateway.pki.authority import Authority
from gateway.pki.revocation import Status
from tests.crls import DAY, chain, crl, der
from tests.unit.engine.test_revocation_remote import CHAIN, LEAF, POINT, ROOT, VALID, Up
from tests.world import NOW

ATTACKER = Authority.root("Partners CA", VALID)
"""By the name of the CA, but with another key."""
FORGED = [
    crl(ROOT, by=ATTACKER, at=NOW - 1),
    crl(ROOT, by=ATTACKER, at=NOW + 3_650 * DAY, ends=NOW + 3_651 * DAY),
    crl(ATTACKER, at=NOW - 1),
    crl(Authority.root("Somebody", VALID), at=NOW - 1),
]


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_list_does_not_take_the_place_of_a_good_one(forged: object) -> None:
    up = Up()
    up.server.answer = der(crl(ROOT))
    assert await up.judged(CHAIN) is Status.GOOD

    up.time.move(3_600)
    up.server.answer = der(forged)  # type: ignore[arg-type]
    await up.tick()

    assert up.told[-1] == (
        f"revocation.fetch:{POINT}", "the list is not signed by the issuer of the certificates that name it",
    )  # fmt: skip
    assert await up.judged(CHAIN) is Status.GOOD


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_list_does_not_stand_in_the_way_of_a_good_one(tmp_path: Path, forged: object) -> None:
    KeptLists(tmp_path).put(POINT, der(forged))  # type: ignore[arg-type]
    up = Up(tmp_path)
    up.remote.adopt([up.settings])
    up.server.answer = der(crl(ROOT, LEAF))
    assert await up.judged(CHAIN) is Status.REVOKED


async def test_nothing_is_fetched_before_it_is_known_who_may_have_signed_it(tmp_path: Path) -> None:
    KeptLists(tmp_path).put(POINT, der(crl(ROOT)))
    up = Up(tmp_path)
    up.remote.adopt([up.settings])
    await up.tick()
    assert up.server.asked == []


async def test_a_ca_that_changes_its_key_is_followed() -> None:
    up, old = Up(), CHAIN
    fresh = Authority.root(ROOT.credential.certificate.subject.rfc4514_string().removeprefix("CN="), VALID)
    new = chain(LEAF, fresh)
    up.server.answer = der(crl(fresh))
    assert await up.judged(old) is Status.UNKNOWN
    assert await up.judged(new) is Status.GOOD, "though it was refused just now for the other's sake"
