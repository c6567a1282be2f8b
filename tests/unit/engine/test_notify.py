import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.engine.notify import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.settimeout(20)
        listening.bind(str(tmp_path / "notify"))
        yield listening


async def heard(manager: socket.socket) -> bytes:
    return await asyncio.to_thread(manager.recv, 100)


async def test_it_hears_that_the_gate_serves_and_then_that_it_lives(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())}
    ServiceManager(environ).attend()
    assert [await heard(manager) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]


async def test_an_abstract_address() -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.settimeout(20)
        listening.bind("")  # the kernel chooses an abstract address
        ServiceManager({"NOTIFY_SOCKET": "@" + listening.getsockname()[1:].decode()}).attend()
        assert await heard(listening) == b"READY=1"


@pytest.mark.parametrize("address", ["", "notify", "vsock:2:1234", "/nobody/listens"])
async def test_nobody_to_tell_is_no_error(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}).attend()


@pytest.mark.parametrize(
    ("environ", "every"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_it_wants_to_hear(environ: dict[str, str], every: float | None) -> None:
    assert ServiceManager(environ, process=7).every == every
