"""`gateway audit`: look into the audit log."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.audit.folders import log_folders, read_folders
from gateway.audit.ocsf import SUCCESS
from gateway.audit.reader import Damage, Dimension, Entry, Query, count_by, files_of
from gateway.cli import audit_export, audit_forward, audit_query, audit_report
from gateway.cli.audit_key import key
from gateway.cli.audit_verify import prove, verify, verify_proof
from gateway.cli.output import When, console_for_tables, plain
from gateway.core.message import Instant

TABLE_ROWS = 100
"""Rows of the table where --limit does not say otherwise: the newest."""
PROGRESS_BYTES = 16_777_216
"""Size of the log from which reading it shows its progress: less is read in a blink."""
REQUEST_WIDTH = 24
"""Columns that method and path keep, before others are left out."""
LEFT_OUT = ("worker", "seq", "upstream ms", "address", "gate ms", "route", "partner", "kind", "status")
"""Columns of the table that a narrow terminal does without, in this order."""
RIGHT = frozenset({"worker", "seq", "gate ms", "upstream ms"})


@click.group()
def audit() -> None:
    """Look into the audit log."""


for _command in (
    audit_query.query,
    audit_report.report,
    audit_export.export,
    audit_forward.forward,
    verify,
    prove,
    verify_proof,
    key,
):
    audit.add_command(_command)


@audit.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("var/audit"),
    show_default=True,
    help="Folder of the log (gateway run --audit).",
)
@click.option("--partner", help="Only requests of this partner.")
@click.option("--route", help="Only requests on this route.")
@click.option("--reason", help="Only this reason, or a pattern: 'token.*'.")
@click.option("--denied/--allowed", "denied", default=None, help="Only what was denied, or only what was allowed.")
@click.option("--from", "since", type=When(), help="From this time on: 2026-11-22T13:00:00Z, or 15m, 2h, 1d ago.")
@click.option("--to", "until", type=When(), help="Until before this time.")
@click.option("--request", help="Only the request (or connection) with this id.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"Only the newest N records [default: {TABLE_ROWS} in a table, all as JSON].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the records as they are, one JSON line each.")
@click.option(
    "--count-by",
    type=click.Choice(get_args(Dimension.__value__)),
    help="Count requests and refused connections instead of listing records.",
)
def show(  # noqa: PLR0913 - one parameter for each option
    *, directory: Path, partner: str | None, route: str | None, reason: str | None, denied: bool | None,
    since: Instant | None, until: Instant | None, request: str | None, limit: int | None, as_json: bool,
    count_by: Dimension | None,
) -> None:  # fmt: skip
    """Show records of the audit log, oldest first.

    Damaged lines and missing records are reported on standard error, and make the exit status 1. The logs of several
    workers are shown as one, in the order of time.
    """
    if count_by is not None and (as_json or limit is not None):
        raise click.UsageError("--count-by goes with filters only, not with --json or --limit")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must lie before --to")
    if not directory.is_dir():
        raise click.BadParameter(
            f"{directory} is no folder: give the one that `gateway run --audit` writes to", param_hint="--directory"
        )
    query = Query(partner, route, reason, denied, since, until, request)
    log = _Log(directory, query)
    if count_by is not None:
        _print_counts(count_by, log.counts(count_by))
    elif as_json:
        _print_lines(log.entries(), limit)
    else:
        _print_table(log.entries(), limit or TABLE_ROWS)
    for damage in log.damaged:
        click.echo(f"{_within(damage.file.parent, directory)}{damage}", err=True)
    if any(not damage.incomplete for damage in log.damaged):
        sys.exit(1)


type _Shown = tuple[str, Entry]
"""A record, and the worker whose log it is of: `worker-1/`; empty for the folder that was given."""


class _Log:
    """What is read, of the folder that was given and those of workers in it."""

    def __init__(self, directory: Path, query: Query) -> None:
        self.damaged: list[Damage] = []
        self._directory = directory
        self._query = query
        with self._readable():
            self._folders = log_folders(directory)

    def counts(self, dimension: Dimension) -> Counter[str]:
        """Count requests and refused connections."""
        counted: Counter[str] = Counter()
        with self._reading() as advance:
            for folder in self._folders:
                counted += count_by(folder, dimension, self.damaged.append, self._query, advance)
        return counted

    def entries(self) -> Iterator[_Shown]:
        """Give the records."""
        with self._reading() as advance:
            for folder, entry in read_folders(self._folders, self._query, advance):
                if isinstance(entry, Damage):
                    self.damaged.append(entry)
                else:
                    yield _within(folder, self._directory), entry

    @contextmanager
    def _reading(self) -> Iterator[Callable[[int], None] | None]:
        """Say what cannot be read, and show how far reading is where it takes long and somebody can see it."""
        with self._readable(), _progress(self._folders, self._query) as advance:
            yield advance

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise click.ClickException(f"{error.filename or self._directory}: {error.strerror}") from error


def _within(folder: Path, directory: Path) -> str:
    """Name a worker's folder in front of what is in it."""
    return "" if folder == directory else f"{folder.name}/"


