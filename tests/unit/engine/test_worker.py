import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.engine import worker
from gateway.engine.worker import ALIVE, READY, RELOAD, STOP, Channel, Worker
from tests.engine.harness import until

WORKER = Worker(2, 7, ("public 127.0.0.1:8443",))


# On the command line


def test_a_worker_reads_what_its_supervisor_wrote() -> None:
    assert Worker.parse(str(WORKER)) == WORKER


@pytest.mark.parametrize("text", ["", "2", "[]", "{}", '{"number": 1, "channel": "x", "listeners": []}', "{"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Worker.parse(text)


def test_each_worker_has_a_folder_of_its_own() -> None:
    assert WORKER.folder(Path("var/audit")) == Path("var/audit/worker-2")


# The channel


class Served:
    """Keeps what it is commanded."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self, because: str) -> None:
        self.told.append(f"stop: {because}")

    def request_reload(self, because: str) -> None:
        self.told.append(f"reload: {because}")


class Pair:
    """A channel, and the supervisor's end of it."""

    def __init__(self) -> None:
        self.supervisor, theirs = socket.socketpair()
        self.supervisor.settimeout(20)
        self.channel = Channel(theirs.detach())
        self.served = Served()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    made.supervisor.close()
    made.channel.close()


async def test_a_worker_says_when_it_accepts(pair: Pair) -> None:
    pair.channel.attend(pair.served)
    assert await asyncio.to_thread(pair.supervisor.recv, 100) == READY


async def test_a_worker_says_that_it_lives(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.0)
    pair.channel.attend(pair.served)
    received = b""
    while received.count(ALIVE) < 2:
        received += await asyncio.to_thread(pair.supervisor.recv, 100)
    pair.channel.close()
    assert received.startswith(READY + 2 * ALIVE)


async def test_what_was_said_before_it_accepts_is_done_then(pair: Pair) -> None:
    pair.supervisor.send(RELOAD)
    pair.channel.attend(pair.served)
    await until(lambda: pair.served.told)
    assert pair.served.told == ["reload: signal"]


async def test_it_does_what_the_supervisor_says_in_order(pair: Pair) -> None:
    pair.channel.attend(pair.served)
    pair.supervisor.send(RELOAD + STOP + b"SIGTERM\n")
    await until(lambda: len(pair.served.told) == 2)
    assert pair.served.told == ["reload: signal", "stop: SIGTERM"]


async def test_a_message_in_two_pieces_is_one(pair: Pair) -> None:
    pair.channel.attend(pair.served)
    pair.supervisor.send(b"unknown\n" + STOP)
    await until(lambda: pair.channel._begun)
    pair.supervisor.send(b"SIGINT\n")
    await until(lambda: pair.served.told)
    assert pair.served.told == ["stop: SIGINT"]


async def test_the_end_of_the_supervisor_stops_the_worker(pair: Pair) -> None:
    pair.channel.attend(pair.served)
    pair.supervisor.close()  # READY is unread, so this resets
    await until(lambda: pair.served.told)
    assert pair.served.told == ["stop: the supervisor ended"]


async def test_a_supervisor_that_ended_before_stops_the_worker_once_it_accepts(pair: Pair) -> None:
    pair.supervisor.close()
    pair.channel.attend(pair.served)
    await until(lambda: pair.served.told)
    assert pair.served.told == ["stop: the supervisor ended"]


async def test_nothing_to_read_is_no_end(pair: Pair) -> None:
    pair.channel._read(pair.served)
    assert pair.served.told == []


def test_what_is_no_channel_is_an_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="socket"):
        Channel(descriptor)
    os.close(descriptor)
