"""The plugin that fails a run in which a reason of the gate was not produced."""

from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gateway.core.reasons import Reason
from tests.reasons import GATE, Plugin, Produced, is_whole, watch

SEEN = Reason.REPLAY_SEEN
STREAM, TEST = "gateway.engine.stream", "tests.engine.test_stream"


def make(note: Callable[[Reason, FrameType | None], None], *modules: str, reason: Reason = SEEN) -> None:
    """Have an object with a reason made by code of the last module, which the ones before it call, outermost first."""

    @dataclass(frozen=True, slots=True)
    class Made:
        reason: Reason

    watch(Made, note)
    *callers, maker = modules
    scope: dict[str, Any] = {"__name__": maker, "Made": Made, "reason": reason}
    exec("def call(): Made(reason)", scope)  # noqa: S102 - code of another module is had no other way
    for module in reversed(callers):
        scope = {"__name__": module, "inner": scope["call"]}
        exec("def call(): inner()", scope)  # noqa: S102
    scope["call"]()


@pytest.fixture
def produced() -> Produced:
    return Produced()


# What counts


def test_what_several_processes_noted_counts_together(produced: Produced) -> None:
    one, other = Produced(), Produced()
    make(one.raised, TEST, "gateway.controls.replay")
    make(other.decided, TEST, "gateway.core.exchange")
    for each in (one, other):
        produced.add(each.noted())
    assert produced.reasons == {SEEN}


def test_at_first_every_reason_is_missing(produced: Produced) -> None:
    assert produced.missing == list(Reason)


def test_a_denial_that_the_gate_raised_and_decided_counts(produced: Produced) -> None:
    make(produced.raised, TEST, "gateway.controls.replay")
    assert produced.reasons == set()
    make(produced.decided, TEST, "gateway.core.exchange")
    assert produced.reasons == {SEEN}
    assert SEEN not in produced.missing


@pytest.mark.parametrize(("raises", "decides"), [(TEST, "gateway.core.exchange"), ("gateway.controls.replay", TEST)])
def test_a_denial_that_a_test_made_up_does_not_count(produced: Produced, raises: str, decides: str) -> None:
    make(produced.raised, "gateway.core.exchange", raises)
    make(produced.decided, "gateway.core.exchange", decides)
    assert produced.reasons == set()


def test_an_allow_is_decided_and_never_raised(produced: Produced) -> None:
    make(produced.decided, "gateway.core.exchange", reason=Reason.ALLOWED)
    assert produced.reasons == {Reason.ALLOWED}


@pytest.mark.parametrize("modules", [(TEST, STREAM, GATE), (TEST, STREAM, GATE, GATE), (TEST, STREAM)])
def test_an_end_that_the_gate_named_counts(produced: Produced, modules: tuple[str, ...]) -> None:
    make(produced.ended, *modules)
    assert produced.reasons == {SEEN}


@pytest.mark.parametrize("modules", [(TEST, GATE), (STREAM, TEST), (STREAM, TEST, GATE)])
def test_an_end_that_a_test_named_does_not_count(produced: Produced, modules: tuple[str, ...]) -> None:
    make(produced.ended, *modules)
    assert produced.reasons == set()


@dataclass(frozen=True, slots=True)
class Frozen:
    reason: Reason
    detail: str = ""


class Named(NamedTuple):
    reason: Reason
    detail: str = ""


class Raised(Exception):  # noqa: N818 - as the gate's own
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


@pytest.mark.parametrize("kind", [Frozen, Named, Raised])
def test_every_kind_of_type_can_be_watched(kind: Any) -> None:
    noted: list[Reason] = []
    watched = type(kind.__name__, (kind,), {})
    watch(watched, lambda reason, _: noted.append(reason))
    made = watched(SEEN, detail="x")
    assert (made.reason, noted) == (SEEN, [SEEN])
    assert getattr(made, "detail", "x") == "x"


# When it counts


class Run:
    """One run of pytest."""

    def __init__(self, *produced: Reason, status: pytest.ExitCode = pytest.ExitCode.OK, named: bool = False) -> None:
        notes = Produced()
        for reason in produced:
            make(notes.ended, STREAM, reason=reason)
        self.plugin = Plugin(notes)
        source = pytest.Config.ArgsSource.ARGS if named else pytest.Config.ArgsSource.TESTPATHS
        self.options = SimpleNamespace(keyword="", markexpr="", ignore=None, ignore_glob=None, collectonly=False)
        self.config: Any = SimpleNamespace(option=self.options, args_source=source)
        self.session: Any = SimpleNamespace(exitstatus=status, config=self.config)
        self.lines: list[str] = []

    def finish(self) -> pytest.ExitCode:
        """End the run; gives what it exits with."""
        self.plugin.pytest_sessionfinish(self.session)
        self.plugin.pytest_terminal_summary(
            SimpleNamespace(section=lambda title, **_: self.lines.append(title), line=self.lines.append)
        )
        return pytest.ExitCode(self.session.exitstatus)


ALL_BUT_SEEN = [reason for reason in Reason if reason is not SEEN]


def test_a_run_that_produced_every_reason_passes() -> None:
    run = Run(*Reason)
    assert (run.finish(), run.lines) == (pytest.ExitCode.OK, [])


def test_a_whole_run_that_lacks_a_reason_fails_and_names_it() -> None:
    run = Run(*ALL_BUT_SEEN)
    assert run.finish() is pytest.ExitCode.TESTS_FAILED
    assert run.lines == ["reasons that no test produced", "replay.seen (REPLAY_SEEN)"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("keyword", "replay"),
        ("markexpr", "layers"),
        ("lf", True),
        ("stepwise", True),
        ("ignore", ["tests/engine"]),
        ("ignore_glob", ["*engine*"]),
        ("collectonly", True),
    ],
)
def test_a_run_of_some_tests_says_nothing(option: str, value: object) -> None:
    run = Run()
    setattr(run.options, option, value)
    assert not is_whole(run.config)
    assert (run.finish(), run.lines) == (pytest.ExitCode.OK, [])


def test_a_run_of_named_tests_says_nothing() -> None:
    run = Run(named=True)
    assert (run.finish(), run.lines) == (pytest.ExitCode.OK, [])


def test_a_run_that_left_tests_out_says_nothing() -> None:
    run = Run()
    run.plugin.pytest_deselected([object()])
    assert (run.finish(), run.lines) == (pytest.ExitCode.OK, [])


def test_a_run_that_left_no_tests_out_is_whole() -> None:
    run = Run()
    run.plugin.pytest_deselected([])
    assert run.finish() is pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("status", [pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED])
def test_a_run_that_failed_says_nothing_of_it(status: pytest.ExitCode) -> None:
    run = Run(status=status)
    assert (run.finish(), run.lines) == (status, [])


def test_the_plugin_runs_here(pytestconfig: pytest.Config) -> None:
    assert isinstance(pytestconfig.pluginmanager.get_plugin("gateway-reasons"), Plugin)
