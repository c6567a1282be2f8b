"""`gateway check`: every problem of a policy at its place, or what the policy asks for."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.core.chain import ORDER
from gateway.core.message import Instant
from gateway.core.policy import Policy
from gateway.policy import Loaded, PolicyInvalid, Problem, Severity, load
from gateway.policy.describe import (
    describe,
    described_audit,
    described_lockout,
    described_match,
    described_revocation,
    described_state,
    described_upstream,
)

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
WIDE = 160
"""Columns from which the table has a column for each control; assumed of what is no terminal."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="As `gateway run` will have them."
)
def check(path: Path, *, as_json: bool, workers: int) -> None:
    """Check the policy in the file or folder PATH.

    Prints every problem as file:line:column: path: message (hint), and then what each route asks for. Secrets named
    by env: are looked for in the environment. Exits with 2 where the policy must not come into force.
    """
    loaded: Loaded | None = None
    problems: Sequence[Problem]
    try:
        loaded = load(path, os.environ, now=Instant(time.time()), shared_state=workers == 1)
        problems = loaded.warnings
    except PolicyInvalid as invalid:
        problems = invalid.problems
    if as_json:
        click.echo(json.dumps(_as_json(loaded, problems), indent=2, ensure_ascii=False))
    else:
        _print(path, loaded, problems)
    if loaded is None:
        raise SystemExit(2)


def _print(path: Path, loaded: Loaded | None, problems: Sequence[Problem]) -> None:
    for problem in problems:
        click.secho(str(problem), fg=_COLOURS[problem.severity])
    warnings = sum(problem.severity is Severity.WARNING for problem in problems)
    counts = f"{_counted(len(problems) - warnings, 'error')}, {_counted(warnings, 'warning')}"
    if loaded is None:
        click.secho(f"{path}: {counts}: the policy is refused", fg="red", bold=True)
        return
    policy = loaded.policy
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(_matrix(policy) if console.width >= WIDE else _list(policy))
    routes = _counted(len(policy.routes), "route")
    partners = _counted(len(policy.partners), "partner")
    for name, listener in policy.listeners.items():
        console.print(f"revocation at listener {name}: {described_revocation(listener)}", markup=False)
    console.print(f"state: {described_state(policy)}", markup=False)
    console.print(f"lockout: {described_lockout(policy)}", markup=False)
    console.print(f"audit log: {described_audit(policy)}", markup=False)
    click.secho(f"{path}: {counts}: policy {policy.name} {policy.digest[:12]}, {routes}, {partners}", fg="green")


def _matrix(policy: Policy) -> Table:
    """Give routes by controls, for wide terminals."""
    controls = _controls(policy)
    table = Table(show_lines=True)
    for name in ("route", "partners", *controls):
        table.add_column(name, overflow="fold")
    for route in policy.routes:
        said = describe(route)
        head = Text(f"{route.name}\n{described_match(route)}\n{described_upstream(route)}")
        table.add_row(head, *(_cell(said.get(name, "")) for name in ("partners", *controls)))
    return table


def _list(policy: Policy) -> Table:
    """Give the same with a line for each control."""
    table = Table("route", "control", "asks for", show_header=False)
    for route in policy.routes:
        table.add_section()
        table.add_row(Text(route.name), Text("match"), Text(described_match(route)))
        table.add_row("", Text("upstream"), Text(described_upstream(route)))
        for name, said in describe(route).items():
            table.add_row("", Text(name), _cell(said))
    return table


def _cell(said: str) -> Text:
    """Make a cell of a policy's text, which must not be read as rich's markup."""
    return Text(said, style="yellow" if said.startswith("off: ") else "")


def _controls(policy: Policy) -> list[str]:
    """Give the controls in the order of the chain: the built-in ones, then those that third parties add."""
    named = {name for route in policy.routes for name in describe(route)}
    return [*ORDER, *sorted(named.difference(ORDER, ("partners",)))]


def _as_json(loaded: Loaded | None, problems: Sequence[Problem]) -> dict[str, object]:
    listed = [
        {
            "severity": problem.severity.value,
            "file": str(problem.file),
            "line": problem.line,
            "column": problem.column,
            "path": problem.path,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]
    if loaded is None:
        return {"valid": False, "problems": listed}
    policy = loaded.policy
    return {
        "valid": True,
        "problems": listed,
        "policy": {
            "name": policy.name,
            "digest": policy.digest,
            "owner": policy.owner,
            "review_by": policy.review_by,
            "state": described_state(policy),
            "lockout": described_lockout(policy),
            "audit": described_audit(policy),
            "routes": [
                {
                    "name": route.name,
                    "methods": sorted(route.match.methods),
                    "path": route.match.path,
                    "hosts": None if route.match.hosts is None else sorted(route.match.hosts),
                    "upstream": route.upstream.name,
                    "endpoints": [route.upstream.url(endpoint) for endpoint in route.upstream.endpoints],
                    "controls": describe(route),
                    "off": {off.control: off.because for off in route.switched_off},
                }
                for route in policy.routes
            ],
        },
    }


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
