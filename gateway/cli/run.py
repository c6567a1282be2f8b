"""`gateway run`: stand before the upstreams until told to stop."""

import logging
import sys
from pathlib import Path

import click

from gateway.engine.service import Settings
from gateway.engine.service import run as run_service


@click.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--audit",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/audit"),
    show_default=True,
    help="Folder of the audit log.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/state"),
    show_default=True,
    help="Folder where nonces outlive a restart.",
)
@click.option(
    "--layers", is_flag=True, help="Serve HTTP/1.1 through mitmproxy's layers too, as HTTP/2 is: a third of the speed."
)
def run(policy: Path, audit: Path, state: Path, *, layers: bool) -> None:
    """Enforce POLICY, a file or a folder of files, until SIGTERM or SIGINT. SIGHUP reads it anew.

    Exits with 0 after an orderly stop and with 2 where the gate cannot start.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    sys.exit(run_service(Settings(policy=policy, audit=audit, state=state, layers=layers)))
