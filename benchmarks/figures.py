"""Figures of several rounds, and their ratios."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Give the spread of values, one at least."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Sample:
    """What one server did in one round."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_percent: float
    """Of one core, by all processes of the server."""
    resident_mb: float
    """Of all its processes, when the round ended."""
    load_core_percent: float
    """How busy the core of the load generator and the upstream was: near 100, they were what was measured."""
    foreign_percent: float
    """What processes that do not belong here took of the server's core."""


@dataclass(frozen=True, slots=True)
class Row:
    """One server with one workload: its samples, or why there are none."""

    server: str
    samples: tuple[Sample, ...] = ()
    absent: str | None = None
    """Why it did not take part."""
    failed: tuple[str, ...] = ()
    """What was wrong with its answers. Whatever it did before does not count."""

    def spread(self, figure: str) -> Spread:
        """Give the spread of one of the figures of `Sample`."""
        return Spread.of([getattr(sample, figure) for sample in self.samples])

    def microseconds(self) -> float:
        """Give what a request takes of a core, by all processes of the server: the median of the rounds."""
        return median(10_000 * one.cpu_percent / one.requests_per_second for one in self.samples)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One server against another with the same workload."""

    of: str
    to: str
    requests_per_second: Spread
    """The median is the ratio of the medians; least and most are of the rounds one by one."""
    p99: Spread


@dataclass(frozen=True, slots=True)
class Measured:
    """One workload with all servers."""

    workload: Workload
    rows: tuple[Row, ...]

    def row(self, server: str) -> Row | None:
        """Give the row of a server that has figures."""
        return next((row for row in self.rows if row.server == server and row.samples), None)

    def ratios(self) -> list[Ratio]:
        """Compare the first server to each other one, as far as both have figures."""
        first, *others = (self.row(name) for name in self.workload.servers)
        if first is None:
            return []
        return [_ratio(first, other) for other in others if other is not None]

    def ratio(self, to: str) -> Ratio | None:
        """Give the ratio of the first server to another."""
        return next((ratio for ratio in self.ratios() if ratio.to == to), None)


def _ratio(first: Row, other: Row) -> Ratio:
    return Ratio(
        first.server,
        other.server,
        _ratio_of(first, other, "requests_per_second"),
        _ratio_of(first, other, "p99_ms"),
    )


def _ratio_of(first: Row, other: Row, figure: str) -> Spread:
    rounds = [
        getattr(one, figure) / getattr(two, figure) for one, two in zip(first.samples, other.samples, strict=True)
    ]
    return Spread(first.spread(figure).median / other.spread(figure).median, min(rounds), max(rounds))


GROWTH_REQUESTS = (10_000, 1_000_000)
"""Between these, the gate is not to grow."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Resident size of the gate after some requests and after many, in MB."""

    requests: tuple[int, int]
    resident_mb: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one run found out."""

    at: str
    """RFC 3339."""
    commit: str
    rounds: int
    seconds: int
    machine: dict[str, str]
    versions: dict[str, str]
    measured: tuple[Measured, ...]
    policy_load_seconds: Spread | None = None
    """To read and compile the policy with 10,000 partners."""
    growth: Growth | None = None
    verified_per_second: Spread | None = None
    """Records of the log of the row `audit` that `gateway audit verify` holds against what was signed, by CPU time."""
    asked_seconds: Spread | None = None
    """For requests of each hour and partner, out of ten million records."""
    notes: tuple[str, ...] = field(default=())
    """What could not be measured, and why."""

    def workload(self, name: str) -> Measured | None:
        """Give a workload that was measured."""
        return next((each for each in self.measured if each.workload.name == name), None)

    @property
    def failures(self) -> list[str]:
        """Say which rows failed."""
        return [
            f"{each.workload.name}: {row.server}: {', '.join(row.failed)}"
            for each in self.measured
            for row in each.rows
            if row.failed
        ]
