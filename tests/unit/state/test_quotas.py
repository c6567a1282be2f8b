import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chain import RateLimit, RateState, Take
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.state.quotas import LINGER, SWEEP, Quotas, ahead_of


def moment(text: str) -> Instant:
    return Instant(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = moment("2027-01-30T12:00:00")
DAY = RateLimit("daily", 1_000, 86_400, sliding=False, calendar="day")
MONTH = RateLimit("monthly", 5, 31 * 86_400, sliding=False, calendar="month")


def opened(folder: Path, now: Instant = NOW) -> Quotas:
    quotas = Quotas(100)
    quotas.restore(folder, now)
    return quotas


def taken(quotas: Quotas, now: Instant = NOW, cost: int = 1, name: str = "a", limit: RateLimit = DAY) -> RateState:
    return quotas.take(name, Take(limit, (name,), cost), now)


def used(quotas: Quotas, now: Instant = NOW, name: str = "a", limit: RateLimit = DAY) -> int:
    return limit.amount - quotas.look(name, Take(limit, (name,)), now).remaining


def lines(folder: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("quotas-*"))


def test_an_orderly_stop_leaves_exactly_what_was_used(tmp_path: Path) -> None:
    quotas = opened(tmp_path)
    for cost in (1, 30, 7):
        taken(quotas, cost=cost)
    taken(quotas, limit=MONTH)
    quotas.save()
    quotas.close()
    again = opened(tmp_path)
    assert (used(again), used(again, limit=MONTH)) == (38, 1)


@pytest.mark.parametrize("costs", [[1], [1] * 9, [1] * 10, [1] * 11, [25], [999], [1_000], [3] * 200])
def test_after_a_crash_no_less_counts_than_was_taken_and_hardly_more(tmp_path: Path, costs: list[int]) -> None:
    quotas = opened(tmp_path)
    for cost in costs:
        assert taken(quotas, cost=cost).allowed
    quotas.close()  # as the end of a process: nothing is written
    again = opened(tmp_path)
    assert sum(costs) <= used(again) <= min(sum(costs) + ahead_of(1_000) - 1, 1_000)


def test_a_small_quota_is_exact_after_a_crash_as_well(tmp_path: Path) -> None:
    quotas = opened(tmp_path)
    for _ in range(3):
        taken(quotas, limit=MONTH)
    quotas.close()
    assert used(opened(tmp_path), limit=MONTH) == 3


def test_what_is_refused_writes_nothing(tmp_path: Path) -> None:
    quotas = opened(tmp_path)
    assert taken(quotas, cost=1_000).allowed
    before = lines(tmp_path)
    assert not taken(quotas).allowed
    assert lines(tmp_path) == before


def test_a_quota_takes_some_hundred_lines_however_large_it_is(tmp_path: Path) -> None:
    quotas = opened(tmp_path)
    for _ in range(1_000):
        taken(quotas)
    quotas.close()
    assert lines(tmp_path) == 100


def test_a_start_writes_what_counts_anew_and_drops_the_rest(tmp_path: Path) -> None:
    for _ in range(3):
        quotas = opened(tmp_path)
        for _ in range(100):
            taken(quotas)
        taken(quotas, limit=MONTH)
        quotas.close()
    again = opened(tmp_path, moment("2027-01-31T12:00:00"))
    assert (lines(tmp_path), len(again), len(list(tmp_path.glob("quotas-*")))) == (1, 1, 1)
    assert used(again, limit=MONTH) == 3


async def test_nothing_is_admitted_before_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = opened(tmp_path)
    synced: list[int] = []
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(1), sync(descriptor)))
    taken(quotas)
    behind, quotas.behind = quotas.behind, []
    assert (len(behind), synced) == (1, [])
    taken(quotas)  # of what is written and not synced
    assert len(quotas.behind) == 1
    behind += quotas.behind
    quotas.behind = []
    await quotas.synced(behind)
    assert synced
    for _ in range(8):
        taken(quotas)
        assert quotas.behind == []  # of what is on disk
    taken(quotas)
    assert len(quotas.behind) == 1


async def test_what_cannot_be_synced_is_not_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    quotas = opened(tmp_path)
    taken(quotas)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(Unavailable, match="cannot be synced"):
        await quotas.synced(quotas.behind)
    monkeypatch.undo()
    quotas.close()
    with pytest.raises(Unavailable, match="not open"):
        await quotas.synced(quotas.behind)


