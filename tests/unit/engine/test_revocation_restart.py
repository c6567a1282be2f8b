"""What was learnt of revocation before a restart, and how it counts after one."""

from pathlib import Path

import pytest
from cryptography.x509 import ocsp

from gateway.core.policy import Revocation
from gateway.engine.fetch import FetchError
from gateway.engine.revocation_store import KeptLists
from gateway.pki.revocation import Status
from tests.crls import DAY, chain, crl, der
from tests.unit.engine.test_revocation_remote import ASKED, BY_POLICY, CHAIN, LEAF, ROOT, Up, answers
from tests.world import NOW


def kept_answers(folder: Path) -> list[Path]:
    return list(folder.glob("*.answer"))


async def test_a_list_outlives_a_restart_and_is_then_renewed(tmp_path: Path) -> None:
    before = Up(tmp_path)
    before.server.answer = der(crl(ROOT, LEAF))
    assert await before.judged(CHAIN) is Status.REVOKED

    up = Up(tmp_path)
    up.server.answer = FetchError("down")
    up.remote.adopt([up.settings])
    assert await up.judged(CHAIN) is Status.REVOKED
    assert up.server.asked == []

    up.server.answer = der(crl(ROOT, at=NOW - 60))
    await up.tick()
    assert await up.judged(CHAIN) is Status.GOOD


async def test_a_list_that_the_policy_no_longer_fetches_is_kept_no_longer(tmp_path: Path) -> None:
    before = Up(tmp_path)
    before.server.answer = der(crl(ROOT))
    await before.judged(CHAIN)
    assert len(KeptLists(tmp_path).load()) == 1

    Up(tmp_path).remote.adopt([Revocation()])

    assert KeptLists(tmp_path).load() == {}


@pytest.mark.parametrize(
    ("status", "judged"), [(ocsp.OCSPCertStatus.GOOD, Status.GOOD), (ocsp.OCSPCertStatus.REVOKED, Status.REVOKED)]
)
async def test_an_answer_outlives_a_restart_while_the_responder_is_down(
    tmp_path: Path, status: ocsp.OCSPCertStatus, judged: Status
) -> None:
    before, made = Up(tmp_path, **BY_POLICY), chain(ASKED, ROOT)
    before.server.answer = answers.answer(status)
    assert await before.judged(made) is judged

    up = Up(tmp_path, **BY_POLICY)
    up.server.answer = FetchError("down")
    up.remote.adopt([up.settings])
    assert await up.judged(made) is judged
    assert await up.judged(made) is judged


async def test_an_answer_of_before_the_restart_is_renewed_in_the_background(tmp_path: Path) -> None:
    before, made = Up(tmp_path, **BY_POLICY), chain(ASKED, ROOT)
    before.server.answer = answers.answer()
    await before.judged(made)

    up = Up(tmp_path, **BY_POLICY)
    up.server.answer = answers.answer(ocsp.OCSPCertStatus.REVOKED, at=NOW)
    assert await up.judged(made) is Status.GOOD
    assert up.server.asked == [], "no handshake waits for it"
    await up.tick(made)
    assert (await up.judged(made), up.remote.news) == (Status.REVOKED, True)


async def test_an_answer_of_before_the_restart_counts_no_longer_than_without_one(tmp_path: Path) -> None:
    before, made = Up(tmp_path, **BY_POLICY), chain(ASKED, ROOT)
    before.server.answer = answers.answer()
    await before.judged(made)

    up = Up(tmp_path, **BY_POLICY)
    up.time.move(30 * DAY)
    up.server.answer = FetchError("down")
    assert await up.judged(made) is Status.UNKNOWN


async def test_what_was_revoked_is_asked_for_again_when_it_comes_back(tmp_path: Path) -> None:
    before, made = Up(tmp_path, **BY_POLICY), chain(ASKED, ROOT)
    before.server.answer = answers.answer(ocsp.OCSPCertStatus.REVOKED)
    await before.judged(made)

    up = Up(tmp_path, **BY_POLICY)
    up.server.answer = answers.answer(at=NOW)
    assert await up.judged(made) is Status.GOOD


async def test_a_kept_answer_that_is_about_another_certificate_does_not_count(tmp_path: Path) -> None:
    before, made = Up(tmp_path, **BY_POLICY), chain(ASKED, ROOT)
    before.server.answer = answers.answer()
    await before.judged(made)
    own = kept_answers(tmp_path)[0]
    own.rename(tmp_path / f"{chain(answers.OTHER, ROOT).links[0].fingerprint.hex()}.answer")

    up = Up(tmp_path, **BY_POLICY)
    up.server.answer = FetchError("down")
    assert await up.judged(chain(answers.OTHER, ROOT)) is Status.UNKNOWN


async def test_answers_are_kept_no_longer_than_the_policy_asks_responders(tmp_path: Path) -> None:
    before = Up(tmp_path, **BY_POLICY)
    before.server.answer = answers.answer()
    await before.judged(chain(ASKED, ROOT))
    assert len(kept_answers(tmp_path)) == 1
    Up(tmp_path).remote.adopt([Revocation()])
    assert kept_answers(tmp_path) == []
