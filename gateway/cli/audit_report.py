"""`gateway audit report`: one HTML file about a time of the log."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.audit.folders import log_folders
from gateway.audit.reader import Query
from gateway.audit.verify.notes import Key
from gateway.cli.audit_query import needs_extra, opened
from gateway.cli.audit_verify import PublicKey
from gateway.cli.log_options import directory_option, index_option
from gateway.cli.output import When
from gateway.core.message import Instant
from gateway.policy import PolicyInvalid, load

if TYPE_CHECKING:
    from gateway.console.report import Kept


@click.command()
@directory_option
@index_option
@click.option("--from", "since", type=When(), help="From this time on [default: the log's beginning].")
@click.option("--to", "until", type=When(), help="Until before this time [default: the log's end].")
@click.option(
    "--policy", type=click.Path(path_type=Path, exists=True), help="Policy whose keys and certificates to list."
)
@click.option(
    "--key", "keys", type=PublicKey(), multiple=True, help="The log's public key, from elsewhere than the log."
)
@click.option("--verify", is_flag=True, help="Hold every record against the signed checkpoints: reads the whole log.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("audit-report.html"), show_default=True,
    help="File to write.",
)  # fmt: skip
def report(  # noqa: PLR0913 - one parameter for each option
    *, directory: Path, index: Path | None, since: Instant | None, until: Instant | None, policy: Path | None,
    keys: tuple[Key, ...], verify: bool, output: Path,
) -> None:  # fmt: skip
    """Write a report about a time of the log as one HTML file, which prints well.

    The exit status is 1 where the log is damaged; the report is written all the same.
    """
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must lie before --to")
    needs_extra()
    from gateway.console.archive import Reading  # noqa: PLC0415 - with the extra only
    from gateway.console.charts import Span  # noqa: PLC0415
    from gateway.console.integrity import integrity  # noqa: PLC0415
    from gateway.console.report import report as made  # noqa: PLC0415
    from gateway.console.signed import verified  # noqa: PLC0415

    now = Instant(time.time())
    material, remarks = _of(policy, now) if policy is not None else (None, None)
    with opened(directory, index, Query()) as database:
        reading = Reading(database)
        first, last = reading.ends() or (now, now)
        start, end = since if since is not None else first, until if until is not None else Instant(last + 0.001)
        span = Span(start, Instant(max(end, start + 1)))
        try:
            logs = log_folders(directory) if verify else ()
            found = {log: findings for log in logs if (findings := verified(log, keys)) is not None}
            whole = integrity(reading, directory, keys, found)
            output.write_text(made(reading, directory, span, now, material, remarks, whole), "utf-8")
        except OSError as error:
            raise click.ClickException(f"{error.filename or output}: {error.strerror}") from error
    click.echo(output)
    if not whole.whole:
        click.echo("the log is damaged: see `gateway audit show` and `gateway audit verify`", err=True)
        sys.exit(1)


def _of(policy: Path, now: Instant) -> "tuple[list[Kept], list[str]]":
    """Give what a policy holds, and what the linter says of it."""
    from gateway.console.report import Kept  # noqa: PLC0415

    try:
        loaded = load(policy, os.environ, now=now)
    except PolicyInvalid as invalid:
        words = "\n".join(str(problem) for problem in invalid.problems)
        raise click.BadParameter(f"the policy is refused:\n{words}", param_hint="--policy") from invalid
    material = [Kept(one.label, str(one.owner), one.not_after) for one in loaded.material]
    return material, [str(problem) for problem in loaded.warnings]
