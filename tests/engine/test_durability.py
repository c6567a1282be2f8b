"""`durability: fsync`: an allow is on the disk before anything of the request is forwarded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.audit.segment import LostError, Segment
from tests import world
from tests.engine.harness import request, serving
from tests.engine.services import Folder, Served, again

FSYNC = {"version: 1\n": "version: 1\naudit: {durability: fsync}\n"}


@asynccontextmanager
async def durable(directory: Path) -> AsyncIterator[Served]:
    async with serving() as upstream:
        folder = Folder(directory, upstream.port)
        folder.write()
        folder.put_policy(**FSYNC)
        async with again(folder, upstream) as up:
            yield up


def numbered(number: int) -> bytes:
    return request(world.World(nonce=f"nonce-{number}"))


async def test_nothing_is_forwarded_before_it_is_on_the_disk(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    async with durable(tmp_path) as up:

        async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            decided = [one["metadata"]["sequence"] for one in up.folder.records("decision")]
            seen.append((up.service.log.synced, len(decided)))
            writer.write(up.upstream.answer)

        up.upstream.behaviour = behave
        answers = [await up.send(numbered(number)) for number in range(5)]
        several = await asyncio.gather(*(up.send(numbered(10 + number)) for number in range(10)))
    assert {answer.status for answer in (*answers, *several)} == {200}
    assert len(seen) == 15
    for count, (synced, _) in enumerate(seen, 1):
        assert synced >= count  # a decision for each that has come so far, and the start
    kinds = [one["metadata"]["event_code"] for one in up.folder.records()]
    assert kinds.count("decision") == kinds.count("outcome") == 15


async def test_a_disk_that_fails_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with durable(tmp_path) as up:
        working = Segment.sync

        def fails(*_: object) -> None:
            raise LostError(5, "could not be synced: Input/output error")

        monkeypatch.setattr(Segment, "sync", fails)
        answer = await up.send(numbered(1))
        assert answer.status == 503
        assert b"gate.audit_unavailable" in answer.body
        assert up.upstream.requests == []
        monkeypatch.setattr(Segment, "sync", working)
        assert (await up.send(numbered(2))).status == 200
        await up.until_recorded("outcome", 2)
    reasons = [one["status_code"] for one in up.folder.records("outcome")]
    assert reasons == ["gate.audit_unavailable", "allowed"]
    assert [one["unmapped"]["control"] for one in up.folder.records("control.failed")][:1] == ["audit"]


async def test_a_reload_changes_it(tmp_path: Path) -> None:
    async with durable(tmp_path) as up:
        assert up.service.gate.commit.durable
        up.folder.put_policy()
        assert await up.service.reload("test")
        assert not up.service.gate.commit.durable
        assert (await up.send(numbered(1))).status == 200


async def test_origin_and_key_stay(tmp_path: Path) -> None:
    async with durable(tmp_path) as up:
        up.folder.put_policy(**{"version: 1\n": "version: 1\naudit: {origin: other.example}\n"})
        assert not await up.service.reload("test")
        (refused,) = up.folder.records("policy.refused")
        assert "the audit log's origin and key cannot be changed" in refused["unmapped"]["problems"][0]
