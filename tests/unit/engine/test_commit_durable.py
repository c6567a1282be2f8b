"""Group commit that waits for the disk."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit.events import RequestDecided
from gateway.audit.log import AuditLog
from gateway.audit.segment import LostError, Segment
from gateway.core.reasons import Unavailable
from gateway.engine.commit import GroupCommit
from tests.unit.audit.examples import DENIED, decided
from tests.unit.audit.logs import records


class Disk:
    """Stands in for the disk: waits until it may go on, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may = threading.Event()
        self.may.set()
        self.begun = threading.Event()
        self.fails = False
        self.syncs = 0
        monkeypatch.setattr(Segment, "sync", self._sync)

    def _sync(self, *_: object) -> None:
        self.syncs += 1
        self.begun.set()
        assert self.may.wait(10)
        if self.fails:
            raise LostError(5, "could not be synced")


class Waits:
    def __init__(self) -> None:
        self.errors: list[Unavailable | None] = []
        self.went_on = asyncio.Event()

    def committed(self, error: Unavailable | None) -> None:
        self.errors.append(error)

    def go_on(self) -> None:
        self.went_on.set()


@pytest.fixture
async def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
async def commit(tmp_path: Path, disk: Disk) -> AsyncIterator[GroupCommit]:
    log = AuditLog(tmp_path)
    made = GroupCommit(log, durable=True)
    yield made
    disk.may.set()
    disk.fails = False
    made.close()
    log.close()


def wait(commit: GroupCommit, name: str, event: RequestDecided | None = None) -> Waits:
    waiter = Waits()
    commit.soon((event or decided())._replace(request_id=name), waiter)
    return waiter


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_an_allow_goes_on_once_it_is_on_the_disk(commit: GroupCommit, disk: Disk, tmp_path: Path) -> None:
    disk.may.clear()
    waiter = wait(commit, "r-1")
    await asyncio.to_thread(disk.begun.wait)
    await turn()
    assert len(records(tmp_path)) == 1
    assert waiter.errors == []
    disk.may.set()
    await waiter.went_on.wait()
    assert waiter.errors == [None]


async def test_one_wait_is_for_all_that_were_written_before_it(commit: GroupCommit, disk: Disk) -> None:
    disk.may.clear()
    first = wait(commit, "r-1")
    await asyncio.to_thread(disk.begun.wait)
    later = [wait(commit, f"r-{number}") for number in range(2, 9)]
    await turn()
    disk.may.set()
    for waiter in (first, *later):
        await waiter.went_on.wait()
    assert disk.syncs == 2


async def test_a_denial_waits_for_no_disk(commit: GroupCommit, disk: Disk) -> None:
    waiter = wait(commit, "r-1", DENIED)
    await waiter.went_on.wait()
    assert waiter.errors == [None]
    assert disk.syncs == 0


async def test_what_may_not_be_on_the_disk_is_denied_and_has_an_outcome(
    commit: GroupCommit, disk: Disk, tmp_path: Path
) -> None:
    disk.fails = True
    waiter = wait(commit, "r-1")
    await waiter.went_on.wait()
    (error,) = waiter.errors
    assert error is not None
    assert error.detail == "the decision could not be brought to the disk"
    disk.fails = False
    commit.flush()
    kinds = [(entry.kind, entry.correlation, entry.reason) for entry in records(tmp_path)]
    assert kinds == [
        ("decision", "r-1", "allowed"),
        ("control.failed", "", "control.failed"),
        ("control.recovered", "", "control.recovered"),
        ("outcome", "r-1", "gate.audit_unavailable"),
    ]


async def test_a_failure_does_not_deny_what_comes_after(commit: GroupCommit, disk: Disk) -> None:
    disk.fails = True
    first = wait(commit, "r-1")
    await first.went_on.wait()
    disk.fails = False
    second = wait(commit, "r-2")
    await second.went_on.wait()
    assert second.errors == [None]


async def test_a_record_at_once_waits_for_the_disk_at_once(commit: GroupCommit, disk: Disk) -> None:
    assert commit.now(decided()) is None
    assert disk.syncs == 1
    assert commit.now(DENIED) is None
    assert disk.syncs == 1
    disk.fails = True
    error = commit.now(decided()._replace(request_id="r-2"))
    assert error is not None
    assert error.detail == "the decision could not be brought to the disk"


async def test_what_is_queued_is_settled_at_once(commit: GroupCommit, disk: Disk) -> None:
    disk.may.clear()
    first = wait(commit, "r-1")
    await asyncio.to_thread(disk.begun.wait)
    second = wait(commit, "r-2")
    disk.may.set()
    commit.flush()
    assert first.errors == second.errors == [None]
    assert not second.went_on.is_set()
    await second.went_on.wait()


async def test_a_log_that_cannot_be_written_denies_at_once(
    commit: GroupCommit, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Segment, "write", full)
        waiter = wait(commit, "r-1")
        await waiter.went_on.wait()
    (error,) = waiter.errors
    assert error is not None
    assert "No space" in error.detail
    assert disk.syncs == 0