def test_what_cannot_be_written_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    quotas = opened(tmp_path)
    taken(quotas)
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(Unavailable) as caught:
        taken(quotas, cost=500)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    assert (used(quotas), taken(quotas).allowed) == (1, True)  # what is written already may be used


def test_in_memory_only_nothing_is_behind() -> None:
    quotas = Quotas(9)
    assert [taken(quotas, limit=MONTH).allowed for _ in range(6)] == [True] * 5 + [False]
    assert quotas.behind == []


def test_past_days_are_let_go_of_and_yesterday_is_known_for_a_while() -> None:
    quotas = Quotas(100)
    for number in range(10):
        taken(quotas, name=f"{number}")
    tomorrow = moment("2027-01-31T00:30:00")
    taken(quotas, tomorrow)
    assert (used(quotas, NOW, "1"), len(quotas)) == (1, 11)
    later = Instant(tomorrow + LINGER)
    taken(quotas, later, name="new")
    assert len(quotas) == 12 - SWEEP


def test_beyond_the_most_that_are_kept_nobody_new_is_counted() -> None:
    quotas = Quotas(1)
    taken(quotas)
    with pytest.raises(Unavailable):
        taken(quotas, name="b")
    with pytest.raises(Unavailable):
        used(quotas, name="b")
    assert taken(quotas).allowed
    assert taken(quotas, moment("2027-01-31T02:00:00"), name="b").allowed


@pytest.mark.parametrize("orderly", [True, False])
def test_what_was_forgotten_stays_so(tmp_path: Path, orderly: bool) -> None:
    quotas = opened(tmp_path)
    for name in ("a", "b"):
        taken(quotas, name=name, cost=500)
    assert quotas.forget(lambda name: name == "a") == 1
    assert (used(quotas), used(quotas, name="b")) == (0, 500)
    taken(quotas)
    if orderly:
        quotas.save()
    quotas.close()
    again = opened(tmp_path)
    assert used(again) <= ahead_of(1_000)
    assert used(again, name="b") >= 500


def test_a_charge_goes_beyond_the_quota_and_outlives_a_crash(tmp_path: Path) -> None:
    quotas = opened(tmp_path)
    taken(quotas, limit=MONTH)
    for cost in (3, 4):
        quotas.charge("a", Take(MONTH, ("a",), cost), NOW)
    quotas.charge("b", Take(MONTH, ("b",), 2), NOW)
    assert not taken(quotas, limit=MONTH).allowed
    quotas.close()
    again = opened(tmp_path)
    assert not taken(again, limit=MONTH).allowed
    assert used(again, name="b", limit=MONTH) == 2


def test_only_a_limit_of_the_calendar_is_counted_by_it() -> None:
    with pytest.raises(RuntimeError, match="calendar"):
        used(Quotas(9), limit=RateLimit("x", 1, 1, sliding=True))


type Step = tuple[str, int]


@given(
    amount=st.integers(1, 400),
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "take", "take", "crash", "stop"]), st.integers(1, 60)), max_size=40
    ),
)
@settings(deadline=None, max_examples=60)
def test_never_more_than_the_quota_over_any_restarts(
    tmp_path_factory: pytest.TempPathFactory, amount: int, steps: list[Step]
) -> None:
    """A crash loses what is not synced: here everything after the last line that was waited for."""
    folder = tmp_path_factory.mktemp("quotas")
    limit = RateLimit("x", amount, 86_400, sliding=False, calendar="day")

    async def run() -> tuple[int, int]:
        quotas, admitted, crashes = opened(folder), 0, 0
        for what, cost in steps:
            if what == "take":
                if taken(quotas, cost=min(cost, amount), limit=limit).allowed:
                    await quotas.synced(quotas.behind)
                    quotas.behind = []
                    admitted += min(cost, amount)
                continue
            crashes += what == "crash"
            if what == "stop":
                quotas.save()
            quotas.close()
            quotas = opened(folder)
        told = used(quotas, limit=limit)
        quotas.close()
        assert admitted <= told <= admitted + crashes * ahead_of(amount)
        return admitted, told

    admitted, told = asyncio.run(run())
    assert admitted <= told <= amount


def test_names_are_told_apart_by_what_forgets_them() -> None:
    quotas, which = Quotas(9), list[str]()
    taken(quotas, name="name")
    asked: Callable[[str], bool] = lambda name: bool(which.append(name))  # noqa: E731
    assert (quotas.forget(asked), which) == (0, ["name"])
