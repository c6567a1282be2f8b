"""`gateway revoke`: take a partner, a certificate, a key or a token out of use at once, and put it into use again."""

import getpass
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.parsed import Parsed
from gateway.core.barred import LOCKED, Thing
from gateway.core.message import Instant
from gateway.pki.objections import is_authority
from gateway.policy.folder import explained, read_bounded
from gateway.policy.values import Unfit, duration, instant, sha256_hex
from gateway.state.revocations import Entry, JournalError, add, in_force, read_all

MOST_CHARACTERS = 512
"""Of a value, a name, a reason: they stand in records."""

MAX_LIST_BYTES = 67_108_864
"""Of a file of values: a million of them."""

WIDE = 160
"""Columns of the table where the output is no terminal."""


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > MOST_CHARACTERS:
        raise Unfit("is empty, too long or not printable", f"1 to {MOST_CHARACTERS} printable characters")
    return text


TEXT = Parsed("text", _text)

STATE = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/state"),
    show_default=True,
    help="Folder of the gate's state, as with gateway run.",
)


def _who() -> str:
    """Give who runs this: behind sudo, who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def reasons[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that every change has."""
    for option in (
        click.option("--by", type=TEXT, default=_who, help="Who asks for it; else the name of the user."),
        click.option("--because", type=TEXT, required=True, help="Why. Stands in the audit log."),
        STATE,
    ):
        command = option(command)
    return command


