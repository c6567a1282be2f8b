"""`gateway demo`: the whole gate on loopback, with an upstream, a client and a verdict."""

import asyncio
import sys
from pathlib import Path

import click

NEEDS = "the demo needs httpx with HTTP/2: install it with `pip install 'gateway[demo]'`, or use `make demo`"


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running, with commands to try, until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port of the gate instead of 8443, the upstream on a free one; 0: any that is free.",
)
def demo(*, keep: bool, port: int | None) -> None:
    """Play every legitimate request and every refusal against a real gate, and compare what each side saw.

    Works in the current folder: reads policies/, makes keys under certs/, runs in var/demo/.
    Exits with 1 where anything does not agree.
    """
    try:
        from gateway.demo import gate, report, stage  # noqa: PLC0415 - httpx is there with the extra `demo` only
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{NEEDS} (no module {error.name})") from None
    console = report.console(is_terminal=sys.stdout.isatty())
    try:
        place = stage.prepare(Path(), port)
        agreed = asyncio.run(stage.perform(place, console, keep=keep))
    except gate.DemoError as error:
        raise click.ClickException(str(error)) from None
    except asyncio.CancelledError:  # SIGTERM
        raise click.Abort from None
    sys.exit(0 if agreed else 1)
