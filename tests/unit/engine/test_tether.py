import os
import signal
import subprocess

import pytest

from gateway.engine import tether
from gateway.engine.tether import Tether


def tied(to: Tether, *program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*to.tied(program[0]), *program[1:]], pass_fds=(to.theirs,), stdout=subprocess.PIPE)


def test_a_program_ends_once_nobody_holds_the_other_end() -> None:
    held = Tether()
    with tied(
        held, "/bin/sh", "-c", "trap 'echo in good order; exit 3' TERM; echo runs; while :; do wait; done"
    ) as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline() == b"runs\n"
        second = os.dup(held.ours)
        os.close(held.ours)
        assert ran.poll() is None
        os.close(second)
        assert ran.stdout.read() == b"in good order\n"
    assert ran.returncode == 3
    os.close(held.theirs)


def test_a_program_that_comes_too_late_does_not_begin(capfd: pytest.CaptureFixture[str]) -> None:
    held = Tether()
    os.close(held.ours)
    with tied(held, "/bin/echo", "began") as ran:
        assert ran.stdout is not None
        assert ran.stdout.read() == b""
    assert ran.returncode == 1
    assert "nobody holds" in capfd.readouterr().err
    os.close(held.theirs)


def test_neither_end_is_inherited_unless_it_is_passed_on() -> None:
    held = Tether()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, close_fds=False) as other:
        with tied(held, "/bin/cat", "/dev/zero") as ran:
            assert ran.stdout is not None
            assert ran.stdout.read(1)
            held.close()
            while ran.stdout.read(65_536):
                pass
        assert ran.returncode == -signal.SIGTERM
        assert other.poll() is None


def test_elsewhere_a_program_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tether, "CAN_BE_TIED", False)
    held = Tether()
    assert held.tied("/bin/echo") == ("/bin/echo",)
    held.close()
