"""The machine that measures: its cores, what processes take of it, and what it is."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.processes import Command, output

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

_MEASURED = ("gateway", "benchmarks", "pyproject.toml", "requirements.lock")
"""What figures depend on. The report itself does not count as a change."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server that is measured, one for everything that serves to measure it."""

    server: int
    load: int


def two_cores() -> Cores:
    """Choose the cores. Raises BenchError where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError("two cores are needed, one for the server and one for the load: only one may be used")
    return Cores(usable[0], usable[1])


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a session have taken so far."""

    cpu_seconds: float
    resident_bytes: int


def usage(session: int) -> Usage:
    """Add up the living processes of a session, and those that they have started, in whichever session."""
    parents: dict[int, int] = {}
    taken: dict[int, tuple[int, int]] = {}
    members: set[int] = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The name of the program stands in brackets and may hold anything; the fields follow the last bracket.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        # proc_pid_stat(5), counted from 3: ppid is 4, session is 6, utime and stime are 14 and 15, rss is 24
        process = int(folder.name)
        parents[process] = int(fields[1])
        taken[process] = int(fields[11]) + int(fields[12]), int(fields[21])
        if int(fields[3]) == session:
            members.add(process)
    ours = [process for process in taken if _is_below(process, members, parents)]
    ticks, pages = (sum(taken[process][at] for process in ours) for at in (0, 1))
    return Usage(ticks / _TICKS, pages * _PAGE)


def _is_below(process: int | None, members: set[int], parents: dict[int, int]) -> bool:
    while process is not None and process not in members:
        process = parents.get(process)
    return process is not None


def busy_seconds(core: int) -> float:
    """Give how long a core has been at work since the machine started, for whatever process."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, counts)
            return (user + nice + system + irq + softirq) / _TICKS
    raise BenchError(f"/proc/stat does not tell of core {core}")


def facts() -> dict[str, str]:
    """Say what figures from this machine are figures of."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    system = next(
        (line.partition("=")[2].strip('"') for line in _lines("/etc/os-release") if line.startswith("PRETTY_NAME=")),
        platform.system(),
    )
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "system": f"{system}, Linux {platform.release()}",
        "python": platform.python_version(),
    }


def commit(root: Path) -> str:
    """Name the commit that is measured; with changes that are not committed, it says so."""
    git = ("git", "-C", root)
    try:
        name = output(Command([*git, "rev-parse", "HEAD"])).strip()
        changed = output(Command([*git, "status", "--porcelain", "--", *_MEASURED])).strip()
    except BenchError:
        return "unknown"
    return f"{name} with changes" if changed else name


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return []
