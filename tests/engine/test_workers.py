"""`gateway run --workers`: real workers under their supervisor, and what a worker does differently."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.audit.log import AuditLog
from gateway.audit.tlog.key import read_key
from gateway.cli.audit import audit
from gateway.cli.limits import limits
from gateway.engine.service import Service
from gateway.engine.start import StartError
from gateway.engine.worker import Worker
from gateway.policy import PolicyInvalid
from gateway.state.unshared import Unshared
from tests import world
from tests.engine.harness import SAFETY, check_outcomes, get, kind_of, read_records, read_response, serving, until
from tests.engine.services import EMBEDDED, STATELESS, Folder, again
from tests.engine.test_run import connect, current, free_port, listens
from tests.engine.upstream import FakeUpstream, Held

pytestmark = pytest.mark.layers  # once: the processes decide for themselves

PASSED = ("PATH", "PYTHONPATH")
"""Of the environment: what runs is the code that is tested."""

BROKEN = STATELESS | {"mutual_tls: required": "mutual_tls: maybe"}
MOVED = STATELESS | {"limit: 64KiB": "limit: 32KiB"}


class Supervised:
    """A supervisor that runs, its workers, and what all of them say."""

    def __init__(self, folder: Folder, upstream: FakeUpstream, process: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self.upstream = upstream
        self.process = process
        self.said = ""
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Read what they say until nobody is left who could say something."""
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(4096):
            self.said += data.decode()

    async def until_said(self, text: str) -> None:
        await until(lambda: text in self.said or self.listening.done())
        assert text in self.said, self.said

    async def until_nobody_is_left(self) -> None:
        async with asyncio.timeout(SAFETY):
            await self.listening
            await self.process.wait()

    def worker(self, number: int) -> int:
        """Give the process of a worker, the latest of this number."""
        return int(re.findall(rf"worker {number} accepts \(process (\d+)\)", self.said)[-1])

    def records(self, number: int) -> list[dict[str, Any]]:
        """Give what a worker recorded."""
        return read_records(self.folder.audit / f"worker-{number}")

    def kinds(self, number: int) -> list[str]:
        return [kind_of(record) for record in self.records(number)]

    async def look(self) -> int:
        """Look at the balance on a connection of its own; gives the status."""
        reader, writer = await connect(self.folder)
        writer.write(current()[1])
        response = await read_response(reader)
        writer.close()
        return response.status


@asynccontextmanager
async def supervised(
    directory: Path, changes: Mapping[str, str] = STATELESS, *, port: int | None = None
) -> AsyncIterator[Supervised]:
    """Run two workers; at the end nobody is left, whatever happened."""
    async with serving() as upstream:
        folder = Folder(directory, upstream.port, port or free_port())
        folder.write()
        folder.put_policy(**changes)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from gateway.cli import main; main()",
            "run", folder.policy, "--audit", folder.audit, "--state", folder.path / "state", "--workers", "2",
            stderr=asyncio.subprocess.PIPE, env={one: os.environ[one] for one in PASSED if one in os.environ},
        )  # fmt: skip
        up = Supervised(folder, upstream, process)
        try:
            yield up
        finally:
            if process.returncode is None:
                # Not SIGKILL: the store that it runs would outlive it, and hide what failed by a wait without end.
                process.terminate()
            await up.until_nobody_is_left()


async def test_a_life_of_two_workers(tmp_path: Path) -> None:
    async with supervised(tmp_path) as up:
        await up.until_said("2 workers accept: public 127.0.0.1:")
        while not all("decision" in up.kinds(number) for number in (1, 2)):
            assert await up.look() == 200

        await until(lambda: up.kinds(1).count("outcome") == up.kinds(1).count("decision"))
        os.kill(up.worker(1), signal.SIGKILL)
        await up.until_said("worker 1 was ended by SIGKILL; it is started again in 0.1 s")
        assert await up.look() == 200
        await until(lambda: up.said.count("worker 1 accepts") == 2)
        before = up.kinds(1).count("decision")
        while up.kinds(1).count("decision") == before:
            assert await up.look() == 200

        held = Held(up.upstream)
        reader, writer = await connect(up.folder)
        writer.write(current()[0])
        await held.reached.wait()
        up.process.send_signal(signal.SIGTERM)
        await until(lambda: not listens(up.folder))
        assert up.process.returncode is None
        held.go_on.set()
        assert (await read_response(reader)).status == 200
        writer.close()
        await up.until_nobody_is_left()

        assert up.process.returncode == 0, up.said
        assert "Traceback" not in up.said
        for number in (1, 2):
            records = up.records(number)
            assert [record["metadata"]["sequence"] for record in records] == list(range(1, len(records) + 1))
            check_outcomes(records)
            assert (kind_of(records[-1]), records[-1]["status_detail"]) == ("stop", "SIGTERM")
            assert (up.folder.path / "state" / f"worker-{number}").is_dir()
        assert [up.kinds(number).count("start") for number in (1, 2)] == [2, 1]
        # One key for both, under names of their own; the log of the one that was killed went on.
        public = read_key(up.folder.path / "state" / "audit.key").public
        verified = CliRunner().invoke(audit, ["verify", "--directory", str(up.folder.audit), "--key", public])
        assert verified.exit_code == 0, verified.output
        assert verified.output.count("each as it was written") == 2


