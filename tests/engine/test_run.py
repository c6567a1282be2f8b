"""`gateway run` as a process of its own: signals, exit codes, and what is left in the log."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.message import Instant
from tests import world
from tests.engine.harness import check_outcomes, get, read_response, request, serving, until
from tests.engine.services import Folder
from tests.engine.upstream import FakeUpstream, Held

pytestmark = pytest.mark.layers  # once: the process decides for itself


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@asynccontextmanager
async def process(folder: Folder) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the gate; wait until it listens."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()",
        "run", folder.policy, "--audit", folder.audit, "--state", folder.path / "state",
        stderr=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def until_it_listens(started: asyncio.subprocess.Process) -> None:
    assert started.stderr is not None
    told = b""
    while b" in force" not in told:
        line = await started.stderr.readline()
        assert line, told.decode()
        told += line


def current(nonce: str = "nonce-1") -> tuple[bytes, bytes]:
    """Give a deposit and a look at the balance, dated now: the process has a clock of its own."""
    now = int(time.time())
    token = world.token(world.claims(iat=now - 60, nbf=now - 60, exp=now + 240))
    made = world.World(now=Instant(now), token=token, nonce=nonce)
    return request(made), get(authorization=f"Bearer {token}")


async def connect(folder: Folder) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", folder.port, ssl=folder.client_context(), server_hostname="localhost"
    )


async def test_a_life_of_the_gate(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port, free_port())
        folder.write()
        async with process(folder) as started:
            await until_it_listens(started)
            await live(folder, upstream, started)

        assert started.returncode == 0
        kinds = folder.kinds()
        assert kinds[0] == "start"
        assert kinds[-1] == "stop"
        assert kinds.count("policy.loaded") == kinds.count("policy.refused") == 1
        assert folder.records("stop")[0]["status_detail"] == "SIGTERM"
        check_outcomes(folder.records())


async def live(folder: Folder, upstream: FakeUpstream, started: asyncio.subprocess.Process) -> None:
    reader, writer = await connect(folder)
    deposit, _ = current()
    writer.write(deposit)
    assert (await read_response(reader)).status == 200
    writer.write(deposit)
    assert (await read_response(reader)).code == "replay.seen"

    folder.put_policy(**{"mutual_tls: required": "mutual_tls: maybe"})
    started.send_signal(signal.SIGHUP)
    await until(lambda: "policy.refused" in folder.kinds())
    folder.put_policy(
        **{"upstream: psp\n    partners: [acme-casino]\n": "upstream: psp\n    partners: [acme-casino] # the same\n"}
    )
    started.send_signal(signal.SIGHUP)
    await until(lambda: "policy.loaded" in folder.kinds())

    held = Held(upstream)
    writer.write(current("nonce-2")[0])
    await held.reached.wait()
    started.send_signal(signal.SIGTERM)
    await until(lambda: not listens(folder))
    held.go_on.set()
    assert (await read_response(reader)).status == 200
    await started.wait()
    writer.close()


def listens(folder: Folder) -> bool:
    """Whether somebody accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", folder.port), 1).close()
    except ConnectionError:
        return False
    return True


async def test_a_policy_with_errors_exits_with_2_and_tells_them(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 9000, free_port())
    folder.write()
    folder.put_policy(**{"mutual_tls: required": "mutual_tls: maybe"})
    async with process(folder) as started:
        _, told = await started.communicate()

    assert started.returncode == 2
    assert b"policy.yaml:" in told
    assert b"mutual_tls" in told
    assert b"Traceback" not in told


async def test_after_a_kill_no_signed_request_of_before_counts(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port, free_port())
        folder.write()
        deposit, balance = current()
        async with process(folder) as started:
            await until_it_listens(started)
            reader, writer = await connect(folder)
            writer.write(deposit)
            assert (await read_response(reader)).status == 200
            writer.close()
            started.kill()
            await started.wait()

        async with process(folder) as started:
            await until_it_listens(started)
            reader, writer = await connect(folder)
            writer.write(deposit)
            assert (await read_response(reader)).code == "replay.unknowable"
            writer.write(balance)
            assert (await read_response(reader)).status == 200
            writer.close()
