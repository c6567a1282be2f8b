"""`gateway audit query`: questions to the log, the usual ones or SQL."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from gateway.audit.export.table import harmless
from gateway.audit.reader import Query
from gateway.cli.log_options import directory_option, index_option
from gateway.cli.output import When, console_for_tables, plain
from gateway.core.message import Instant

if TYPE_CHECKING:
    from gateway.audit.query.database import Answer, Database

type Form = Literal["table", "json", "csv"]

TABLE_ROWS = 100
"""Rows of a table where --limit does not say otherwise."""


def needs_extra() -> None:
    """Fail in words where what reads the log as a database is not installed."""
    try:
        import duckdb  # noqa: F401, PLC0415 - only to see that it is there
    except ImportError as error:
        raise click.ClickException(f"this needs more packages ({error.name}): pip install 'gateway[audit]'") from error


class Asked(click.ParamType[str]):
    """The name of a usual question."""

    name = "question"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the name; fails as a usage error that lists the questions."""
        from gateway.audit.query.questions import QUESTIONS  # noqa: PLC0415 - only when it is asked

        if value not in {question.name for question in QUESTIONS}:
            listed = "\n".join(f"  {question.name:13} {question.asks}" for question in QUESTIONS)
            self.fail(f"{value!r} is none of the questions:\n{listed}", param, ctx)
        return value


class QueryCommand(click.Command):
    """Lists the questions at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the questions."""
        del ctx
        from gateway.audit.query.questions import QUESTIONS  # noqa: PLC0415 - only when it is asked

        with formatter.section("Questions"):
            formatter.write_dl([(question.name, question.asks) for question in QUESTIONS])


@click.command(cls=QueryCommand)
@click.argument("question", type=Asked(), required=False)
@click.option("--sql", help="Ask this instead: one SELECT over the views `records` and `requests` (docs/query.md).")
@click.option("--columns", is_flag=True, help="Show the columns of the views.")
@directory_option
@index_option
@click.option("--partner", help="Only what is about this partner.")
@click.option("--route", help="Only what is about this route.")
@click.option("--reason", help="Only this reason, or a pattern: 'token.*'.")
@click.option("--denied/--allowed", "denied", default=None, help="Only what was denied, or only what was allowed.")
@click.option("--from", "since", type=When(), help="From this time on: 2026-11-22T13:00:00Z, or 15m, 2h, 1d ago.")
@click.option("--to", "until", type=When(), help="Until before this time.")
@click.option("--request-id", "request", help="Only the request (or connection) with this id.")
@click.option("--limit", type=click.IntRange(min=1), help=f"Only N rows [default: {TABLE_ROWS} in a table, else all].")
@click.option(
    "--format", "form", type=click.Choice(get_args(Form.__value__)), default="table", show_default=True,
    help="A table, a JSON object a line, or CSV.",
)  # fmt: skip
def query(  # noqa: PLR0913 - one parameter for each option
    *, question: str | None, sql: str | None, columns: bool, directory: Path, index: Path | None, partner: str | None,
    route: str | None, reason: str | None, denied: bool | None, since: Instant | None, until: Instant | None,
    request: str | None, limit: int | None, form: Form,
) -> None:  # fmt: skip
    """Ask the audit log a QUESTION of those below (default: requests), or one in SQL.

    Nothing is changed, and nothing but the log can be read. Lines that are no records are counted on standard error,
    and make the exit status 1: `gateway audit show` tells where they are.
    """
    if columns:
        _print_columns()
        return
    filters = Query(partner, route, reason, denied, since, until, request)
    if sql is not None and (question is not None or filters != Query(since=since, until=until)):
        raise click.UsageError(
            "--sql goes with --from and --to only, which choose the files: put the rest into its WHERE"
        )
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must lie before --to")
    needs_extra()
    wanted = limit or (TABLE_ROWS if form == "table" else None)
    with opened(directory, index, filters) as database:
        if unreadable := database.unreadable:
            click.echo(f"{unreadable} lines are no records: see `gateway audit show`", err=True)
        answer = _ask(database, question, sql, filters, wanted)
        rows = islice(answer.rows, wanted)
        {"table": _print_table, "json": _print_lines, "csv": _print_csv}[form](answer.columns, rows)
        if wanted is not None and next(answer.rows, None) is not None:
            click.echo(f"only the first {wanted} rows; --limit shows more", err=True)
    if unreadable:
        sys.exit(1)