async def test_a_reload_reaches_every_worker(tmp_path: Path) -> None:
    async with supervised(tmp_path) as up:
        await up.until_said("2 workers accept")

        async def reloaded(kind: str, **changes: str) -> None:
            up.folder.put_policy(**changes)
            up.process.send_signal(signal.SIGHUP)
            await until(lambda: all(kind in up.kinds(number) for number in (1, 2)))

        await reloaded("policy.refused")
        refused = next(record for record in up.records(2) if kind_of(record) == "policy.refused")
        assert any("route `deposit`: several workers need a store they share for replay" in problem
                   for problem in refused["unmapped"]["problems"])  # fmt: skip
        assert await up.look() == 200
        await reloaded("policy.loaded", **MOVED)
        assert await up.look() == 200


async def test_workers_count_and_remember_as_one(tmp_path: Path) -> None:
    few = {'rate_limit: ["1000/second per partner"]': "rate_limit: [{limit: 8 per 30d, per: partner, window: fixed}]"}
    async with supervised(tmp_path, EMBEDDED | few) as up:
        await up.until_said("2 workers accept")
        process = int((up.folder.path / "state" / "valkey" / "valkey.pid").read_text())

        assert sorted([await up.look() for _ in range(12)]) == [200] * 8 + [429] * 4
        signed = current()[0]
        statuses = []
        for _ in range(8):
            reader, writer = await connect(up.folder)
            writer.write(signed)
            statuses.append((await read_response(reader)).status)
            writer.close()
        assert sorted(statuses) == [200] + [409] * 7

        os.kill(process, signal.SIGKILL)
        await up.until_said("valkey-server runs (process ")
        # Each worker finds the store again for itself: until neither says 503 any more.
        while 503 in [await up.look() for _ in range(12)]:
            pass
        reader, writer = await connect(up.folder)
        writer.write(signed)
        assert (await read_response(reader)).status in {409, 429}  # nothing was forgotten
        assert await up.look() == 429
        writer.close()
        up.process.send_signal(signal.SIGTERM)
        await up.until_nobody_is_left()

        assert up.process.returncode == 0, up.said
        assert "Traceback" not in up.said
        assert up.upstream.request_ids == list(dict.fromkeys(up.upstream.request_ids))
        for number in (1, 2):
            failed = [record["unmapped"]["control"] for record in up.records(number)
                      if kind_of(record) == "control.failed"]  # fmt: skip
            recovered = [record["unmapped"]["control"] for record in up.records(number)
                         if kind_of(record) == "control.recovered"]  # fmt: skip
            assert failed == recovered
            assert {name.split(" ")[0] for name in failed} == {"state.valkey"}


async def test_workers_end_after_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path) as up:
        await up.until_said("2 workers accept")
        up.process.kill()
        await up.until_nobody_is_left()

        for number in (1, 2):
            last = up.records(number)[-1]
            assert (kind_of(last), last["status_detail"]) == ("stop", "the supervisor ended")


async def test_a_store_ends_after_the_last_worker_where_the_supervisor_was_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, EMBEDDED) as up:
        await up.until_said("2 workers accept")
        held = Held(up.upstream)
        reader, writer = await connect(up.folder)
        ended = asyncio.ensure_future(read_response(reader))
        writer.write(current()[0])
        await held.reached.wait()
        store = int((up.folder.path / "state" / "valkey" / "valkey.pid").read_text())
        up.process.kill()
        await up.process.wait()
        # The worker that drains still has its store: the other one has ended without it.
        await until(lambda: sum("stop" in up.kinds(number) for number in (1, 2)) == 1)
        os.kill(store, 0)
        held.go_on.set()
        assert (await ended).status == 200
        writer.close()
        await up.until_nobody_is_left()  # the store writes to the supervisor's stderr, too
        assert not (up.folder.path / "state" / "valkey" / "valkey.pid").exists()  # it ended in good order


