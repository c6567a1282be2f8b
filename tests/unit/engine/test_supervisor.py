"""The supervisor with workers that serve nothing; `tests/engine/test_workers.py` has it with real ones."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.core.stores import EmbeddedSettings
from gateway.engine import supervisor
from gateway.engine.service import CUT_SECONDS, DRAIN_SECONDS
from gateway.engine.start import EXIT_USAGE, StartError, listeners_of
from gateway.engine.supervisor import END_SECONDS, EXIT_CUT, Supervisor, check, described, supervise
from gateway.engine.worker import Worker
from gateway.policy import PolicyInvalid
from tests.engine.harness import until
from tests.engine.services import EMBEDDED, STATELESS, Folder

FAKE = Path(__file__).parent / "fake_worker.py"


class Up:
    """A supervisor that runs, and what its workers noted."""

    def __init__(self, directory: Path, behaviour: str, workers: int, **seconds: float) -> None:
        self.directory = directory
        self.behaviour = behaviour
        self.started: list[Worker] = []
        self.supervisor = Supervisor(workers, ("public 127.0.0.1:8443",), self._command, **seconds)
        self.running = asyncio.create_task(self.supervisor.run())

    def _command(self, worker: Worker) -> Sequence[str]:
        self.started.append(worker)
        return [sys.executable, "-I", "-S", str(FAKE), str(worker), str(self.directory), self.behaviour]

    def noted(self, number: int) -> list[str]:
        """Give what a worker noted."""
        file = self.directory / str(number)
        return file.read_text().splitlines() if file.exists() else []

    async def until_accepted(self) -> None:
        await until(lambda: len(self.supervisor._accepted) == len(self.supervisor._numbers))


@asynccontextmanager
async def supervised(
    directory: Path, behaviour: str = "good", *, workers: int = 2, **seconds: float
) -> AsyncIterator[Up]:
    up = Up(directory, behaviour, workers, **seconds)
    try:
        yield up
    finally:
        up.supervisor.stop("end of the test")
        await asyncio.wait((up.running,))
        assert not up.supervisor._children


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, supervisor.__name__)


# Start


async def test_it_says_so_once_all_workers_accept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(tmp_path, workers=3) as up:
        await up.until_accepted()

        assert sorted(worker.number for worker in up.started) == [1, 2, 3]
        assert {worker.listeners for worker in up.started} == {("public 127.0.0.1:8443",)}
        assert caplog.messages[-1] == "3 workers accept: public 127.0.0.1:8443"
        assert len(caplog.messages) == 4


@pytest.mark.parametrize("behaviour", ["broken", "second broken"])
async def test_where_one_cannot_start_all_are_stopped(tmp_path: Path, behaviour: str) -> None:
    async with supervised(tmp_path, behaviour) as up:
        with pytest.raises(StartError, match=r"worker [12] ended with exit code 3: see its message"):
            await up.running

        assert "start" in up.noted(1)
        assert all(up.noted(number).count("start") <= 1 for number in (1, 2))


async def test_a_program_that_cannot_be_run_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    async with supervised(tmp_path) as up:
        with pytest.raises(StartError, match=r"worker \d cannot be started: No such file"):
            await up.running


async def test_an_error_of_the_supervisor_ends_the_workers_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervised(tmp_path, workers=1) as up:
        await up.until_accepted()
        monkeypatch.setattr(supervisor, "described", lambda _: 1 / 0)
        os.kill(up.supervisor._children[1].process.pid, signal.SIGKILL)

        with pytest.raises(ZeroDivisionError):
            await up.running


# A worker that dies


async def test_a_worker_that_dies_is_started_again_under_its_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, "dies once") as up:
        await until(lambda: up.noted(1).count("start") == 2)
        await until(lambda: 1 in up.supervisor._children)

        assert up.noted(2) == ["start"]
    assert up.running.result() == 0
    assert "worker 1 was ended by SIGKILL; it is started again in 0.1 s" in caplog.messages
    assert sum("workers accept" in message for message in caplog.messages) == 1


async def test_a_worker_that_hangs_is_ended_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(tmp_path, "hangs once", workers=1, look_seconds=0.1) as up:
        await until(lambda: len(up.started) == 2)

        assert "worker 1 hangs: no sign of life for 0 s; it is ended" in caplog.messages
        assert any("worker 1 was ended by SIGABRT; it is started again" in message for message in caplog.messages)
        await until(lambda: up.noted(1).count("start") == 2)


async def test_a_worker_that_is_heard_goes_on(tmp_path: Path) -> None:
    async with supervised(tmp_path, "beats", workers=1, look_seconds=0.3) as up:
        await until(lambda: up.noted(1).count("beaten") == 1)

        assert len(up.started) == 1


async def test_a_worker_that_keeps_ending_is_started_ever_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, "ends at once", workers=1) as up:
        await until(lambda: up.noted(1).count("start") == 3)
    again = [message.rpartition(" in ")[2] for message in caplog.messages if "started again" in message]
    assert again[:2] == ["0.1 s", "0.2 s"]


async def test_a_program_that_is_gone_later_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, workers=1) as up:
        await up.until_accepted()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(tmp_path / "python"))
            os.kill(up.supervisor._children[1].process.pid, signal.SIGKILL)
            await until(lambda: any("cannot be started: No such file" in message for message in caplog.messages))

        await until(lambda: up.noted(1).count("start") == 2)


# Reload and stop


async def test_a_reload_reaches_every_worker(tmp_path: Path) -> None:
    async with supervised(tmp_path) as up:
        await up.until_accepted()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: all("reload" in up.noted(number) for number in (1, 2)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_every_worker_and_then_the_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    async with supervised(tmp_path) as up:
        await up.until_accepted()
        os.kill(os.getpid(), number)

        assert await up.running == 0
        assert [up.noted(one)[-1] for one in (1, 2)] == [f"stop {number.name}"] * 2


async def test_the_first_reason_to_stop_is_the_one_told(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=1) as up:
        await up.until_accepted()
        up.supervisor.stop("SIGTERM")
        up.supervisor.stop("SIGINT")
        await up.running
        assert up.noted(1) == ["start", "stop SIGTERM"]


async def test_a_worker_that_does_not_accept_yet_is_told_too(tmp_path: Path) -> None:
    async with supervised(tmp_path, "slow") as up:
        await until(lambda: all("silent" in up.noted(number) for number in (1, 2)))
        up.supervisor.stop("SIGTERM")

        assert await up.running == 0


async def test_a_worker_that_was_being_started_is_told_too(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=1) as up:
        await until(lambda: up.started)
        up.supervisor.stop("SIGTERM")

        assert await up.running == 0
        assert up.noted(1)[-1] == "stop SIGTERM"


async def test_a_stop_does_not_wait_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.engine.backoff.FIRST_WAIT", 3600.0)
    async with supervised(tmp_path, "ends at once", workers=1) as up:
        await until(lambda: any("started again" in message for message in caplog.messages))
        up.supervisor.stop("SIGTERM")

        assert await up.running == 0


async def test_a_worker_that_does_not_end_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(tmp_path, "stubborn", workers=1, end_seconds=0.0) as up:
        await up.until_accepted()
        up.supervisor.stop("SIGTERM")

        assert await up.running == EXIT_CUT
        assert "worker 1 did not end in time: killed" in caplog.messages


async def test_a_worker_that_fails_while_it_drains_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(tmp_path, "fails at the end", workers=1) as up:
        await up.until_accepted()
        up.supervisor.stop("SIGTERM")

        assert await up.running == EXIT_CUT
        assert "worker 1 ended with exit code 4 while it drained" in caplog.messages


def test_a_worker_has_time_for_its_drain() -> None:
    assert END_SECONDS > DRAIN_SECONDS + CUT_SECONDS + 5


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-40, "was ended by signal 40")],
)
def test_how_a_worker_ended(code: int, said: str) -> None:
    assert described(code) == said


# What is looked at before


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        made = Folder(tmp_path, 9000, free.getsockname()[1])
    made.write()
    made.put_policy(**STATELESS)
    return made


def test_the_listeners_are_the_policys(folder: Folder) -> None:
    assert listeners_of(check(folder.policy, {})) == (f"public 127.0.0.1:{folder.port}",)


def test_a_policy_that_needs_shared_state_is_refused(folder: Folder) -> None:
    folder.put_policy()
    with pytest.raises(PolicyInvalid, match="several workers need a store they share"):
        check(folder.policy, {})


def test_a_policy_with_a_store_that_workers_share_is_served(folder: Folder) -> None:
    folder.put_policy(**EMBEDDED)
    assert check(folder.policy, {}).state.store == EmbeddedSettings()


def test_a_store_that_cannot_be_started_keeps_the_workers_from_starting(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.put_policy(**EMBEDDED)
    assert supervise(folder.policy, 1, lambda _: [], tmp_path / ("x" * 100), {}) == EXIT_USAGE
    assert "is too long for a socket: give --state a shorter path" in capsys.readouterr().err


def test_an_environment_that_undoes_the_protection_is_refused(folder: Folder) -> None:
    with pytest.raises(StartError, match="SSLKEYLOGFILE"):
        check(folder.policy, {"SSLKEYLOGFILE": "/tmp/keys"})


def test_workers_cannot_listen_at_any_free_port(folder: Folder) -> None:
    folder.port = 0
    folder.put_policy(**STATELESS)
    with pytest.raises(StartError, match=r"listener public: 127.0.0.1:0: each worker would get another port"):
        check(folder.policy, {})


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_is_taken_is_refused_even_if_it_could_be_shared(folder: Folder, shared: bool) -> None:
    error = f"public: 127.0.0.1:{folder.port}: Address already in use"
    with (
        closing(socket.create_server(("127.0.0.1", folder.port), reuse_port=shared)),
        pytest.raises(StartError, match=error),
    ):
        check(folder.policy, {})


def test_why_it_cannot_start_is_said(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.put_policy()
    assert supervise(folder.policy, 2, lambda _: [], folder.path, {}) == EXIT_USAGE
    assert "policy.yaml:44:17: routes[0].rate_limit: route `deposit`" in capsys.readouterr().err


def test_the_exit_code_is_the_supervisors(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()

    def command(worker: Worker) -> Sequence[str]:
        return [sys.executable, "-I", "-S", str(FAKE), str(worker), str(tmp_path / "notes"), "broken"]

    assert supervise(folder.policy, 1, command, tmp_path, {}) == EXIT_USAGE
