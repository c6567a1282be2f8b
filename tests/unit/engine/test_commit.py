import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from gateway.audit.events import ControlFailed, Event, PolicyFacts
from gateway.audit.log import AuditLog
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.commit import GroupCommit
from tests.unit.engine.gates import Log
from tests.world import NOW

FULL = Unavailable(Reason.AUDIT_UNAVAILABLE, "no space left")
OTHER = Unavailable(Reason.AUDIT_UNAVAILABLE, "only this one")


def event(name: str) -> Event:
    return ControlFailed(NOW, PolicyFacts("psp", "0" * 64), name, "")


class Waits:
    """Notes in `told` what it is told, and when."""

    def __init__(self, name: str, told: list[str], then: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.told = told
        self.then = then
        self.error: Unavailable | None = None

    def committed(self, error: Unavailable | None) -> None:
        self.error = error
        self.told.append(f"{self.name} committed")

    def go_on(self) -> None:
        self.told.append(f"{self.name} goes on")
        self.then()


class Group:
    """A commit, and what came of it."""

    def __init__(self) -> None:
        self.log = Log()
        self.told: list[str] = []
        self.commit = GroupCommit(cast("AuditLog", self.log))

    def waits(self, name: str, then: Callable[[], object] = lambda: None) -> Waits:
        """Queue an event that is waited for."""
        waiter = Waits(name, self.told, then)
        self.commit.soon(event(name), waiter)
        return waiter

    @property
    def names(self) -> list[str]:
        """What is in the log, in order."""
        return [one.control for one in self.log.of(ControlFailed)]


@pytest.fixture
def group() -> Group:
    return Group()


async def turn() -> None:
    await asyncio.sleep(0)


async def test_what_is_queued_is_written_in_the_same_turn_with_one_write(group: Group) -> None:
    for name in "abc":
        group.commit.soon(event(name))
    assert group.names == []
    await turn()
    assert (group.names, group.log.writes) == (["a", "b", "c"], [3])


async def test_every_turn_has_its_write(group: Group) -> None:
    for name in "abc":
        group.commit.soon(event(name))
        await turn()
    assert (group.names, group.log.writes) == (["a", "b", "c"], [1, 1, 1])


async def test_nobody_goes_on_before_its_record_is_in_the_log(group: Group) -> None:
    seen: list[list[str]] = []
    group.waits("a", lambda: seen.append(group.names))
    assert (group.told, seen) == ([], [])
    await turn()
    assert seen == [["a"]]


async def test_all_know_of_their_records_before_anyone_goes_on(group: Group) -> None:
    group.waits("a")
    group.commit.soon(event("b"))
    group.waits("c")
    await turn()
    assert group.told == ["a committed", "c committed", "a goes on", "c goes on"]


async def test_what_is_queued_by_one_that_goes_on_is_written_next(group: Group) -> None:
    group.waits("a", lambda: group.waits("c"))
    group.waits("b")
    await turn()
    assert group.told == ["a committed", "b committed", "a goes on", "b goes on"]
    await turn()
    assert (group.names, group.log.writes) == (["a", "b", "c"], [2, 1])
    assert group.told[4:] == ["c committed", "c goes on"]


async def test_what_is_written_at_once_stands_behind_what_is_queued(group: Group) -> None:
    group.waits("a")
    assert group.commit.now(event("b")) is None
    assert group.names == ["a", "b"]
    group.commit.soon(event("c"))
    group.commit.now(event("d"))
    assert group.names == ["a", "b", "c", "d"]


async def test_one_whose_record_was_written_early_does_not_go_on_within_the_call(group: Group) -> None:
    group.waits("a")
    group.commit.flush()
    assert (group.names, group.told) == (["a"], ["a committed"])
    await turn()
    await turn()
    assert group.told == ["a committed", "a goes on"]
    assert group.log.writes == [1]


async def test_what_is_queued_after_an_early_write_is_not_forgotten(group: Group) -> None:
    group.waits("a")
    group.commit.flush()
    group.waits("b")
    await turn()
    await turn()
    assert (group.names, sorted(group.told[2:])) == (["a", "b"], ["a goes on", "b goes on"])


async def test_a_record_at_once_is_possible_while_others_go_on(group: Group) -> None:
    group.waits("a", lambda: group.commit.now(event("c")))
    group.waits("b")
    await turn()
    assert group.names == ["a", "b", "c"]
    assert group.told[2:] == ["a goes on", "b goes on"]


async def test_nothing_queued_is_nothing_written(group: Group) -> None:
    group.commit.flush()
    await turn()
    assert group.log.writes == []


async def test_each_is_told_why_its_own_record_is_missing(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group.log, "append_all", lambda events: [None, OTHER, FULL][: len(events)])
    waiters = [group.waits(name) for name in "abc"]
    await turn()
    assert [waiter.error for waiter in waiters] == [None, OTHER, FULL]
    assert group.told[3:] == ["a goes on", "b goes on", "c goes on"]


async def test_one_that_fails_for_a_whole_turn_works_in_the_next(group: Group) -> None:
    group.log.error = FULL
    failed = [group.waits(name) for name in "ab"]
    await turn()
    group.log.error = None
    written = group.waits("c")
    await turn()
    assert ([waiter.error for waiter in failed], written.error) == ([FULL, FULL], None)
    assert group.names == ["c"]


async def test_what_nobody_waits_for_is_told_to_the_operator_where_it_is_missing(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    group.log.error = FULL
    group.commit.soon(event("a"))
    group.waits("b")
    await turn()
    assert caplog.messages == [f"audit: {FULL}"]
    assert group.commit.now(event("c")) is FULL  # whoever asked is told
    assert caplog.messages == [f"audit: {FULL}"]
