"""Measuring: all servers of a workload up at once, under load in turn."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import load, policies, questions
from benchmarks.errors import BenchError
from benchmarks.figures import GROWTH_REQUESTS, Growth, Measured, Row, Sample, Spread
from benchmarks.lab import Lab
from benchmarks.machine import Cores, busy_seconds, usage
from benchmarks.processes import running
from benchmarks.servers import Gate, Server, absence, upstream
from benchmarks.workloads import REFERENCE, Workload
from gateway.audit.verify.check import check
from gateway.audit.verify.notes import Key
from gateway.policy import load as load_policy

WARM_UP_SECONDS = 2

GROWTH_MOST_SECONDS = 900.0
"""A gate that is too slow for a million requests is looked at after this time."""

POLICY_LOADS = 3
VERIFICATIONS = 3
QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Measurer:
    """How long and how often, and where."""

    lab: Lab
    cores: Cores
    rounds: int
    seconds: int
    tell: Callable[[str], None] = field(default=lambda _: None)
    """Is told what is going on."""

    def measure(self, workload: Workload, servers: dict[str, Server]) -> Measured:
        """Measure a workload: A B C A B C and so on. Raises BenchError where a server does not start."""
        contestants = [servers[name] for name in workload.servers]
        absent = {server.name: absence(server, workload) for server in contestants}
        samples: dict[str, list[Sample]] = {}
        failed: dict[str, tuple[str, ...]] = {}
        with ExitStack() as stack:
            self._start_upstream(workload, stack)
            sessions: dict[str, int] = {}
            for server in contestants:
                if absent[server.name] is not None:
                    continue
                try:
                    sessions[server.name] = self._start(server, workload, stack)
                    self.tell(f"{workload.name}: {server.title}: warm-up")
                    failed[server.name] = self._load(workload, server, WARM_UP_SECONDS).wrong
                except BenchError as error:
                    failed[server.name] = (str(error),)
                samples[server.name] = []
            for number in range(self.rounds):
                for server in contestants:
                    if server.name not in sessions or failed[server.name]:
                        continue
                    self.tell(f"{workload.name}: {server.title}: round {number + 1} of {self.rounds}")
                    sample, failed[server.name] = self._sample(workload, server, sessions[server.name])
                    samples[server.name].append(sample)
        return Measured(workload, tuple(_row(name, samples, absent, failed) for name in workload.servers))

    def grow(self) -> Growth:
        """Watch the size of the gate while it serves a million requests. Raises BenchError where it answers wrongly."""
        gate, few, many = Gate(), *GROWTH_REQUESTS
        sizes: list[tuple[int, float]] = []
        done, began = 0, time.monotonic()
        with ExitStack() as stack:
            self._start_upstream(REFERENCE, stack)
            session = self._start(gate, REFERENCE, stack)
            while done < many and time.monotonic() - began < GROWTH_MOST_SECONDS:
                self.tell(f"memory: {done:,} of {many:,} requests")
                found = self._load(REFERENCE, gate, 1 if done < few else 10)
                if found.wrong:
                    raise BenchError(f"after {done:,} requests: {', '.join(found.wrong)}")
                done += found.requests
                sizes.append((done, usage(session).resident_bytes / 1e6))
        first = next((each for each in sizes if each[0] >= few), sizes[0])
        last = sizes[-1]
        return Growth((first[0], last[0]), (first[1], last[1]))

    def verification(self) -> Spread:
        """Time the verification of the log that the gate wrote last, by the CPU time it takes. Raises BenchError."""
        log = self.lab.folder / Gate.name / "audit"
        key = Key.parse((log / "tlog" / "log.vkey").read_text())
        rates = []
        for number in range(VERIFICATIONS):
            self.tell(f"audit: verifying {number + 1} of {VERIFICATIONS}")
            began = time.process_time()
            found = check(log, [key])
            rates.append(found.records / (time.process_time() - began))
            if found.count or not found.signed:
                raise BenchError(f"the log of the gate is not whole: {found.first}")
        return Spread.of(rates)

    def question(self) -> Spread:
        """Time a question over ten million records, made of the log that the gate wrote last. Raises BenchError."""
        self.tell(f"audit: an index of {questions.RECORDS:,} records")
        place = self.lab.folder / "index"
        return Spread.of(questions.over(self.lab.folder / Gate.name / "audit", place, QUESTIONS))

    def policy_load(self) -> Spread:
        """Time the reading of the policy with 10,000 partners."""
        policy = policies.with_partners(self.lab.folder, 0)
        taken = []
        for number in range(POLICY_LOADS):
            self.tell(f"policy: loading {number + 1} of {POLICY_LOADS}")
            began = time.monotonic()
            load_policy(policy, self.lab.environ)
            taken.append(time.monotonic() - began)
        return Spread.of(taken)

    def _start_upstream(self, workload: Workload, stack: ExitStack) -> None:
        stack.enter_context(upstream(self.lab, workload, self.cores.load))

    def _start(self, server: Server, workload: Workload, stack: ExitStack) -> int:
        """Have a server run until the stack is unwound; gives its session."""
        self.tell(f"{workload.name}: {server.title}: starting")
        command = server.command(self.lab, workload).on(self.cores.server)
        log = self.lab.folder / f"{workload.name}-{server.name}.out"
        return stack.enter_context(running(command, log, server.port))

    def _load(self, workload: Workload, server: Server, seconds: int) -> load.Load:
        return load.run(workload, self.lab, server.port, seconds * workload.stretch, self.cores.load)

    def _sample(self, workload: Workload, server: Server, session: int) -> tuple[Sample, tuple[str, ...]]:
        cores, began = self.cores, time.monotonic()
        taken, server_core, load_core = usage(session).cpu_seconds, busy_seconds(cores.server), busy_seconds(cores.load)
        found = self._load(workload, server, self.seconds)
        after = usage(session)
        seconds = time.monotonic() - began
        cpu = (after.cpu_seconds - taken) / seconds
        sample = Sample(
            requests_per_second=found.requests / found.seconds,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            cpu_percent=100 * cpu,
            resident_mb=after.resident_bytes / 1e6,
            load_core_percent=100 * (busy_seconds(cores.load) - load_core) / seconds,
            foreign_percent=max(0.0, 100 * ((busy_seconds(cores.server) - server_core) / seconds - cpu)),
        )
        return sample, found.wrong


def _row(
    name: str,
    samples: dict[str, list[Sample]],
    absent: dict[str, str | None],
    failed: dict[str, tuple[str, ...]],
) -> Row:
    if failed.get(name):
        return Row(name, failed=failed[name])
    return Row(name, tuple(samples.get(name, ())), absent[name])