@contextmanager
def _progress(folders: list[Path], query: Query) -> Iterator[Callable[[int], None] | None]:
    total = sum(file.path.stat().st_size for folder in folders for file in files_of(folder, query))
    console = Console(stderr=True)
    if not console.is_terminal or total < PROGRESS_BYTES:
        yield None
        return
    columns = ("reading", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("reading", total=total)
        yield lambda size: shown.advance(task, size)


def _print_lines(entries: Iterable[_Shown], limit: int | None) -> None:
    for _, entry in entries if limit is None else deque(entries, limit):
        click.echo(entry.raw)


def _print_counts(dimension: Dimension, counts: Counter[str]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(dimension)
    table.add_column("count", justify="right")
    for value, count in counts.most_common():
        table.add_row(plain(value), str(count))
    console_for_tables().print(table)


def _print_table(entries: Iterable[_Shown], limit: int) -> None:
    shown: deque[_Shown] = deque(maxlen=limit)
    number = 0
    for entry in entries:
        number += 1
        shown.append(entry)
    if not number:
        click.echo("no record fits", err=True)
        return
    console = console_for_tables()
    days = {_utc(entry).date() for _, entry in shown}
    title = f"{min(days)} UTC" if len(days) == 1 else "time (UTC)"
    rows = [_row(entry, title, dated=len(days) > 1) for _, entry in shown]
    workers = [worker.removeprefix("worker-").removesuffix("/") for worker, _ in shown]
    if any(workers):
        rows = [{"worker": plain(worker), **row} for worker, row in zip(workers, rows, strict=True)]
    console.print(_table(rows, console.width))
    if number > limit:
        click.echo(f"the newest {limit} of {number} records; --limit shows more", err=True)


def _table(rows: list[dict[str, Text]], width: int) -> Table:
    """Make a table that fits: in a narrow terminal the request is cut first, then columns are left out."""
    natural = {title: max(len(title), *(row[title].cell_len for row in rows)) for title in rows[0]}
    wanted = natural | {"request": min(natural["request"], REQUEST_WIDTH)}
    for title in LEFT_OUT:
        if sum(wanted.values()) + 2 * (len(wanted) - 1) <= width:
            break
        wanted.pop(title, None)
    left = width - sum(wanted.values()) - 2 * (len(wanted) - 1)
    wanted["request"] = max(8, min(natural["request"], wanted["request"] + left))
    table = Table(box=None, pad_edge=False)
    for title, columns in wanted.items():
        side: Literal["right", "left"] = "right" if title in RIGHT else "left"
        table.add_column(title, no_wrap=True, overflow="ellipsis", justify=side, width=columns)
    for row in rows:
        table.add_row(*(row[title] for title in wanted))
    return table


def _utc(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.at, UTC)


def _row(entry: Entry, title: str, *, dated: bool) -> dict[str, Text]:
    when = _utc(entry)
    date = f"{when:%Y-%m-%d} " if dated else ""
    request = f"{entry.text('http_request', 'http_method')} {entry.text('http_request', 'url', 'path')}".strip()
    what = request or entry.text("unmapped", "unread") or entry.text("message")
    return {
        title: plain(f"{date}{when:%H:%M:%S}.{when.microsecond // 1000:03}"),
        "seq": plain(entry.sequence),
        "kind": plain(entry.kind),
        "partner": plain(entry.partner),
        "address": plain(entry.text("src_endpoint", "ip")),
        "request": plain(what),
        "route": plain(entry.route),
        "status": plain(entry.get("http_response", "code") or ""),
        "reason": plain(entry.reason, "" if entry.get("status_id") == SUCCESS else "red"),
        "gate ms": plain(_tenths(entry.get("unmapped", "gate_ms"))),
        "upstream ms": plain(_tenths(entry.get("unmapped", "upstream_ms"))),
    }


def _tenths(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""
