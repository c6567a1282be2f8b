"""The demo's tables: what each request got, and the audit log's own count beside the client's."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.core.reasons import Reason
from gateway.demo.play import Row

WIDTH = 132
"""Columns where the output is no terminal: the table must stay readable in a log."""


def console(*, is_terminal: bool) -> Console:
    """Make the demo's console."""
    return Console(highlight=False) if is_terminal else Console(highlight=False, width=WIDTH)


def requests_table(rows: Sequence[Row]) -> Table:
    """Make the table of requests, one section a group."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "request", "expected", "got", "reason in the log"):
        table.add_column(heading)
    table.add_column("ms", justify="right")
    for group, members in groupby(rows, lambda row: row.scenario.group):
        table.add_section()
        for row in members:
            title = f"{group}: {row.scenario.title}" + (f" ({row.sent} sent)" if row.scenario.until_refused > 1 else "")
            mark = "[red]✗[/]" if row.problems else "[green]✓[/]"
            got = row.answer.words if row.answer.status is None else str(row.answer.status)
            table.add_row(
                mark, escape(title), expected(row.scenario.expected), escape(got), row.reason,
                f"{row.answer.milliseconds:.1f}",
            )  # fmt: skip
            for problem in row.problems:
                table.add_row("", f"[red]{escape(problem)}[/]")
    return table


def expected(reason: Reason) -> str:
    """Say what the client should see."""
    if reason is Reason.ALLOWED:
        return "2xx"
    return "closed" if reason.status is None else str(reason.status)


def counts_table(client: Counter[str], audit: Counter[str]) -> Table:
    """Make the table of counts by reason."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("reason")
    table.add_column("client saw", justify="right")
    table.add_column("log counts", justify="right")
    for code in sorted(client | audit):
        mark = "[green]✓[/]" if client[code] == audit[code] else "[red]✗[/]"
        table.add_row(mark, code, str(client[code]), str(audit[code]))
    table.add_section()
    table.add_row("", "all", str(client.total()), str(audit.total()))
    return table
