"""`gateway limits reset` beside a gate that serves and counts in its memory: done within a second, and recorded."""

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.cli.limits import limits
from gateway.state.resets import Reset, add
from tests import world
from tests.engine.harness import get
from tests.engine.services import again, served

QUOTA = {"1000/second per partner": "2/calendar-month per partner"}


def run(folder: Path, *arguments: str) -> Result:
    told = ("--because", "INC-1", "--by", "maria", "--state", str(folder / "state"))
    return CliRunner().invoke(limits, ["reset", str(folder / "policy.yaml"), *arguments, *told])


async def test_an_operator_gives_a_partner_its_quota_back(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        up.folder.put_policy(**QUOTA)
        up.service.request_reload("signal")
        await up.until_recorded("policy.loaded")
        assert [(await up.send(get())).status for _ in range(3)] == [200, 200, 429]

        done = await asyncio.to_thread(run, up.directory, world.PARTNER)
        assert (done.exit_code, done.output) == (0, f"reset: {world.PARTNER} (number 1)\n")
        assert [(await up.send(get())).status for _ in range(3)] == [200, 200, 429]
        await up.until_recorded("limits.reset")
        (told,) = up.folder.records("limits.reset")
        assert told["actor"]["user"]["name"] == "maria"
        assert told["entity"]["uid"] == world.PARTNER
        assert (told["status_detail"], told["unmapped"]["counters"]) == ("INC-1", 1)
        assert await up.stop() == 0

        # What was used since is known to the next run, which does not reset it once more.
        async with again(up.folder, up.upstream) as after:
            assert (await after.send(get())).status == 429
            assert len(up.folder.records("limits.reset")) == 1


async def test_a_reset_from_while_the_gate_was_stopped_is_done_before_it_serves(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        up.folder.put_policy(**QUOTA)
        up.service.request_reload("signal")
        await up.until_recorded("policy.loaded")
        assert [(await up.send(get())).status for _ in range(3)] == [200, 200, 429]
        assert await up.stop() == 0
        add(up.directory / "state", [Reset(0, world.PARTNER, (), up.time.now, "maria", "INC-1")])
        async with again(up.folder, up.upstream) as after:
            assert (await after.send(get())).status == 200
            assert len(up.folder.records("limits.reset")) == 1