def ends[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Add the options that say when a revocation ends."""
    for option in (
        click.option("--until", type=Parsed("moment", instant), help="Until when, such as 2027-02-01T06:00:00Z."),
        click.option("--for", "seconds", type=Parsed("duration", duration), help="For how long, such as 24h."),
        click.option(
            "--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File of further values, one in a line.",
        ),
    ):  # fmt: skip
        command = option(command)
    return reasons(command)


@click.group()
def revoke() -> None:
    """Take something out of use at once, in every worker, without a reload; it survives a restart.

    Without --for and --until it stays out of use until it is lifted.
    """


@revoke.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@ends
def partner(*, names: tuple[str, ...], **options: object) -> None:
    """Suspend partners, by their names in the policy."""
    _revoke(Thing.PARTNER, names, options)


@revoke.command()
@click.argument("certificates", nargs=-1, metavar="FINGERPRINT|FILE...")
@ends
def certificate(*, certificates: tuple[str, ...], **options: object) -> None:
    """Revoke client certificates, by SHA-256 fingerprint or by a PEM file."""
    _revoke(Thing.CERTIFICATE, certificates, options, _fingerprint)


@revoke.command()
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--issuer", type=TEXT, help="Name of the issuer in the policy, whose keys (kid) are meant.")
@ends
def key(*, ids: tuple[str, ...], issuer: str | None, **options: object) -> None:
    """Revoke partners' signing keys, or with --issuer an issuer's keys, by their ids."""
    if issuer is None:
        _revoke(Thing.KEY, ids, options)
    else:
        _revoke(Thing.ISSUER_KEY, ids, options, lambda text: f"{issuer}/{text}")


@revoke.command()
@click.argument("ids", nargs=-1, metavar="JTI...")
@click.option("--issuer", type=TEXT, help="Name of the issuer in the policy.")
@click.option("--subject", is_flag=True, help="Revoke all tokens of these subjects (sub), also those to come.")
@click.option("--stdin", is_flag=True, help="Read tokens themselves from standard input, one in a line.")
@ends
def token(*, ids: tuple[str, ...], issuer: str | None, subject: bool, stdin: bool, **options: object) -> None:
    """Revoke access tokens: by their ids (jti), by their subjects, or the tokens themselves.

    A token is a secret, so it is read from standard input and kept as its SHA-256.
    """
    if stdin:
        if ids or subject or issuer or options.get("file"):
            raise click.UsageError("--stdin takes no ids, no --issuer and no --subject")
        tokens = [line.strip() for line in sys.stdin.read(MAX_LIST_BYTES).splitlines() if line.strip()]
        _revoke(Thing.TOKEN_DIGEST, [_token_digest(each) for each in tokens], options)
        return
    if issuer is None:
        raise click.UsageError("--issuer is missing: ids are an issuer's own")
    _revoke(Thing.SUBJECT if subject else Thing.TOKEN, ids, options, lambda text: f"{issuer}/{text}")


def _token_digest(text: str) -> str:
    """Give the digest that names a token: a JWT is named without its signature, of which there may be others."""
    scheme, _, token = text.rpartition(" ")
    if scheme.strip().lower() not in ("", "bearer", "dpop"):
        raise click.UsageError("a line of standard input is no token")
    if token.count(".") == 2:
        token = token[: token.rindex(".")]
    return hashlib.sha256(token.encode()).hexdigest()


@revoke.command()
@click.argument("numbers", nargs=-1, required=True, type=click.IntRange(min=1), metavar="NUMBER...")
@reasons
def lift(*, numbers: tuple[int, ...], state: Path, because: str, by: str) -> None:
    """Put into use again what was revoked under NUMBER (see gateway revoke list)."""
    lift_all(state, numbers, by, because, "revoked", locked=False)


def lift_all(state: Path, numbers: Sequence[int], by: str, because: str, what: str, *, locked: bool) -> None:
    """Lift revocations, or with `locked` lock-outs, by their numbers."""
    living = {entry.number: entry for entry in in_force(_read(state)).values() if (entry.thing in LOCKED) is locked}
    missing = [number for number in numbers if number not in living]
    if missing:
        raise click.ClickException(f"nothing is {what} under number {', '.join(map(str, missing))}")
    now = Instant(time.time())
    found = [living[number] for number in dict.fromkeys(numbers)]
    _add(state, [_lifting(one, now, by, because) for one in found])
    for one in found:
        click.echo(f"lifted: {one.thing.value} {one.value} (number {one.number})")


def _lifting(entry: Entry, now: Instant, by: str, because: str) -> Entry:
    return Entry(0, "lift", entry.thing, entry.value, now, None, by, because, of=entry.number, lock=entry.lock)


@revoke.command("list")
@STATE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--all", "everything", is_flag=True, help="Also what was lifted or has ended, and the liftings.")
def list_revocations(*, state: Path, as_json: bool, everything: bool) -> None:
    """List what is revoked: by whom, until when, and why."""
    show(state, "revocations", "nothing is revoked", as_json=as_json, everything=everything, locked=False)


def show(state: Path, what: str, nothing: str, *, as_json: bool, everything: bool, locked: bool) -> None:
    """Print revocations, or with `locked` lock-outs."""
    now = Instant(time.time())
    entries = [entry for entry in _read(state) if (entry.thing in LOCKED) is locked]
    living = {entry.number for entry in in_force(entries).values() if entry.counts(now)}
    shown = [entry for entry in entries if everything or entry.number in living]
    if as_json:
        listed = [_as_json(entry, in_force=entry.number in living) for entry in shown]
        click.echo(json.dumps({what: listed}, indent=2))
        return
    if not shown:
        click.echo(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("number", "what", "value", "since", "until", "by", "because"):
        table.add_column(column, overflow="fold")
    for entry in shown:
        until = "lifted" if entry.action == "revoke" else f"lifts {entry.of}"
        if entry.number in living:
            until = "until it is lifted" if entry.until is None else _moment(entry.until)
        elif entry.until is not None:
            until = f"ended {_moment(entry.until)}" if not entry.counts(now) else "lifted"
        cells = (str(entry.number), entry.thing.value, entry.value, _moment(entry.at), until, entry.by, entry.because)
        table.add_row(*map(Text, cells))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _revoke(
    thing: Thing, given: Sequence[str], options: dict[str, object], value_of: Callable[[str], str] = str
) -> None:
    state, file, until, seconds = (options[name] for name in ("state", "file", "until", "seconds"))
    by, because = str(options["by"]), str(options["because"])
    assert isinstance(state, Path)
    now = Instant(time.time())
    if until is not None and seconds is not None:
        raise click.UsageError("--for or --until, not both")
    end = None
    if isinstance(seconds, float):
        end = Instant(now + seconds)
    elif isinstance(until, float):
        end = Instant(until)
    if end is not None and end <= now:
        raise click.UsageError("it would have ended already")
    texts = [*given, *(_lines(file) if isinstance(file, Path) else ())]
    if not texts:
        raise click.UsageError("nothing to revoke is named")
    try:
        values = [value_of(_text(text)) for text in texts]
    except Unfit as unfit:
        raise click.UsageError(f"{unfit.message} ({unfit.hint})") from None
    made = _add(state, [Entry(0, "revoke", thing, value, now, end, by, because) for value in dict.fromkeys(values)])
    told = "until it is lifted" if end is None else f"until {_moment(end)}"
    for entry in made[:8]:
        click.echo(f"revoked {told}: {thing.value} {entry.value} (number {entry.number})")
    if len(made) > 8:
        click.echo(f"and {len(made) - 8} more, up to number {made[-1].number}")


def _lines(file: Path) -> list[str]:
    try:
        data = read_bounded(file, MAX_LIST_BYTES)
    except OSError as error:
        raise click.ClickException(f"{file}: {explained(error)[0]}") from None
    try:
        return [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8") from None


def _fingerprint(text: str) -> str:
    path = Path(text)
    if not path.is_file():
        return sha256_hex(text)
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        authority = is_authority(found)
    except (OSError, ValueError):
        raise Unfit(f"{text} has no readable certificate", "expected PEM, or a SHA-256 fingerprint") from None
    if authority:
        hint = "take it out of `client_ca`, or have its issuer put it on a list; clients' own certificates count here"
        raise Unfit(f"{text} is a CA's certificate", hint)
    return found.fingerprint(SHA256()).hex()


def _read(state: Path) -> list[Entry]:
    try:
        return read_all(state)
    except JournalError as error:
        raise click.ClickException(f"revocations in {state}: {error}") from None


def _add(state: Path, entries: Sequence[Entry]) -> list[Entry]:
    if not state.is_dir():
        raise click.ClickException(f"{state} is no folder: name the one that gateway run has with --state")
    try:
        return add(state, entries)
    except (JournalError, OSError) as error:
        raise click.ClickException(f"revocations in {state}: {error}") from None


def _as_json(entry: Entry, *, in_force: bool) -> dict[str, object]:
    return {
        "number": entry.number,
        "action": entry.action,
        "what": entry.thing.value,
        "value": entry.value,
        "at": _moment(entry.at),
        "until": None if entry.until is None else _moment(entry.until),
        "by": entry.by,
        "because": entry.because,
        "lifts": entry.of,
        "in_force": in_force,
    }


def _moment(at: Instant) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
