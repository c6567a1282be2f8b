"""The writer of the log is killed at any moment: nothing that was acknowledged is lost, and the log is whole."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from gateway.audit.files import log_files
from tests.unit.audit.published import Published, published, signer, verified, whole

pytestmark = pytest.mark.layers  # once: it is about files

ROOT = Path(__file__).parents[2]

KILLS = 200
LOGS = 20
"""Folders that the kills are spread over: each log is verified after each, and grows with each."""


class Writer:
    """The process that writes (`log_writer`), and what it acknowledged."""

    def __enter__(self) -> Self:
        self._read, write = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.log_writer", str(write), signer().private()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[write], cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        os.close(write)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()
        os.close(self._read)

    def killed_after(self, directory: Path, groups: int, nap: float) -> int:
        """Have it write, and kill it so many acknowledgements and so long later; gives the last one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(directory, file=self._process.stdin, flush=True)
        child = int(self._process.stdout.readline())
        for _ in range(groups):
            data = os.read(self._read, 8)
        if nap:
            threading.Event().wait(nap)
        os.kill(child, signal.SIGKILL)
        assert int(self._process.stdout.readline()) == signal.SIGKILL
        os.set_blocking(self._read, False)
        try:
            while more := os.read(self._read, 65_536):
                data = more
        except BlockingIOError:
            pass
        os.set_blocking(self._read, True)
        return int.from_bytes(data[-8:], "big")


def test_a_writer_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - no secret
    chance = random.Random(seed)  # noqa: S311
    with Writer() as writer:
        for kill in range(KILLS):
            directory = tmp_path / str(kill % LOGS)
            last = writer.killed_after(directory, chance.randrange(1, 12), chance.random() * 0.002)
            assert (directory / "lock").exists()
            found = verified(directory)
            missing = [str(problem) for problem in found.problems if "checkpoint is not there" not in str(problem)]
            assert missing == [], f"seed {seed}, kill {kill}"
            assert found.records >= last, f"seed {seed}, kill {kill}"
    for number in range(LOGS):
        log = Published(tmp_path / str(number))
        log.publish()
        log.close()
        found = whole(tmp_path / str(number))
        assert found.records == found.size


@pytest.mark.parametrize("cut", [0, 1, 2, 100, 2_000])
def test_a_log_that_was_cut_off_at_any_byte_goes_on(tmp_path: Path, cut: int) -> None:
    """Behind what was published: that is what a crash of the machine may take, since the rest is on the disk."""
    log = Published(tmp_path)
    log.grow(300)
    size = log_files(tmp_path)[0].path.stat().st_size
    log.add(4)
    log.close()
    (file,) = log_files(tmp_path)
    os.truncate(file.path, size + cut)
    published(tmp_path, 10)
    found = whole(tmp_path)
    assert found.size == found.records >= 310


@pytest.mark.parametrize("name", ["tile/entries/001.p/94", "tile/0/001.p/94", "tile/1/000.p/1", "tile/0/000"])
def test_tiles_that_a_crash_left_half_written(tmp_path: Path, name: str) -> None:
    """Those that no checkpoint counts yet, of any length: the next run writes them anew."""
    log = Published(tmp_path)
    log.grow(250)
    log.add(100)
    log.close()
    path = log.tlog / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for torn in (b"", b"\0" * 10, b"\0" * 9_000):
        path.write_bytes(torn)
        published(tmp_path)
    again = Published(tmp_path)
    again.publish()
    again.close()
    assert whole(tmp_path).size == 350


def test_a_checkpoint_that_was_not_put_in_place(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    (log.tlog / ".checkpoint.new").write_bytes(b"half")
    published(tmp_path, 3)
    assert whole(tmp_path).size == 303
