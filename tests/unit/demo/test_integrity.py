from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gateway.audit.files import log_files
from gateway.demo.integrity import verify
from tests.unit.audit.published import Published, published, signer


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "audit.key"
    path.write_text(signer().private())
    path.chmod(0o600)
    return path


def judged(directory: Path, key: Path) -> tuple[bool, str]:
    output = StringIO()
    verdict = verify(directory, key, Console(file=output, width=200))
    assert "PRIVATE" not in output.getvalue()
    return verdict, output.getvalue()


def test_a_log_that_is_whole(tmp_path: Path, key: Path) -> None:
    log = published(tmp_path / "log", 10, 20)
    verdict, told = judged(log.directory, key)
    assert verdict
    assert log.note in told
    assert f"--key {signer().public}\n" in told
    assert "30 records, each as it was written, under 2 checkpoints" in told


def test_a_log_that_was_changed(tmp_path: Path, key: Path) -> None:
    log = published(tmp_path / "log", 10)
    (file,) = log_files(log.directory)
    file.path.write_bytes(file.path.read_bytes().replace(b"r-2", b"r-3", 1))
    verdict, told = judged(log.directory, key)
    assert not verdict
    assert "the log is not as it was signed: record 3: " in told


def test_a_log_without_its_last_checkpoint(tmp_path: Path, key: Path) -> None:
    log = Published(tmp_path / "log")
    log.grow(2)
    log.add(2)
    log.close()
    assert "2 of 4 records are under a checkpoint" in judged(log.directory, key)[1]
    (log.tlog / "checkpoint").unlink()
    assert "(none)" in judged(log.directory, key)[1]
