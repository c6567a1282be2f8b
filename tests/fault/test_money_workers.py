"""Money routes of workers that share a store: a worker and the store are killed while a debit is under way."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.engine.harness import read_response, read_to_end
from tests.engine.test_run import connect
from tests.engine.test_workers import Supervised, supervised
from tests.engine.upstream import Held
from tests.fault.test_money import RULES, current

pytestmark = pytest.mark.layers  # once: the processes decide for themselves

SHARED = RULES | {
    "issuers:\n": "state: {store: valkey, embedded: true, secret: 'file:acme.secret', after_loss: 1h}\n\nissuers:\n"
}


async def code(up: Supervised, raw: bytes) -> str:
    """Send a request on a connection of its own, once there is a worker; gives the refusal's code, or the status."""
    while True:
        try:
            reader, writer = await connect(up.folder)
            writer.write(raw)
            response = await read_response(reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            continue
        writer.close()
        return response.code if response.status >= 400 else str(response.status)


async def answered(up: Supervised, numbers: range, key: str) -> set[str]:
    """Send repetitions; gives what was answered, but for what a store that is gone could not."""
    codes = [await code(up, current(number, key)) for number in numbers]
    return set(codes) - {"gate.state_unavailable"}


async def test_nothing_runs_twice_where_a_worker_and_the_store_are_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, SHARED) as up:
        await up.until_said("2 workers accept")
        try:
            await killed(up)
        finally:
            up.process.send_signal(signal.SIGTERM)
            await up.until_nobody_is_left()


async def killed(up: Supervised) -> None:
    held = Held(up.upstream)
    reader, writer = await connect(up.folder)
    ended = asyncio.ensure_future(read_to_end(reader))
    writer.write(current(1, "op-1"))
    await held.reached.wait()
    assert await answered(up, range(2, 6), "op-1") == {"idempotency.in_flight"}  # whichever worker it comes to

    store = int((up.folder.path / "state" / "valkey" / "valkey.pid").read_text())
    for number in (1, 2):
        os.kill(up.worker(number), signal.SIGKILL)
    os.kill(store, signal.SIGKILL)
    await ended
    held.go_on.set()
    up.upstream.behaviour = None

    codes: set[str] = set()
    number = 100
    while not codes:
        number += 1
        codes = await answered(up, range(number, number + 1), "op-1")
    # The debit may have been carried out: it is not repeated, and its amount counts.
    assert codes == {"idempotency.in_flight"}
    assert await answered(up, range(10, 14), "op-2") == {"velocity.exceeded"}
    assert len(up.upstream.requests) == 1
    writer.close()
