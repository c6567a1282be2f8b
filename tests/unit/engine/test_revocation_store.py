import os
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.engine.revocation_store import FORGOTTEN, KeptAnswers, KeptLists
from tests.crls import crl, der, pem
from tests.unit.engine.test_revocation import ISSUING, ROOT

ONE, OTHER = "http://crl.example/one", "http://crl.example/other"


def test_lists_are_kept_by_their_url(tmp_path: Path) -> None:
    kept = KeptLists(tmp_path / "new" / "folder")
    assert kept.load() == {}
    kept.put(ONE, der(crl(ROOT, 1)))
    kept.put(OTHER, pem(crl(ISSUING, 1, 2)))
    kept.put(ONE, der(crl(ROOT, 1, 2, 3)))
    assert {url: len(each) for url, each in kept.load().items()} == {ONE: 3, OTHER: 2}
    kept.drop(ONE)
    kept.drop(ONE)
    assert list(kept.load()) == [OTHER]


@pytest.mark.parametrize("data", [b"", b"no url", b"http://x\n", b"\xff\n" + der(crl(ROOT)), der(crl(ROOT))])
def test_what_cannot_be_read_is_passed_over(tmp_path: Path, data: bytes) -> None:
    kept = KeptLists(tmp_path)
    kept.put(ONE, der(crl(ROOT)))
    (tmp_path / "damaged.list").write_bytes(data)
    (tmp_path / "folder.list").mkdir()
    assert list(kept.load()) == [ONE]


def test_a_file_beyond_all_measure_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptLists(tmp_path)
    kept.put(ONE, der(crl(ROOT)))
    monkeypatch.setattr("gateway.engine.revocation_store.MAX_BYTES", -4_096)
    assert kept.load() == {}


# Answers

CASINO, BINGO = b"\x0c" * 32, b"\xb1" * 32


def test_answers_are_kept_by_the_certificate(tmp_path: Path) -> None:
    kept = KeptLists(tmp_path / "new").answers
    assert kept.get(CASINO) is None
    kept.put(CASINO, b"nonce", b"answer\nof two lines")
    kept.put(BINGO, b"", b"older")
    kept.put(BINGO, b"", b"newer")
    assert (kept.get(CASINO), kept.get(BINGO)) == ((b"nonce", b"answer\nof two lines"), (b"", b"newer"))
    kept.drop(CASINO)
    kept.drop(CASINO)
    assert kept.get(CASINO) is None
    assert KeptLists(tmp_path / "new").load() == {}, "they are no lists"


@pytest.mark.parametrize("data", [b"\xff\n", b"no hex\nanswer", b"x" * 80_000])
def test_an_answer_that_cannot_be_read_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / f"{CASINO.hex()}.answer").write_bytes(data)
    assert KeptAnswers(tmp_path).get(CASINO) is None


def test_answers_that_nobody_renewed_are_not_kept_for_ever(tmp_path: Path) -> None:
    kept = KeptAnswers(tmp_path)
    for name, written in ((CASINO, 0.0), (BINGO, 100.0)):
        kept.put(name, b"", b"answer")
        os.utime(tmp_path / f"{name.hex()}.answer", (written, written))
    kept.prune(Instant(FORGOTTEN + 50))
    assert (kept.get(CASINO), kept.get(BINGO)) == (None, (b"", b"answer"))
    kept.prune(None)
    assert kept.get(BINGO) is None
