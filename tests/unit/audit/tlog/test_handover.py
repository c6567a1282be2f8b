import os
from pathlib import Path

import pytest

from gateway.audit.tlog import handover
from gateway.audit.tlog.handover import checkpoint_under, hand_over
from gateway.audit.tlog.note import Signer
from gateway.audit.tlog.process import lock
from gateway.audit.tlog.publisher import Publisher, TlogError, checkpoint_of
from tests.unit.audit import spec
from tests.unit.audit.published import ORIGIN, Published, published, signer, stranger, verified

TODAY = "2026-11-22"


def took_over(directory: Path, *keys: Signer, count: int = 300) -> Published:
    """A log whose keys followed each other, each after so many records more."""
    log = published(directory, count)
    before = signer()
    for key in keys:
        assert checkpoint_under(directory, key, before, TODAY) is not None
        before = key
        log = Published(directory, key=key)
        log.grow(count)
        log.close()
    return log


def test_a_new_key_goes_on_with_the_log_of_the_old_one(tmp_path: Path) -> None:
    log = took_over(tmp_path, stranger())
    assert verified(tmp_path, key=stranger()).problems == []
    assert verified(tmp_path, key=signer()).problems == []
    assert (log.tlog / "log.vkey").read_text() == f"{stranger().public}\n"
    assert spec.open_checkpoint(log.note, stranger().public)[1] == 600


def test_the_handover_is_signed_by_both(tmp_path: Path) -> None:
    published(tmp_path, 3)
    last = checkpoint_under(tmp_path, stranger(), signer(), TODAY)
    assert last is not None
    assert last.size == 3
    text, signatures = (tmp_path / "tlog/handovers").read_text().split("\n\n", 1)
    assert text.splitlines()[:3] == ["gateway key handover", ORIGIN, "3"]
    assert text.splitlines()[4:] == [signer().public, stranger().public]
    assert signatures.count("— ") == 2
    note = (tmp_path / "tlog/checkpoint").read_text()
    assert signer().read(note) == stranger().read(note) == last


def test_it_is_done_once(tmp_path: Path) -> None:
    took_over(tmp_path, stranger(), count=3)
    before = (tmp_path / "tlog/handovers").read_bytes()
    assert checkpoint_under(tmp_path, stranger(), signer(), TODAY) == checkpoint_of(tmp_path, stranger())
    assert (tmp_path / "tlog/handovers").read_bytes() == before


def test_a_crash_on_the_way_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = published(tmp_path, 3)
    last = checkpoint_of(tmp_path, signer())
    assert last is not None
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("gateway.audit.tlog.tiles.Tiles.publish", full)
        with pytest.raises(OSError, match="No space"):
            hand_over(log.tlog, last, signer(), stranger(), TODAY)
    Publisher(tmp_path, signer()).resume()  # the old key may go on
    checkpoint_under(tmp_path, stranger(), signer(), TODAY)
    assert (log.tlog / "handovers").read_text().count("gateway key handover") == 1
    assert verified(tmp_path, key=stranger()).problems == []


def test_a_log_that_begins_needs_none(tmp_path: Path) -> None:
    assert checkpoint_under(tmp_path, stranger(), signer(), TODAY) is None
    (tmp_path / "tlog").mkdir()
    assert not (tmp_path / "tlog/handovers").exists()


def test_a_key_that_signed_nothing_hands_over_nothing(tmp_path: Path) -> None:
    published(tmp_path, 3)
    third = Signer.generate(ORIGIN)
    with pytest.raises(TlogError, match="not signed by this log's key"):
        checkpoint_under(tmp_path, stranger(), third, TODAY)
    with pytest.raises(TlogError, match="not signed by this log's key"):
        checkpoint_under(tmp_path, stranger(), None, TODAY)


def test_not_while_the_log_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, 3)
    held = lock(tmp_path / "tlog")
    monkeypatch.setattr(handover, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(TlogError, match="tlog is in use"):
        checkpoint_under(tmp_path, stranger(), signer(), TODAY)
    os.close(held)
