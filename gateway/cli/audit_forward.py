"""`gateway audit forward`: the log sent on as it is written."""

import logging
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Literal, get_args

import click

from gateway.audit.export.follow import PositionError
from gateway.audit.export.formats import FORMATS
from gateway.audit.export.forward import Forwarder, Made, Settings
from gateway.audit.export.sinks import Lines, Sink, SyslogTls, syslog_tls
from gateway.audit.export.syslog import message
from gateway.cli.log_options import directory_option
from gateway.core.message import Instant

type Form = Literal["ocsf", "ecs", "cef"]

SYSLOG_TLS = 6514
"""RFC 5425, 4.1."""
LOST, UNSENT = 1, 3
"""Exit statuses."""


class Receiver(click.ParamType[tuple[str, int]]):
    """HOST or HOST:PORT; an IPv6 address in brackets."""

    name = "host:port"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Give host and port; fails as a usage error."""
        if isinstance(value, tuple):
            return value
        host, colon, port = value.rpartition(":")
        if not colon or value.endswith("]"):
            host, port = value, str(SYSLOG_TLS)
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            self.fail(f"{value!r} is no receiver: use HOST:PORT", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@directory_option
@click.option("--stdout", is_flag=True, help="Write lines to standard output, for a collector.")
@click.option("--syslog", type=Receiver(), help="Send to this syslog receiver over TLS [port: 6514].")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="CA of the receiver [default: the system's].")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="Certificate of our own, with --key.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="Its private key.")
@click.option("--server-name", help="Name to verify the receiver by [default: its host].")
@click.option(
    "--format", "form", type=click.Choice(get_args(Form.__value__)), default="ocsf", show_default=True,
    help="Format of the records.",
)  # fmt: skip
@click.option(
    "--position", type=click.Path(path_type=Path, dir_okay=False), default=Path("var/forward.json"), show_default=True,
    help="File that says how far it is; one for each receiver.",
)  # fmt: skip
@click.option(
    "--max-lag", type=click.FloatRange(min=0), default=60.0, show_default=True,
    help="Seconds that it may be behind without telling the receiver.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Send what there is, and end.")
def forward(  # noqa: PLR0913 - one parameter for each option
    *, directory: Path, stdout: bool, syslog: tuple[str, int] | None, ca: str | None, certificate: str | None,
    key: str | None, server_name: str | None, form: Form, position: Path, max_lag: float, once: bool,
) -> None:  # fmt: skip
    """Send each record on as it is written, until SIGINT or SIGTERM.

    The log itself is the queue: what cannot be sent now is sent later, in order, also after a restart. What cannot be
    had any more is told to the receiver and makes the exit status 1; ending with something unsent makes it 3.
    """
    if stdout == (syslog is not None):
        raise click.UsageError("give --stdout or --syslog HOST:PORT")
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s forward: %(message)s", stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    made = FORMATS[form].line
    sink: Sink
    as_message: Made
    if syslog is None:
        sink, as_message = Lines(sys.stdout.buffer), lambda entry, _: made(entry)
    else:
        try:
            context = syslog_tls(ca, certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise click.BadParameter(str(error), param_hint="--ca, --certificate, --key") from error
        sink = SyslogTls(*syslog, context, server_name or syslog[0])
        host = socket.getfqdn()
        as_message = lambda entry, worker: message(entry, made(entry), host, worker)  # noqa: E731 - of the type above
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings(directory, position, as_message, max_lag, once)
    try:
        position.parent.mkdir(parents=True, exist_ok=True)
        outcome = Forwarder(settings, sink, lambda: Instant(time.time()), stop.wait).run()
    except PositionError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror}") from error
    finally:
        sink.close()
    logging.getLogger("gateway.forward").info("%d records sent, %d losses told", outcome.sent, outcome.lost)
    if outcome.unsent:
        sys.exit(UNSENT)
    if outcome.lost:
        sys.exit(LOST)
