"""The demo from start to end: keys, upstream, gate, requests, tables, and the verdict."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from gateway.audit.reader import Damage, count_by
from gateway.core.message import Instant
from gateway.demo import gate, integrity, report
from gateway.demo.client import Client
from gateway.demo.credentials import Credentials, make
from gateway.demo.curl import commands, refresh_tokens
from gateway.demo.gate import GATE_PORT, UPSTREAM_PORT, DemoError
from gateway.demo.journal import Journal
from gateway.demo.play import Row, Stage
from gateway.demo.scenarios import SCENARIOS, Scenario
from gateway.demo.upstream import Upstream

TOKEN_REFRESH_SECONDS = 240.0
"""How often `--keep` writes new tokens: before those in the files expire."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo works."""

    policies: Path
    certs: Path
    run: Path
    """Audit log, state and output of this run; made anew each time."""
    gate_port: int
    upstream_port: int

    @property
    def audit(self) -> Path:
        """Folder of the audit log."""
        return self.run / "audit"

    @property
    def log(self) -> Path:
        """What the gate prints."""
        return self.run / "gate.log"


def prepare(root: Path, port: int | None) -> Place:
    """Make room for a run under `root`, with the policies' own ports or, given one, with a copy that has others.

    Raises DemoError where a port is taken or there are no policies.
    """
    policies, run = root / "policies", root / "var" / "demo"
    if not list(policies.glob("*.yaml")):
        raise DemoError(f"no policies in {policies}: run the demo in the folder of the repository")
    if port is None:
        place = Place(policies, root / "certs", run, GATE_PORT, UPSTREAM_PORT)
    else:
        place = Place(run / "policies", run / "certs", run, port or gate.free_port(), gate.free_port())
    gate.check_free((place.gate_port, place.upstream_port))
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    if port is not None:
        gate.copy_policies(policies, place.policies, place.gate_port, place.upstream_port)
    return place


async def perform(place: Place, console: Console, *, keep: bool, scenarios: Sequence[Scenario] = SCENARIOS) -> bool:
    """Run the demo; tells whether everything agreed. Raises DemoError where it cannot run.

    SIGTERM and SIGINT end it with the gate and the upstream taken down; with `keep`, after the verdict, they are the
    way to end it.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        console.print(f"[dim]keys and certificates in {place.certs}/[/]")
        credentials = make(place.certs, _now())
        console.print(f"[dim]upstream on 127.0.0.1:{place.upstream_port}[/]")
        upstream = Upstream()
        await stack.enter_async_context(upstream.serving(place.upstream_port))
        console.print(f"[dim]gate on 127.0.0.1:{place.gate_port}, its log in {place.audit}/[/]")
        journal = Journal(place.audit)
        command = gate.command(place.policies, place.audit, place.run / "state")
        await stack.enter_async_context(gate.running(command, journal, place.log))
        client = await stack.enter_async_context(Client(credentials, place.gate_port))
        stage = Stage(client, credentials, journal, upstream, _now)
        rows = [await stage.play(scenario) for scenario in track(scenarios, "playing", console=console, transient=True)]
        agreed = _show(console, rows, stage, place.audit)
        if keep:
            await _keep(place, credentials, console)
    return integrity.verify(place.audit, place.run / "state" / "audit.key", console) and agreed


def _now() -> Instant:
    return Instant(time.time())  # noqa: TID251 - the demo is a client, with a clock of its own


def _show(console: Console, rows: Sequence[Row], stage: Stage, audit: Path) -> bool:
    console.print(report.requests_table(rows))
    damages: list[Damage] = []
    counted = count_by(audit, "reason", damages.append)
    console.print(report.counts_table(stage.seen, counted))
    failed = sum(bool(row.problems) for row in rows)
    allowed, received = counted["allowed"], len(stage.upstream.received)
    console.print(
        f"{len(rows)} rows, {stage.seen.total()} requests, {failed} with a mismatch; "
        f"allowed by the log {allowed}, received by the upstream {received}; the log is "
        + (f"damaged: {damages[0]}" if damages else "whole")
    )
    agreed = not failed and stage.seen == counted and allowed == received and not damages
    console.print("[green]everything agrees[/]" if agreed else "[red]something does not agree[/]")
    return agreed


async def _keep(place: Place, credentials: Credentials, console: Console) -> None:
    tokens = place.run / "tokens"
    tokens.mkdir(mode=0o700)
    refresh_tokens(credentials, tokens, _now())
    console.print(commands(credentials, tokens, place.gate_port), markup=False, soft_wrap=True)
    show = f"{sys.executable} -m gateway audit show --directory {place.audit} --limit 10"
    console.print(f"# what the log says of it\n{show}\n", markup=False, soft_wrap=True)
    console.print("[dim]the gate and the upstream go on; Ctrl-C ends them[/]")
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(TOKEN_REFRESH_SECONDS)
            refresh_tokens(credentials, tokens, _now())
