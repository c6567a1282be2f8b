"""`python -m benchmarks`: measure the gate beside its peers, print the figures and keep them."""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from benchmarks import report
from benchmarks.errors import BenchError
from benchmarks.figures import Growth, Measured, Run, Spread
from benchmarks.lab import HERE, make
from benchmarks.machine import commit, facts, two_cores
from benchmarks.measure import Measurer
from benchmarks.packages import Packages, ensure
from benchmarks.processes import Command, check_free, output
from benchmarks.servers import UPSTREAM_PORT, Server, servers
from benchmarks.workloads import POLICY_SIZE, REFERENCE, WORKLOADS, Workload

ROOT = HERE.parent
QUICK_ROUNDS, FULL_ROUNDS = 3, 5
SECONDS = 6
MEMORY = "memory"
"""Not a workload, but chosen like one."""

_NAMES = (*(workload.name for workload in WORKLOADS), MEMORY)
_WIDTH = 150
"""Columns where the output is no terminal."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--quick", is_flag=True, envvar="QUICK", help="The reference workload alone, in three minutes; or QUICK=1."
)
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="This workload; more than once for several.")
@click.option("--rounds", type=click.IntRange(1), help=f"[default: {FULL_ROUNDS}, with --quick {QUICK_ROUNDS}]")
@click.option("--seconds", type=click.IntRange(1), default=SECONDS, show_default=True, help="Length of a round.")
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where benchmarks.json, benchmarks.md and img/benchmarks.svg go. [default: docs, or var/bench for a part]",
)
def main(*, quick: bool, only: tuple[str, ...], rounds: int | None, seconds: int, folder: Path | None) -> None:
    """Measure the gate beside nginx with Lua, Envoy and stock mitmdump.

    Exits with 1 where a row failed, and with 2 where nothing could be measured.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = only or ((REFERENCE.name,) if quick else _NAMES)
    folder = folder or ROOT / ("docs" if set(chosen) == set(_NAMES) else "var/bench")
    try:
        packages = ensure(ROOT, lambda text: console.print(text, style="dim", markup=False))
        run = _measure(console, packages, chosen, rounds or (QUICK_ROUNDS if quick else FULL_ROUNDS), seconds)
        report.show(run, console)
        _keep(run, packages, folder, console)
    except BenchError as error:
        console.print(f"benchmarks: {error}", style="red", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("benchmarks: interrupted; everything is stopped", style="red")
        sys.exit(130)
    sys.exit(1 if run.failures or run.notes else 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _measure(console: Console, packages: Packages, chosen: tuple[str, ...], rounds: int, seconds: int) -> Run:
    contestants, began = servers(packages), datetime.now(UTC)  # noqa: TID251 - the report is dated
    cores = two_cores()
    check_free([UPSTREAM_PORT, *(server.port for server in contestants.values())])
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name, _progress(console) as tell:
        measurer = Measurer(make(Path(name)), cores, rounds, seconds, tell)
        measured: list[Measured] = []
        notes: list[str] = []
        for workload in WORKLOADS:
            if workload.name in chosen:
                _add(workload, measurer, contestants, measured, notes)
        load, growth = _gate_alone(measurer, chosen, notes)
    return Run(
        at=began.isoformat(timespec="seconds"),
        commit=commit(ROOT),
        rounds=rounds,
        seconds=seconds,
        machine=facts(),
        versions={server.title: server.version() for server in contestants.values() if not server.missing()},
        measured=tuple(measured),
        policy_load_seconds=load,
        growth=growth,
        notes=tuple(notes),
    )


def _add(
    workload: Workload, measurer: Measurer, contestants: dict[str, Server], measured: list[Measured], notes: list[str]
) -> None:
    try:
        measured.append(measurer.measure(workload, contestants))
    except BenchError as error:
        notes.append(f"{workload.name} could not be measured: {error}")


def _gate_alone(measurer: Measurer, chosen: tuple[str, ...], notes: list[str]) -> tuple[Spread | None, Growth | None]:
    load = measurer.policy_load() if POLICY_SIZE.name in chosen else None
    growth = None
    try:
        growth = measurer.grow() if MEMORY in chosen else None
    except BenchError as error:
        notes.append(f"{MEMORY} could not be measured: {error}")
    return load, growth


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """Show what is going on: in one line of a terminal, line by line elsewhere."""
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False)
        return
    with console.status("making keys and certificates") as status:
        yield status.update


def _keep(run: Run, packages: Packages, folder: Path, console: Console) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    figures, page, picture = folder / "benchmarks.json", folder / "benchmarks.md", folder / "img" / "benchmarks.svg"
    figures.write_text(report.as_json(run) + "\n")
    drawn = None
    if packages.missing_python is None:
        output(Command([packages.python, HERE / "plot.py", figures, picture]))
        drawn = picture if picture.exists() else None
    report.write_markdown(run, page, drawn)
    console.print(f"kept in {figures}, {page}" + (f" and {picture}" if drawn else "; not drawn: no Matplotlib"))


if __name__ == "__main__":
    main()
