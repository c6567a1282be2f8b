from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.audit.events import ControlFailed, ControlRecovered, LimitsReset
from gateway.controls.rate_limit import RateLimits, RouteLimit
from gateway.core.chain import RateLimit, RateTaken, Take, TakeRate
from gateway.core.reasons import Reason, Unavailable
from gateway.core.stores import StateSettings
from gateway.engine.resetting import RECORDED, Resetting
from gateway.state.looks import Question, Used
from gateway.state.memory import MemoryState
from gateway.state.resets import NAME, Reset, add
from tests import world
from tests.unit.engine.gates import Made
from tests.world import NOW, PARTNER

LIMIT = RateLimit("few", 2, 60, sliding=False)
ONE = Reset(0, PARTNER, (), NOW, "maria", "INC-1")


class Counting:
    """A gate that counts in its memory, and follows a journal; its looks are the test's."""

    def __init__(self, folder: Path) -> None:
        chain = world.chain(rate_limit=RateLimits((RouteLimit(LIMIT, ("partner",)),)))
        self.policy = world.policy(world.route(chain=chain))
        self.made = Made(policy=self.policy)
        self.state = MemoryState(StateSettings())
        self.made.gate.state = self.state
        self.resetting = Resetting(self.made.gate, folder, folder)

    def take(self) -> bool:
        take = Take(LIMIT, (self.policy.name, self.policy.routes[0].name, LIMIT.name, PARTNER))
        taken = self.state.take(TakeRate((take,)), NOW)
        assert isinstance(taken, RateTaken)
        return taken.allowed

    @property
    def recorded(self) -> list[tuple[int, int | None]]:
        return [(event.number, event.counters) for event in self.made.log.of(LimitsReset)]


def test_what_is_counted_begins_anew_with_the_next_look_and_is_recorded(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    assert [up.take() for _ in range(3)] == [True, True, False]
    add(tmp_path, [ONE])
    up.resetting.look()
    assert [up.take() for _ in range(3)] == [True, True, False]
    up.resetting.look()
    assert not up.take()
    (event,) = up.made.log.of(LimitsReset)
    assert (event.number, event.partner, event.counters, event.by, event.because) == (1, PARTNER, 1, "maria", "INC-1")


def test_what_was_asked_for_while_the_gate_was_stopped_is_done_once(tmp_path: Path) -> None:
    add(tmp_path, [ONE])
    first = Counting(tmp_path)
    first.resetting.look()
    second = Counting(tmp_path)
    second.resetting.look()
    assert (first.recorded, second.recorded) == ([(1, 0)], [])
    assert (tmp_path / RECORDED).read_text() == "1\n"


def test_other_partners_and_routes_go_on(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    up.take()
    add(tmp_path, [Reset(0, PARTNER, ("elsewhere",), NOW, "maria", "x"), Reset(0, "nobody", (), NOW, "maria", "x")])
    up.resetting.look()
    assert [up.take() for _ in range(2)] == [True, False]
    assert up.recorded == [(1, 0), (2, 0)]


def test_what_cannot_be_recorded_is_not_done_until_it_can(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    assert [up.take() for _ in range(3)] == [True, True, False]
    add(tmp_path, [ONE, ONE])
    up.made.log.error = Unavailable(Reason.AUDIT_UNAVAILABLE, "full")
    up.resetting.look()
    assert not up.take()
    up.made.log.error = None
    up.resetting.look()
    assert up.take()
    assert [number for number, _ in up.recorded] == [1, 2]


def test_what_cannot_be_done_is_tried_again_and_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise Unavailable(Reason.STATE_UNAVAILABLE, "the journal cannot be written")

    up = Counting(tmp_path)
    assert [up.take() for _ in range(3)] == [True, True, False]
    add(tmp_path, [ONE])
    with monkeypatch.context() as patched:
        patched.setattr(up.state, "forget", fail)
        up.resetting.look()
    up.resetting.look()
    assert up.take()
    assert up.recorded == [(1, 1)]
    assert [event.control for event in up.made.log.of(ControlRecovered)] == ["limits.resets"]


def test_what_is_used_is_told_to_whoever_asks(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    up.take()
    question = Question(tmp_path, PARTNER)
    up.resetting.look()
    assert question.answer() == Used({"deposit": {"few": 1}}, {"deposit": 0})
    assert [up.take() for _ in range(2)] == [True, False]


def test_where_another_process_counts_nothing_is_told(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    up.made.gate.state = cast("Any", SimpleNamespace())
    question = Question(tmp_path, PARTNER)
    up.resetting.look()
    assert question.answer() is None


def test_where_another_process_counts_it_is_recorded_only(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    up.made.gate.state = cast("Any", SimpleNamespace())
    add(tmp_path, [ONE])
    up.resetting.look()
    assert up.recorded == [(1, None)]


def test_another_journal_counts_anew(tmp_path: Path) -> None:
    add(tmp_path, [ONE, ONE])
    up = Counting(tmp_path)
    up.resetting.look()
    (tmp_path / NAME).unlink()
    add(tmp_path, [ONE])
    up.resetting.look()
    assert [number for number, _ in up.recorded] == [1, 2, 1]


def test_a_damaged_journal_is_recorded_with_its_end(tmp_path: Path) -> None:
    up = Counting(tmp_path)
    (tmp_path / NAME).write_bytes(b"nonsense\n")
    for _ in range(2):
        up.resetting.look()
    (tmp_path / NAME).unlink()
    up.resetting.look()
    assert [event.control for event in up.made.log.of(ControlFailed)] == ["limits.resets"]
    assert [event.control for event in up.made.log.of(ControlRecovered)] == ["limits.resets"]


def test_a_reset_that_cannot_be_written_is_tried_again_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = Counting(tmp_path)
    add(tmp_path, [ONE])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        up.resetting.look()
    assert up.recorded == [(1, 0)]
    again = Counting(tmp_path)
    again.resetting.look()
    assert again.recorded == [(1, 0)]
