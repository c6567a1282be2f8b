"""What the gate is to reach, and whether it did."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.figures import GROWTH_REQUESTS, Run


@dataclass(frozen=True, slots=True)
class Target:
    """One bound, and what was measured against it."""

    title: str
    bound: float
    at_least: bool
    """Otherwise: at most."""
    measured: float | None
    """None where this run did not find out."""
    unit: str = "\N{MULTIPLICATION SIGN}"

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where this run did not find out."""
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def targets(run: Run) -> list[Target]:
    """Hold a run against all bounds; ratios are those of medians."""
    return [*_speed(run), *_log(run), *_scale(run)]


def _speed(run: Run) -> Iterator[Target]:
    for peer, bound in (("nginx-lua", 1.0), ("envoy", 1.3), ("mitmdump", 20.0)):
        yield Target(f"reference: requests/s, gate to {peer}", bound, True, _rate(run, "reference", peer))
    reference = run.workload("reference")
    ratio = reference.ratio("nginx-lua") if reference else None
    yield Target("reference: p99, gate to nginx-lua", 1.2, False, ratio.p99.median if ratio else None)
    rate = _rate(run, "new-connections", "nginx-lua")
    yield Target("new connection for each request: requests/s, gate to nginx-lua", 0.5, True, rate)


def _log(run: Run) -> Iterator[Target]:
    yield Target("audit log to none: requests/s", 0.9, True, _rate(run, "audit", "gate-unaudited"))
    verified = run.verified_per_second
    rate = verified.median / 1000 if verified else None
    asked = run.asked_seconds
    yield Target("ten million records asked by partner and hour", 5.0, False, asked.median if asked else None, "s")
    yield Target("gateway audit verify: records of one core", 100.0, True, rate, "thousand/s")


def _scale(run: Run) -> Iterator[Target]:
    yield Target("10,000 partners to one: requests/s", 0.95, True, _rate(run, "policy-size", "gate"))
    load = run.policy_load_seconds
    yield Target("10,000 partners: the policy loads", 5.0, False, load.median if load else None, "s")
    good, bad = _gate_rate(run, "reference"), _gate_rate(run, "bad-signature")
    yield Target("bad signatures to good ones: requests/s", 1.0, True, bad / good if good and bad else None)
    growth = run.growth
    grown = None
    if growth is not None and growth.requests[1] >= GROWTH_REQUESTS[1]:
        grown = growth.resident_mb[1] - growth.resident_mb[0]
    yield Target("resident size: growth from 10,000 requests to 1,000,000", 20.0, False, grown, "MB")


def _rate(run: Run, workload: str, peer: str) -> float | None:
    measured = run.workload(workload)
    ratio = measured.ratio(peer) if measured else None
    return ratio.requests_per_second.median if ratio else None


def _gate_rate(run: Run, workload: str) -> float | None:
    measured = run.workload(workload)
    row = measured.row("gate") if measured else None
    return row.spread("requests_per_second").median if row else None
