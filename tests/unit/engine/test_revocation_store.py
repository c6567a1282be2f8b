from pathlib import Path

import pytest

from gateway.engine.revocation_store import KeptLists
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
