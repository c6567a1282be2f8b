import os
from pathlib import Path

import pytest

from gateway.audit.files import log_files
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.notes import Key
from gateway.console.archive import Archive
from gateway.console.integrity import Integrity, integrity
from gateway.console.overview import last_of
from gateway.console.pages import page
from gateway.console.report import report
from gateway.console.signed import PUBLIC_KEY, Signed, signed, verified
from gateway.console.verification import Verification
from gateway.console.views import shown
from gateway.core.message import Instant
from tests.unit.audit.examples import DAY, DENIED, NOW
from tests.unit.audit.published import ORIGIN, Published, signer, stranger
from tests.unit.audit.query.logs import written


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Ten records, eight of them under a checkpoint."""
    log = Published(tmp_path / "audit")
    log.add(8)
    log.publish()
    log.add(2)
    log.log.close()
    (tmp_path / "audit" / "tlog" / PUBLIC_KEY).write_text(str(signer().public))
    return tmp_path / "audit"


def ended(verification: Verification) -> None:
    """Wait until it has come to its end."""
    assert verification._running is not None
    verification._running.result()


def looked(directory: Path, *keys: Key, verify: bool = False) -> Signed:
    found = signed(directory, keys, verified(directory, keys) if verify else None)
    assert found is not None
    return found


def ours() -> Key:
    return Key.parse(str(signer().public))


def found_in(directory: Path) -> dict[Path, Findings]:
    found = verified(directory, [ours()])
    assert found is not None
    return {directory: found}


def seen(directory: Path, *, verify: bool = False) -> Integrity:
    with Archive(directory, directory.with_name("index"), lambda: 0.0) as archive, archive.read() as reading:
        return integrity(reading, directory, [ours()], found_in(directory) if verify else None)


def change(directory: Path) -> None:
    path = log_files(directory)[0].path
    path.write_bytes(path.read_bytes().replace(b"acme-casino", b"acme-cazino", 1))


def test_a_log_without_checkpoints(tmp_path: Path) -> None:
    assert signed(written(tmp_path / "audit", [DENIED]), ()) is None


def test_the_newest_checkpoint(directory: Path) -> None:
    os.utime(directory / "tlog" / "checkpoint", (5.0, 5.0))
    found = looked(directory, ours())
    assert (found.problem, found.trusted, found.origin, found.size, found.at) == ("", True, ORIGIN, 8, 5.0)
    assert (found.sound, found.findings, len(found.root)) == (True, None, 44)


def test_the_key_that_lies_with_the_log_is_no_trusted_one(directory: Path) -> None:
    found = looked(directory)
    assert (found.problem, found.trusted) == ("", False)
    (directory / "tlog" / PUBLIC_KEY).unlink()
    assert looked(directory).problem == "checkpoint: no public key lies with the log: give it with --key"


def test_a_checkpoint_of_a_stranger(directory: Path) -> None:
    found = looked(directory, Key.parse(str(stranger().public)))
    assert (found.sound, "signed by" in found.problem) == (False, True)


def test_a_changed_record_is_found_where_all_is_read(directory: Path) -> None:
    assert looked(directory, ours(), verify=True).sound
    change(directory)
    assert looked(directory, ours()).sound
    found = looked(directory, ours(), verify=True)
    assert found.findings is not None
    assert (found.sound, found.findings.count) == (False, 1)


def test_what_is_signed_counts_for_the_log(directory: Path) -> None:
    whole = seen(directory)
    assert (whole.whole, whole.logs[0].beyond) == (True, 2)
    path = log_files(directory)[0].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
    cut = seen(directory)
    assert (cut.whole, cut.logs[0].missing, cut.logs[0].beyond) == (False, 0, -3)


def test_the_page(directory: Path) -> None:
    with Archive(directory, directory.with_name("index"), lambda: 0.0, None, [ours()]) as archive:

        def look(verify: str = "") -> str:
            made = shown(archive, "/integrity", {"verify": verify}, Instant(NOW + DAY))
            return page(made.template, made.values)

        html = look()
        assert ("Every number has its record" in html, ORIGIN in html, "proves little" in html) == (True, True, False)
        look("1")
        ended(archive.verification)
        assert "and as it was signed" in look()
        change(directory)
        look("1")
        ended(archive.verification)
        assert "1 problems" in look()
        assert "damaged" in look()
        directory.joinpath("tlog/checkpoint").unlink()
        directory.joinpath("tlog/checkpoint").mkdir()
        archive.verification.start(NOW)
        ended(archive.verification)
        assert archive.verification.last is not None
        assert "Is a directory" in archive.verification.last.problem


def test_the_report(directory: Path) -> None:
    with Archive(directory, directory.with_name("index"), lambda: 0.0) as archive, archive.read() as reading:
        whole = integrity(reading, directory, [ours()], found_in(directory))
        span = last_of(reading.ends() or (NOW, NOW), 0.0, NOW)
        text = report(reading, directory, span, NOW, whole=whole)
    assert f"8 records signed by {ORIGIN}" in text
    assert "10 records read, 1 checkpoints found again, 0 problems" in text