async def test_a_policy_that_needs_shared_state_does_not_start(tmp_path: Path) -> None:
    async with supervised(tmp_path, {}) as up:
        await up.until_nobody_is_left()

        assert up.process.returncode == 2
        for place, route, control in (("44:17", "deposit", "rate_limit"), ("46:13", "deposit", "replay"),
                                      ("55:17", "balance", "rate_limit")):  # fmt: skip
            assert re.search(rf"policy.yaml:{place}: routes\[\d\].{control}: route `{route}`: several workers", up.said)
        assert "write `state: {store: valkey, embedded: true}`, or run with --workers 1" in up.said
        assert not up.folder.audit.exists()


async def test_mistakes_of_a_policy_are_told_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, BROKEN) as up:
        await up.until_nobody_is_left()

        assert up.process.returncode == 2
        assert len(re.findall(r"routes\[0\].mutual_tls", up.said)) == 1
        assert not up.folder.audit.exists()


async def test_where_one_worker_cannot_start_nothing_is_left_running(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    with AuditLog(tmp_path / "audit" / "worker-2"):
        async with supervised(tmp_path) as up:
            await up.until_nobody_is_left()

    assert up.process.returncode == 2
    assert "gateway: audit log in" in up.said
    assert "gateway: worker 2 ended with exit code 2: see its message above; all are stopped" in up.said
    assert not listens(up.folder)


@pytest.mark.parametrize("reuse", [False, True])
async def test_a_port_that_is_taken_does_not_start(tmp_path: Path, reuse: bool) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), reuse_port=reuse)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with supervised(tmp_path, port=taken.getsockname()[1]) as up:
            await up.until_nobody_is_left()

    assert up.process.returncode == 2
    assert up.said == f"gateway: listener public: {address}: Address already in use\n"
    assert not up.folder.audit.exists()


# What a worker does differently


def told(*listeners: str) -> Worker:
    return Worker(1, -1, listeners or ("public 127.0.0.1:0",))


async def test_a_worker_lets_others_listen_where_it_does_and_the_only_process_does_not(tmp_path: Path) -> None:
    async with serving() as upstream:
        for worker in (told(), None):
            folder = Folder(tmp_path / ("worker" if worker else "only"), upstream.port)
            folder.path.mkdir()
            folder.write()
            folder.put_policy(**STATELESS)
            async with again(folder, upstream, worker=worker) as up:
                (listening,) = up.service.master.listeners["public"].sockets
                shares = listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) != 0
                assert shares == (worker is not None)
                assert isinstance(up.service.gate.state, Unshared) == (worker is not None)
                assert (await up.send(get())).status == 200


async def test_a_worker_does_not_start_with_other_listeners_than_the_others(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 9000)
    folder.write()
    folder.put_policy(**STATELESS)
    with pytest.raises(StartError, match="listeners are others than those of the workers"):
        await Service(folder.settings(worker=told("public 127.0.0.1:8443"))).run()
    assert not folder.audit.exists()


async def test_a_worker_does_not_start_with_a_policy_that_needs_shared_state(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 9000)
    folder.write()
    with pytest.raises(PolicyInvalid, match="several workers need a store they share for rate_limit"):
        await Service(folder.settings(worker=told())).run()


async def test_a_quota_of_all_workers_is_reset_once_and_recorded_by_each(tmp_path: Path) -> None:
    quota = EMBEDDED | {"1000/second per partner": "2/calendar-month per partner"}
    async with supervised(tmp_path, quota) as up:
        await up.until_said("2 workers accept")
        told = ["--because", "INC-1", "--by", "maria", "--state", str(up.folder.path / "state")]
        command = ["reset", str(up.folder.policy), world.PARTNER, *told]
        assert [await up.look() for _ in range(3)] == [200, 200, 429]
        done = await asyncio.to_thread(CliRunner().invoke, limits, command)
        assert (done.exit_code, done.output) == (0, f"reset: {world.PARTNER} (number 1; counters in use: 1)\n")
        assert [await up.look() for _ in range(3)] == [200, 200, 429]
        await until(lambda: all("limits.reset" in up.kinds(number) for number in (1, 2)))
        assert [up.kinds(number).count("limits.reset") for number in (1, 2)] == [1, 1]
