import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.audit.tlog.key import make_key
from gateway.audit.tlog.process import CONTROL, NICE, Done, Work, message
from gateway.core.publication import Retention
from gateway.engine import publishing
from gateway.engine.publishing import PublisherGoneError, PublisherProcess
from tests.unit.audit.examples import NOW
from tests.unit.audit.published import ORIGIN, Published, verified


class Played:
    """The process, played by the test at the other end of a socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.asked: list[dict[str, object]] = []
        self.process = PublisherProcess(Path("log"), Path("key"), "name", self._record)
        self.started = asyncio.Event()
        self.late = asyncio.Event()

        async def start() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            ours, theirs = socket.socketpair()
            self.process._ends = await asyncio.open_connection(sock=ours)
            self.reader, self.writer = await asyncio.open_connection(sock=theirs)
            self.started.set()
            return self.process._ends

        monkeypatch.setattr(self.process, "_start", start)

    async def _record(self, about: dict[str, object]) -> bool:
        self.asked.append(about)
        return True

    async def do(self, patience: int = 5) -> Done:
        return await self.process.do(Work(9, NOW), self._late, patience)

    def _late(self, told: str) -> None:
        self.told.append(told)
        self.late.set()

    async def work(self) -> bytes:
        await self.started.wait()
        return await self.reader.readline()


async def test_the_work_is_given_and_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    doing = asyncio.create_task(played.do())
    assert Work.read(await played.work()) == Work(9, NOW)
    played.writer.write(message({"at": 4}) + message({"record": {"what": "sealed"}}))
    assert await played.reader.readline() == message({"recorded": True})
    played.writer.write(message({"done": {"size": 9, "tried": {"a": "b"}}}))
    assert await doing == Done(9, {"a": "b"})
    assert played.asked == [{"what": "sealed"}]
    assert played.told == []
    await played.process._end()
    played.writer.close()


async def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "SILENT_SECONDS", 0.01)
    played = Played(monkeypatch)
    doing = asyncio.create_task(played.do(100_000))
    await played.work()
    await played.late.wait()
    played.writer.write(message({"at": 4}) + message({"at": None}) + message({"done": {"size": 9, "tried": {}}}))
    assert (await doing).size == 9
    assert played.told[0].startswith("its process has said nothing for")
    assert "records 5 to 9 still wait for a checkpoint, and later ones too" in played.told
    await played.process._end()
    played.writer.close()


async def test_the_end_of_the_channel_is_the_end_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    doing = asyncio.create_task(played.do())
    await played.work()
    played.writer.write(b"half a mess")
    played.writer.close()
    with pytest.raises(PublisherGoneError):
        await doing


async def recorded(_: dict[str, object]) -> bool:
    return True


def environ_of(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


def nice_of(process: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, process)


class Real:
    """A real process, for a log of so many records."""

    def __init__(self, directory: Path, count: int) -> None:
        self.path = directory / "own.key"
        self.signer = make_key(self.path, ORIGIN)
        log = Published(directory / "log", key=self.signer)
        log.add(count)
        log.close()
        self.process = PublisherProcess(directory / "log", self.path, ORIGIN, recorded)


async def test_a_real_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_SECRET", "secret")
    real = Real(tmp_path, 20)
    done = await real.process.do(Work(20, NOW, retention=Retention()), lambda _: None)
    assert done == Done(20, {CONTROL: None, "audit.retention": None})
    assert real.process.process_id is not None
    assert b"ACME_SECRET" not in environ_of(real.process.process_id)
    assert nice_of(real.process.process_id) == min(19, nice_of(0) + NICE)
    real.process.hurry()
    assert (await real.process.do(Work(20, NOW), lambda _: None)).size == 20
    # One that was killed is started again by the next work.
    os.kill(real.process.process_id, signal.SIGKILL)
    with pytest.raises(PublisherGoneError, match="its process ended by signal 9"):
        await real.process.do(Work(20, NOW), lambda _: None)
    assert (await real.process.do(Work(20, NOW), lambda _: None)).size == 20
    await real.process.close()
    assert real.process.process_id is None
    assert verified(tmp_path / "log", key=real.signer).problems == []


async def test_one_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Real(tmp_path, 1)
    told: list[str] = []
    assert (await real.process.do(Work(0, NOW), told.append)).size == 0
    assert real.process.process_id is not None
    os.kill(real.process.process_id, signal.SIGSTOP)
    monkeypatch.setattr(publishing, "SILENT_SECONDS", 0.01)
    with pytest.raises(PublisherGoneError, match="ended by signal 9"):
        await real.process.do(Work(1, NOW), told.append, patience=1)
    assert told == ["its process has said nothing for 0 s"]


async def test_a_process_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "END_SECONDS", 0.01)
    real = Real(tmp_path, 1)
    await real.process.do(Work(1, NOW), lambda _: None)
    assert real.process.process_id is not None
    os.kill(real.process.process_id, signal.SIGSTOP)
    assert await real.process._end() == "its process ended by signal 9"
    assert await real.process._end() == "it did not start"
    real.process.hurry()  # there is none


async def test_a_process_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        await PublisherProcess(tmp_path, tmp_path, "name", recorded).do(Work(1, NOW), lambda _: None)
