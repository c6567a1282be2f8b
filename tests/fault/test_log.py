"""A log that cannot be written: nothing is forwarded, and the failure and its end are recorded once they can be."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never

import pytest

from gateway.audit import log as log_module
from gateway.audit.log import AuditLog
from gateway.core.reasons import Reason, Unavailable
from tests import world
from tests.engine import harness
from tests.engine.harness import Running, get, read_response, read_to_end, request, until
from tests.engine.http2 import Http2Client
from tests.engine.upstream import Held

ERRORS: list[Exception] = [
    Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left on device"),
    OSError(errno.ENOSPC, "No space left on device"),
    RuntimeError("secret-7f3a"),
    ValueError("a record of 70000 bytes"),
    MemoryError(),
]


def fail(patched: pytest.MonkeyPatch, log: AuditLog, error: Exception) -> None:
    """Have a log that nothing can be appended to."""

    def append(_: object) -> Never:
        raise error

    patched.setattr(log, "append", append)
    patched.setattr(log, "_write_together", lambda _: False)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_an_allow_that_cannot_be_recorded_is_a_denial(
    up: Running, monkeypatch: pytest.MonkeyPatch, error: Exception, protocol: str
) -> None:
    with monkeypatch.context() as patched:
        fail(patched, up.log, error)
        if protocol == "1.1":
            response = await up.send(request())
        else:
            async with Http2Client(up) as client:
                response = await client.answer(client.post())

    assert (response.status, response.code) == (503, "gate.audit_unavailable")
    assert b"secret-7f3a" not in response.body
    assert up.upstream.untouched


async def test_a_denial_that_cannot_be_recorded_is_a_denial(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        fail(patched, up.log, OSError())

        assert (await up.send(get(authorization=None))).code == "token.missing"
        assert (await up.send(b"no request\r\n\r\n")).code == "http.malformed"
    assert up.upstream.untouched


async def test_a_refused_connection_that_cannot_be_recorded_is_refused(
    up: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        fail(patched, up.log, OSError())
        reader, writer = await up.connect_plain()
        writer.write(get())

        assert b"HTTP" not in await read_to_end(reader)
    assert (await up.send(get())).status == 200


class FullDisk:
    """A disk without space, until `full` is taken back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data)


async def test_a_full_disk_and_its_end(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200
    disk = FullDisk(monkeypatch)
    for number in range(3):
        writer.write(request(world.World(nonce=f"failed-{number}")))
        assert (await read_response(reader)).code == "gate.audit_unavailable"
    assert len(up.upstream.requests) == 1

    disk.full = False
    writer.write(get())
    assert (await read_response(reader)).status == 200

    (failed,), (recovered,) = up.records("control.failed"), up.records("control.recovered")
    assert failed["unmapped"]["control"] == recovered["unmapped"]["control"] == "audit"
    assert recovered["unmapped"]["denied"] == 3
    assert "No space left on device" in failed["status_detail"]


@asynccontextmanager
async def one_turn(up: Running, count: int) -> AsyncIterator[None]:
    """Have what is decided within written together, once so many records are queued; mitmproxy's layers queue none."""
    commit = up.gate.commit
    turn = commit._turn
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(commit, "_turn", lambda: None)
        yield
        if not harness.FLOWS:
            await until(lambda: len(commit._events) == count)
    turn()


async def test_a_log_that_fails_for_all_records_of_a_turn(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [await up.connect() for _ in range(6)]
    disk = FullDisk(monkeypatch)
    async with one_turn(up, count=6):
        for number, (_, writer) in enumerate(clients[:5]):
            writer.write(request(world.World(nonce=f"failed-{number}")))
        clients[5][1].write(get(authorization=None))
    codes = [(await read_response(reader)).code for reader, _ in clients]
    assert codes == ["gate.audit_unavailable"] * 5 + ["token.missing"]
    assert up.upstream.untouched
    assert (up.records(), up.gate.unfinished) == ([], 0)

    disk.full = False
    async with one_turn(up, count=6):
        for number, (_, writer) in enumerate(clients):
            writer.write(request(world.World(nonce=f"works-{number}")))
    assert [(await read_response(reader)).status for reader, _ in clients] == [200] * 6

    await up.until_finished(6)
    (recovered,) = up.records("control.recovered")
    assert recovered["unmapped"] == {"control": "audit", "denied": 6}
    assert len(up.records("decision")) == len(up.records("outcome")) == 6


async def test_clients_that_leave_while_the_log_fails_leave_nothing_behind(
    up: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    clients = [await up.connect() for _ in range(3)]
    async with one_turn(up, count=3):
        for number, (_, writer) in enumerate(clients):
            writer.write(request(world.World(nonce=f"failed-{number}")))
    for _, writer in clients:
        writer.transport.abort()
    await until(lambda: not up.master.handlers)
    assert up.upstream.untouched
    disk.full = False
    assert (await up.send(get())).status == 200
    assert up.records("control.recovered")[0]["unmapped"]["denied"] == 3


async def test_a_disk_that_fills_while_the_upstream_works(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()
    disk = FullDisk(monkeypatch)
    held.go_on.set()

    assert (await read_response(reader)).status == 200  # it was done; keeping it back would help nobody

    disk.full = False
    writer.write(get())
    assert (await read_response(reader)).status == 200
    kinds = [record["metadata"]["event_code"] for record in up.records()]
    assert kinds == [
        "decision", "control.failed", "outcome", "control.recovered", "decision", "outcome",
    ]  # fmt: skip


async def test_a_log_file_that_is_removed_is_noticed_and_begun_anew(up: Running) -> None:
    assert (await up.send(get())).status == 200
    (file,) = up.log.directory.glob("*.jsonl")
    kept = file.read_bytes()
    file.unlink()

    up.log.sync()  # as the service does every second
    assert (await up.send(get())).status == 200

    (failed,) = up.records("control.failed")
    assert failed["unmapped"]["control"] == "audit"
    assert up.records("decision")
    file.write_bytes(kept)  # for the audit at the end


async def test_a_request_whose_record_cannot_be_made_is_denied(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def line(*_: object) -> Never:
        raise ZeroDivisionError("secret-7f3a")

    with monkeypatch.context() as patched:
        patched.setattr(log_module, "line", line)
        assert (await up.send(request())).code == "gate.audit_unavailable"
        assert up.upstream.untouched

    assert (await up.send(request(world.World(nonce="nonce-2")))).status == 200
    log = b"".join(file.read_bytes() for file in up.log.directory.glob("*.jsonl"))
    assert b"secret-7f3a" not in log
