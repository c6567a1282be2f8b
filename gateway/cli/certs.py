"""`gateway certs`: a development CA, what stands in a file, and all that a policy trusts or uses."""

import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import click

from gateway.cli.certs_inspect import inspect
from gateway.cli.certs_list import list_material
from gateway.cli.parsed import Parsed
from gateway.core.message import Address, Instant
from gateway.pki.authority import Names, Purpose, Validity
from gateway.pki.development import MARK, DevelopmentError, Pair, create
from gateway.pki.development import issue as issue_below
from gateway.policy.values import Unfit, host, uri

CA_DAYS = 365
LEAF_DAYS = 90
MOST_DAYS = 3_650
"""A development CA that outlives its developers helps nobody."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_TITLE_CHARACTERS = 64
"""Of a common name (RFC 5280 appendix A.1)."""


def _file_name(text: str) -> str:
    if not _NAME.match(text) or text == "ca":
        raise Unfit(f"{text!r} is no name for files", "up to 64 letters, digits, `-`, `_` and `.`; `ca` is the CA's")
    return text


def _title(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _TITLE_CHARACTERS:
        raise Unfit("no name for a CA", f"1 to {_TITLE_CHARACTERS} printable characters")
    return text


@click.group()
def certs() -> None:
    """Make certificates for development, look into files, and list what a policy trusts or uses."""


certs.add_command(inspect)
certs.add_command(list_material)


@certs.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", type=Parsed("name", _title), default="Development CA", show_default=True, help="Common name.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=CA_DAYS, show_default=True, help="How long it lasts."
)
def ca(folder: Path, name: str, days: int) -> None:
    """Make a development CA in DIR: ca.pem to be trusted, ca.key (mode 0600) to issue with.

    Its key lies unencrypted beside it: trust it where you develop and test, never in production. Nothing is
    overwritten.
    """
    validity = Validity.around(Instant(time.time()), days=days)
    pair = _explained(lambda: create(folder, name, validity))
    click.echo(f"{pair.certificate}  to be trusted: a listener's `client_ca`, an upstream's `ca`, a client's --cacert")
    click.echo(f"{pair.key}  issues: keep it here")
    click.secho(f"{MARK}: whoever reads {pair.key} can pass for anybody this CA is trusted for", fg="yellow")


@certs.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("name", type=Parsed("name", _file_name))
@click.option("--server", is_flag=True, help="For a server: the gate's listener, or an upstream.")
@click.option("--client", is_flag=True, help="For a client: a partner, or the gate towards an upstream.")
@click.option("--dns", multiple=True, type=Parsed("host", host), help="DNS name. May be repeated.")
@click.option(
    "--uri", "uris", multiple=True, type=Parsed("uri", uri), help="URI, such as spiffe://acme.example/casino."
)
@click.option("--ip", "addresses", multiple=True, type=Parsed("address", ip_address), help="IP address.")
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=LEAF_DAYS, show_default=True, help="No longer than the CA."
)
def issue(  # noqa: PLR0913 - one parameter for each option
    *, folder: Path, name: str, server: bool, client: bool, dns: tuple[str, ...], uris: tuple[str, ...],
    addresses: tuple[Address, ...], days: int,
) -> None:  # fmt: skip
    """Issue DIR/NAME.pem with a new key in DIR/NAME.key (mode 0600) by the development CA in DIR.

    Nothing is overwritten.
    """
    if server == client:
        raise click.UsageError("say what it is for: --server or --client, one of them")
    if server and not dns and not addresses:
        raise click.UsageError("a server needs the name it is called by: --dns localhost, or --ip 127.0.0.1")
    names = Names(name, MARK, dns, addresses, uris)
    purpose = Purpose.SERVER if server else Purpose.CLIENT
    validity = Validity.around(Instant(time.time()), days=days)
    pair, made = _explained(lambda: issue_below(folder, name, names, purpose, validity))
    ends = made.certificate.not_valid_after_utc
    click.echo(f"{pair.certificate}  for a {'server' if server else 'client'}, until {ends:%Y-%m-%d %H:%M} UTC")
    click.echo(f"{pair.key}")
    if ends.timestamp() < int(validity.not_after):
        click.secho(f"that is less than {days} days: the CA ends then", fg="yellow")
    click.echo(_next(pair, server=server, dns=dns, uris=uris))


def _next(pair: Pair, *, server: bool, dns: tuple[str, ...], uris: tuple[str, ...]) -> str:
    """Say how the policy takes it."""
    if server:
        return f"in a policy: tls: {{certificate: {pair.certificate}, key: {pair.key}, client_ca: …}}"
    if uris:
        return f'in a policy: certificate: {{san_uri: "{uris[0]}"}}'
    if dns:
        return f"in a policy: certificate: {{san_dns: {dns[0]}}}"
    return f"in a policy: certificate: {{public_key: …}}, as `gateway certs inspect {pair.certificate}` shows it"


def _explained[T](do: Callable[[], T]) -> T:
    try:
        return do()
    except DevelopmentError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
