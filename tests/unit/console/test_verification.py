import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.verify.findings import Findings
from gateway.audit.verify.notes import Key
from gateway.console import verification
from gateway.console.archive import Archive
from gateway.console.pages import page
from gateway.console.verification import Verification
from gateway.console.views import shown
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, NOW
from tests.unit.audit.published import published, signer

KEYS = [Key.parse(signer().public)]


class Held:
    """A verification that goes on when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        really = verification.verified

        def held(folder: Path, keys: list[Key], progress: Callable[[int], None]) -> Findings | None:
            progress(sum(file.stat().st_size for file in folder.glob("*.jsonl")) // 2)
            self.reached.set()
            self.go_on.wait()
            return really(folder, keys, progress)

        monkeypatch.setattr(verification, "verified", held)


def test_pages_are_made_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = published(tmp_path / "audit", 8).directory
    held = Held(monkeypatch)
    now = Instant(NOW + DAY)
    with Archive(directory, tmp_path / "index", lambda: 0.0, None, KEYS) as archive:
        shown(archive, "/integrity", {"verify": "1"}, now)
        held.reached.wait()
        try:
            for path in ("/", "/requests", "/policy"):
                assert shown(archive, path, {}, now).values["title"]
            made = shown(archive, "/integrity", {"verify": "1"}, now)
            html = page(made.template, made.values)
            assert ("50 %" in html or "49 %" in html, 'content="1; url=/integrity"' in html) == (True, True)
        finally:
            held.go_on.set()
        running = archive.verification._running
        assert running is not None
        running.result()
        assert archive.verification.percent is None
        last = archive.verification.last
        assert last is not None
        assert last.found[directory].records == 8
        made = shown(archive, "/integrity", {}, now)
        assert "refresh" not in page(made.template, made.values)


def test_the_end_of_the_console_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = published(tmp_path / "audit", 8).directory
    held = Held(monkeypatch)
    one = Verification(directory, KEYS)
    one.start(NOW)
    held.reached.wait()
    shutdown = one._threads.shutdown

    def released() -> None:
        held.go_on.set()
        shutdown()

    monkeypatch.setattr(one._threads, "shutdown", released)
    one.close()
    assert one.last is None
    one.start(NOW)
    assert one.percent is None


def test_a_log_without_checkpoints_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    one = Verification(tmp_path / "audit", KEYS)
    one.start(NOW)
    one.close()
    assert one.last is None or one.last.found == {}
