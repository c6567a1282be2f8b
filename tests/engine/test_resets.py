"""`gateway limits reset` beside a gate that serves and counts in its memory: done within a second, and recorded."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.limits import limits
from gateway.state.resets import Reset, add
from tests import world
from tests.engine.harness import get
from tests.engine.services import again, served

pytestmark = pytest.mark.direct  # once: what counts is the same on both

QUOTA = {"1000/second per partner": "2/calendar-month per partner"}


IN_FLIGHT = 'replay: {off: "reads only"}\n    concurrency: {per_partner: 4}'


def show(folder: Path) -> Result:
    arguments = ["show", str(folder / "policy.yaml"), world.PARTNER, "--state", str(folder / "state")]
    return CliRunner().invoke(limits, arguments)


def run(folder: Path, *arguments: str) -> Result:
    told = ("--because", "INC-1", "--by", "maria", "--state", str(folder / "state"))
    return CliRunner().invoke(limits, ["reset", str(folder / "policy.yaml"), *arguments, *told])


async def test_what_is_used_is_shown_where_the_gate_counts_in_its_memory(tmp_path: Path) -> None:
    async with served(tmp_path) as up:
        limits = (
            '{limit: 9/hour, per: partner, burst: 5}, "7/hour per partner, address", "2/calendar-month per partner"'
        )
        up.folder.put_policy(**{'"1000/second per partner"': limits, 'replay: {off: "reads only"}': IN_FLIGHT})
        up.service.request_reload("signal")
        await up.until_recorded("policy.loaded")
        assert [(await up.send(get())).status for _ in range(3)] == [200, 200, 429]

        shown = await asyncio.to_thread(show, up.directory)
        assert shown.exit_code == 0, shown.output
        assert [line.split(maxsplit=2) for line in shown.output.splitlines() if line.startswith("balance")] == [
            ["balance", "partner-3600s", "used 2 of the burst of 5 at 9/hour"],
            ["balance", "partner-address-3600s", "counted by partner, address: one bucket for each"],
            ["balance", "partner-calendar-month", "used 2 of 2/calendar-month"],
            ["balance", "concurrency", "0 of 4 in flight"],
        ]
        assert (await up.send(get())).status == 429


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