def _ask(database: "Database", question: str | None, sql: str | None, filters: Query, wanted: int | None) -> "Answer":
    from gateway.audit.query.database import QuestionError  # noqa: PLC0415
    from gateway.audit.query.questions import BY_NAME, compiled  # noqa: PLC0415

    try:
        bar = (TextColumn("asking"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with _bar(*bar, total=100) as shown:
            progress = None if shown is None else shown.reach
            if sql is not None:
                return database.ask(sql, None, progress)
            # One row more than wanted, to know whether there are more.
            limit = None if wanted is None else wanted + 1
            return database.ask(*compiled(BY_NAME[question or "requests"], filters, limit), progress)
    except QuestionError as error:
        raise click.BadParameter(str(error), param_hint="--sql" if sql is not None else "QUESTION") from error


@contextmanager
def opened(directory: Path, index: Path | None, query: Query) -> Iterator["Database"]:
    """Open the log for questions, with its progress shown where that takes long and somebody can see it."""
    from gateway.audit.query.opening import index_place, open_log  # noqa: PLC0415

    with ExitStack() as stack:
        with filling(directory, query) as advance:
            place = index or index_place(directory)
            database = stack.enter_context(open_log(directory, place, query, advance, _tell))
        yield database


@contextmanager
def filling(directory: Path, query: Query | None = None) -> Iterator[Callable[[int], None] | None]:
    """Show how far the index is, and say what cannot be read or written."""
    from gateway.audit.query.index import IndexUnusableError  # noqa: PLC0415
    from gateway.audit.query.opening import size_of  # noqa: PLC0415

    bar = (TextColumn("indexing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with _bar(*bar, total=size_of(directory, query or Query())) as shown:
            yield None if shown is None else shown.advance
    except IndexUnusableError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror}") from error


def _tell(words: str) -> None:
    click.echo(words, err=True)


class _Bar:
    """A progress bar that appears with the first work done."""

    def __init__(self, progress: Progress, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def advance(self, amount: float) -> None:
        """Show that much more as done."""
        if amount > 0:
            self._progress.start()
            self._progress.advance(self._task, amount)

    def reach(self, done: float) -> None:
        """Show that much as done."""
        if done > 0:
            self._progress.start()
            self._progress.update(self._task, completed=done)


@contextmanager
def _bar(*columns: ProgressColumn, total: float) -> Iterator[_Bar | None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    progress = Progress(*columns, console=console, transient=True)
    try:
        yield _Bar(progress, total)
    finally:
        progress.stop()


def _print_columns() -> None:
    from gateway.audit.query.columns import COLUMNS, PLACE  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("column", "type", "meaning"):
        table.add_column(title)
    for column in COLUMNS:
        table.add_row(column.name, plain(column.type), plain(column.meaning))
    for name, meaning in PLACE.items():
        table.add_row(name, "VARCHAR", meaning)
    console_for_tables().print(table)


def _print_table(columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    cells = [[_text(value) for value in row] for row in rows]
    if not cells:
        click.echo("nothing fits", err=True)
        return
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(columns):
        numbers = all(row[place].replace(".", "", 1).replace("-", "", 1).isdecimal() for row in cells if row[place])
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*(plain(cell) for cell in row))
    console_for_tables().print(table)


def _print_lines(columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    for row in rows:
        made = {name: _json(value) for name, value in zip(columns, row, strict=True)}
        click.echo(json.dumps(made, ensure_ascii=False, separators=(",", ":")))


def _print_csv(columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([harmless(_text(value)) if not isinstance(value, int | float) else value for value in row])


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(" ", "milliseconds")
        case list():
            return ", ".join(_text(item) for item in value)
        case dict():
            return "; ".join(f"{name}: {_text(item)}" for name, item in value.items())
        case _:
            return str(value)


def _json(value: object) -> object:
    match value:
        case datetime():
            return f"{value.isoformat(timespec='milliseconds')}Z"
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(name): _json(item) for name, item in value.items()}
        case None | str() | bool() | int() | float():
            return value
        case _:
            return str(value)
