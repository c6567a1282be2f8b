"""A quota of the month in the memory of the gate, over the ends of its process."""

import os
import signal
import time
from pathlib import Path

import pytest

from gateway.core.message import Instant
from tests import world
from tests.engine.harness import Response, read_response, request, serving
from tests.engine.services import Folder
from tests.engine.test_run import connect, free_port, process, until_it_listens


def current(number: int) -> bytes:
    """Write a deposit dated now: the process has a clock of its own."""
    now = int(time.time())
    token = world.token(world.claims(iat=now - 60, nbf=now - 60, exp=now + 240))
    return request(world.World(now=Instant(now), token=token, nonce=f"{os.getpid()}-{number}"))


@pytest.mark.layers  # once: the process decides for itself
async def test_a_quota_of_the_month_holds_over_a_kill_and_an_orderly_stop(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port, free_port())
        folder.write()
        folder.put_policy(
            **{
                "1000/second per partner": "4/calendar-month per partner",
                "replay: required": 'replay: {off: "what was dated before the kill is to be counted, not refused"}',
            }
        )
        answers: list[Response] = []
        for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            async with process(folder) as gate:
                await until_it_listens(gate)
                reader, writer = await connect(folder)
                for _ in range(2):
                    writer.write(current(len(answers)))
                    answers.append(await read_response(reader))
                writer.close()
                gate.send_signal(end)
                await gate.wait()

        assert [answer.status for answer in answers] == [200, 200, 200, 200, 429, 429]
        left = [answer.fields["ratelimit"].split(";")[1] for answer in answers]
        assert left == ["r=3", "r=2", "r=1", "r=0", "r=0", "r=0"]
        assert len(upstream.requests) == 4
