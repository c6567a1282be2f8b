"""`gateway console`: the audit log as pages, on the loopback only."""

import asyncio
import logging
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.audit.verify.notes import Key
from gateway.cli.audit_query import filling, needs_extra
from gateway.cli.audit_verify import PublicKey
from gateway.cli.log_options import directory_option, index_option

if TYPE_CHECKING:
    from gateway.console.archive import Archive
    from gateway.console.door import Door

PORT = 8600


@click.command()
@directory_option
@index_option
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="Port; 0: a free one.")
@click.option(
    "--tls", nargs=3, type=click.Path(path_type=Path, exists=True, dir_okay=False), default=None,
    metavar="CERTIFICATE KEY CLIENT_CA",
    help="Serve TLS, and let in who has a certificate of CLIENT_CA, instead of the link.",
)  # fmt: skip
@click.option(
    "--key", "keys", type=PublicKey(), multiple=True, help="The log's public key, from elsewhere than the log."
)
def console(
    *, directory: Path, index: Path | None, port: int, tls: tuple[Path, Path, Path] | None, keys: tuple[Key, ...]
) -> None:
    """Show the audit log in a browser: read only, on 127.0.0.1, to whoever has the link that is printed.

    Standard error says who looked at what. Ends with SIGINT or SIGTERM.
    """
    needs_extra()
    from gateway.audit.query.opening import index_place  # noqa: PLC0415 - with the extra only
    from gateway.console.archive import Archive  # noqa: PLC0415
    from gateway.console.server import client_tls  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        context = None if tls is None else client_tls(*tls)
    except (OSError, ssl.SSLError) as error:
        raise click.BadParameter(str(error), param_hint="--tls") from error
    place = index or index_place(directory)
    with Archive(directory, place, time.monotonic, _say, keys) as archive:
        with filling(directory) as advance:
            archive.prepare(advance)
        try:
            asyncio.run(_serve(archive, port, context))
        except OSError as error:
            raise click.ClickException(f"port {port}: {error.strerror}: choose another with --port") from error


def _say(words: str) -> None:
    click.echo(words, err=True)


async def _serve(archive: "Archive", port: int, context: ssl.SSLContext | None) -> None:
    from gateway.console.server import serve  # noqa: PLC0415

    until = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    await serve(archive, port, context, _tell, until)


def _tell(door: "Door") -> None:
    once = "" if "token=" not in door.url else "  (works once)"
    click.echo(f"{door.url}{once}")
