"""Faults between reservation and settlement: nothing runs twice, nothing goes beyond a limit, and it is told."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import read_response, read_to_end, request, running, serving
from tests.engine.money import KEY, chain, debit, idempotency, velocity
from tests.engine.services import Folder
from tests.engine.test_run import connect, free_port, process, until_it_listens
from tests.engine.upstream import Held

RULES = {
    "replay: required\n    body: {limit: 64KiB}": """replay: {off: "keys tell repetitions, also after a crash"}
    idempotency: {key: {header: Idempotency-Key}, remember: 24h}
    velocity:
      amount: {pointer: /amount, currency: {pointer: /currency}, unit: minor}
      limits: [{name: day, per: /player, sum: 45.00 EUR, window: 24h}]
    body: {limit: 64KiB}"""
}


def both() -> dict[str, object]:
    return {"route": {"chain": chain(idempotency(), velocity())}}


def current(number: int, key: str) -> bytes:
    """Write a debit of 25.00 EUR, dated now: the process has a clock of its own."""
    now = int(time.time())
    token = world.token(world.claims(iat=now - 60, nbf=now - 60, exp=now + 240))
    return request(world.World(now=Instant(now), token=token, nonce=f"{os.getpid()}-{number}", fields={KEY: key}))


@pytest.mark.layers  # once: the process decides for itself
async def test_a_gate_that_is_killed_between_forward_and_answer(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port, free_port())
        folder.write()
        folder.put_policy(**RULES)
        held = Held(upstream)
        async with process(folder) as gate:
            await until_it_listens(gate)
            reader, writer = await connect(folder)
            writer.write(current(1, "op-1"))
            await held.reached.wait()
            gate.send_signal(signal.SIGKILL)
            await gate.wait()
            await read_to_end(reader)
        held.go_on.set()
        upstream.behaviour = None

        async with process(folder) as gate:
            await until_it_listens(gate)
            reader, writer = await connect(folder)
            codes = []
            for number, key in ((2, "op-1"), (3, "op-2"), (4, "op-1")):
                writer.write(current(number, key))
                codes.append((await read_response(reader)).code)

        # The first debit may have been carried out: it is not repeated, and its amount counts.
        assert codes == ["idempotency.unknown", "velocity.exceeded", "idempotency.unknown"]
        assert len(upstream.requests) == 1


class Breaks(Exception):  # noqa: N818
    """A store that is gone."""


def breaking(*_: object) -> None:
    raise Breaks("secret-7f3a")


async def test_a_store_that_fails_between_reserve_and_settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, **both()) as up:
        with monkeypatch.context() as patched:
            patched.setattr(up.state, "settle", breaking)
            first = await up.send(debit(1, amount=4_000))
            up.upstream.answer = b"HTTP/1.1 402 Payment Required\r\ncontent-length: 0\r\n\r\n"
            refused = await up.send(debit(2, "op-2", amount=1_000))
        again = await up.send(debit(3, amount=4_000))
        beyond = await up.send(debit(4, "op-3", amount=1))

        assert (first.status, refused.status) == (200, 402)  # the answers stand
        assert again.code == "idempotency.in_flight"  # and nothing is forwarded twice
        assert beyond.code == "velocity.exceeded"  # what could not be given back counts
        failed, *_ = up.records("control.failed")
        assert failed["unmapped"]["control"] == "state"
        assert "settling" in failed["status_detail"]
        assert "secret-7f3a" not in failed["status_detail"]
        assert len(up.upstream.requests) == 2


@pytest.mark.parametrize("method", ["remember", "reserve"])
async def test_a_store_that_fails_when_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with running(tmp_path, **both()) as up:
        with monkeypatch.context() as patched:
            patched.setattr(up.state, method, breaking)
            failed = await up.send(debit(1))
        worked = await up.send(debit(2))

        assert failed.code == "gate.state_unavailable"
        assert worked.status == 200  # no key was left in flight
        assert len(up.upstream.requests) == 1
        assert [record["unmapped"]["control"] for record in up.records("control.recovered")] == ["state"]


async def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with running(tmp_path, **both()) as up:
        with monkeypatch.context() as patched:
            patched.setattr("gateway.state.journal.os.open", full)
            refused = await up.send(debit(1))
        with monkeypatch.context() as patched:
            patched.setattr("gateway.state.journal.os.fdatasync", full)
            unsynced = await up.send(debit(2))
        worked = await up.send(debit(3))

        assert (refused.code, unsynced.code) == ("gate.state_unavailable", "gate.state_unavailable")
        assert worked.status == 200
        assert len(up.upstream.requests) == 1


async def test_a_client_that_leaves_while_the_key_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, **both()) as up:
        asked, go_on, settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        remember, settle = up.state.remember, up.state.settle

        async def later(*arguments: object) -> object:
            asked.set()
            await go_on.wait()
            found = remember(*arguments)  # type: ignore[arg-type]
            return await found if hasattr(found, "__await__") else found

        def settling(*arguments: object) -> None:
            settle(*arguments)  # type: ignore[arg-type]
            settled.set()

        monkeypatch.setattr(up.state, "settle", settling)
        with monkeypatch.context() as patched:
            patched.setattr(up.state, "remember", later)
            reader, writer = await up.connect()
            writer.write(debit(1))
            await asked.wait()
            writer.close()
            await read_to_end(reader)
            go_on.set()
            await up.until_decided()
        await settled.wait()
        again = await up.send(debit(2))
        assert again.status == 200
        assert up.decided[0] is Reason.CLIENT_CLOSED
        assert len(up.upstream.requests) == 1
