"""One run: everything that was chosen, measured in turn in one lab."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.figures import Growth, Measured, Run, Spread
from benchmarks.lab import HERE, make
from benchmarks.machine import commit, facts, two_cores
from benchmarks.measure import Measurer
from benchmarks.packages import Packages
from benchmarks.policies import UPSTREAM_PORT
from benchmarks.processes import check_free
from benchmarks.servers import servers
from benchmarks.workloads import ALL, AUDIT, POLICY_SIZE, WORKLOADS

ROOT = HERE.parent

MEMORY = "memory"
"""Not a workload, but chosen like one."""

NAMES = (*(workload.name for workload in WORKLOADS), MEMORY)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, how often and how long."""

    names: tuple[str, ...]
    rounds: int
    seconds: int
    """Length of a round."""
    lab: Path | None
    """Folder for everything that is made on the way; None: one that goes when the run ends."""


def perform(plan: Plan, packages: Packages, tell: Callable[[str], None]) -> Run:
    """Measure; `tell` is told what is going on. Raises BenchError where nothing can be measured."""
    contestants, began = servers(packages), datetime.now(UTC)  # noqa: TID251 - the report is dated
    cores = two_cores()
    check_free([UPSTREAM_PORT, *(server.port for server in contestants.values())])
    measured: list[Measured] = []
    notes: list[str] = []
    load: Spread | None = None
    growth: Growth | None = None
    verified: Spread | None = None
    asked: Spread | None = None
    with _folder(plan.lab) as folder:
        measurer = Measurer(make(folder), cores, plan.rounds, plan.seconds, tell)
        for workload in WORKLOADS:
            if workload.name in plan.names:
                with _noted(workload.name, notes):
                    measured.append(measurer.measure(workload, contestants))
                    if workload is AUDIT:
                        verified = measurer.verification()
                        asked = measurer.question()
        if POLICY_SIZE.name in plan.names:
            with _noted("the time to load a policy", notes):
                load = measurer.policy_load()
        if MEMORY in plan.names:
            with _noted(MEMORY, notes):
                growth = measurer.grow()
    return Run(
        at=began.isoformat(timespec="seconds"),
        commit=commit(ROOT),
        rounds=plan.rounds,
        seconds=plan.seconds,
        machine=facts(),
        versions={
            contestants[name].title: contestants[name].version() for name in ALL if not contestants[name].missing()
        },
        measured=tuple(measured),
        policy_load_seconds=load,
        growth=growth,
        verified_per_second=verified,
        asked_seconds=asked,
        notes=tuple(notes),
    )


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as made:
        yield Path(made)


@contextmanager
def _noted(what: str, notes: list[str]) -> Iterator[None]:
    """Go on with the rest where something cannot be measured, and say so."""
    try:
        yield
    except BenchError as error:
        notes.append(f"{what} could not be measured: {error}")
