"""`python -m benchmarks`: measure the gate beside its peers, print the figures and keep them."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from benchmarks import report
from benchmarks.errors import BenchError
from benchmarks.figures import Run
from benchmarks.lab import HERE
from benchmarks.packages import Packages, ensure
from benchmarks.processes import Command, output
from benchmarks.run import NAMES, ROOT, Plan, perform
from benchmarks.workloads import REFERENCE

QUICK_ROUNDS, FULL_ROUNDS = 3, 5
SECONDS = 8
WIDTH = 160
"""Columns where the output is no terminal."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--quick", is_flag=True, envvar="QUICK", help="The reference workload alone, in three minutes; or QUICK=1."
)
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="This workload; more than once for several.")
@click.option("--rounds", type=click.IntRange(1), help=f"[default: {FULL_ROUNDS}, with --quick {QUICK_ROUNDS}]")
@click.option("--seconds", type=click.IntRange(1), default=SECONDS, show_default=True, help="Length of a round.")
@click.option(
    "--lab",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where keys, configurations and logs go, to be looked at afterwards. [default: a temporary folder]",
)
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where benchmarks.json, benchmarks.md and img/benchmarks.svg go. [default: docs, or var/bench for a part]",
)
def main(
    *, quick: bool, only: tuple[str, ...], rounds: int | None, seconds: int, lab: Path | None, folder: Path | None
) -> None:
    """Measure the gate beside nginx with Lua, Envoy and stock mitmdump.

    Exits with 1 where a row failed or could not be measured, and with 2 where nothing could.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    signal.signal(signal.SIGTERM, _interrupt)
    names = only or ((REFERENCE.name,) if quick else NAMES)
    plan = Plan(names, rounds or (QUICK_ROUNDS if quick else FULL_ROUNDS), seconds, lab)
    try:
        packages = ensure(ROOT, lambda text: console.print(text, style="dim", markup=False))
        with _progress(console) as tell:
            run = perform(plan, packages, tell)
        report.show(run, console)
        _keep(run, packages, folder or ROOT / ("docs" if set(names) == set(NAMES) else "var/bench"), console)
    except BenchError as error:
        console.print(f"benchmarks: {error}", style="red", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("benchmarks: interrupted; everything is stopped", style="red")
        sys.exit(130)
    sys.exit(1 if run.failures or run.notes else 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


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
    console.print(f"kept in {figures}, {page}" + (f" and {picture}" if drawn else ""))


if __name__ == "__main__":
    main()
