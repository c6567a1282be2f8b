"""`gateway audit export`: the log's records in other formats."""

import sys
from pathlib import Path
from typing import get_args

import click

from gateway.audit.export.formats import FORMATS, Name
from gateway.audit.folders import log_folders, read_folders
from gateway.audit.reader import Damage, Query
from gateway.cli.log_options import directory_option
from gateway.cli.output import When
from gateway.core.message import Instant


@click.command()
@directory_option
@click.option(
    "--format", "form", type=click.Choice(get_args(Name.__value__)), default="ocsf", show_default=True,
    help="OCSF as it stands in the log, Elastic Common Schema, Common Event Format, or CSV.",
)  # fmt: skip
@click.option("--partner", help="Only requests of this partner.")
@click.option("--route", help="Only requests on this route.")
@click.option("--reason", help="Only this reason, or a pattern: 'token.*'.")
@click.option("--denied/--allowed", "denied", default=None, help="Only what was denied, or only what was allowed.")
@click.option("--from", "since", type=When(), help="From this time on: 2026-11-22T13:00:00Z, or 15m, 2h, 1d ago.")
@click.option("--to", "until", type=When(), help="Until before this time.")
def export(  # noqa: PLR0913 - one parameter for each option
    *, directory: Path, form: Name, partner: str | None, route: str | None, reason: str | None, denied: bool | None,
    since: Instant | None, until: Instant | None,
) -> None:  # fmt: skip
    """Write records to standard output, oldest first, a line each.

    Damaged lines and missing records are reported on standard error, and make the exit status 1.
    """
    query = Query(partner, route, reason, denied, since, until)
    made = FORMATS[form]
    output = sys.stdout.buffer
    damaged = False
    try:
        if made.header:
            output.write(made.header + b"\n")
        for folder, entry in read_folders(log_folders(directory), query):
            if isinstance(entry, Damage):
                within = "" if folder == directory else f"{folder.name}/"
                click.echo(f"{within}{entry}", err=True)
                damaged |= not entry.incomplete
            else:
                output.write(made.line(entry) + b"\n")
        output.flush()
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror}") from error
    if damaged:
        sys.exit(1)
