"""`gateway audit verify`, `prove` and `verify-proof`: what a stranger needs to trust a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from gateway.audit.verify.check import check
from gateway.audit.verify.files import FOLDER, logs, segments
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.findings import Progress as Advance
from gateway.audit.verify.notes import InvalidNoteError, Key, WitnessKey, notes_of
from gateway.audit.verify.proof import ProofError, Proven, check_proof
from gateway.audit.verify.proof import prove as make_proof
from gateway.cli.log_options import directory_option

PUBLIC_KEY = "log.vkey"
"""The log's public key, in the folder of the transparency log."""

PROGRESS_BYTES = 16_777_216
"""Size of the log from which reading it shows its progress."""


class _Parsed[T](click.ParamType[T]):
    """A key of a kind, or a file that holds one."""

    name = "key"
    _parse: Callable[[str], T]

    def convert(self, value: str | T, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Give the key; fails as a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(Path(value).read_text() if Path(value).is_file() else value)
        except (OSError, InvalidNoteError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else error
            self.fail(f"{value}: {told}: give the public key, or a file that holds it", param, ctx)


class PublicKey(_Parsed[Key]):
    """A log's public key."""

    _parse = staticmethod(Key.parse)


class PublicWitnessKey(_Parsed[WitnessKey]):
    """A witness' public key."""

    _parse = staticmethod(WitnessKey.parse)


_key = click.option(
    "--key", "keys", type=PublicKey(), multiple=True,
    help="The log's public key, or a file with it; from elsewhere than the log. May be repeated.",
)  # fmt: skip


@click.command()
@directory_option
@_key
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="File with checkpoints that were kept elsewhere: the log must go on from each. May be repeated.",
)
@click.option(
    "--witness", "witnesses", type=PublicWitnessKey(), multiple=True,
    help="Public key of a witness, or a file with it, who must have signed the log's checkpoint. May be repeated.",
)  # fmt: skip
def verify(
    directory: Path, keys: tuple[Key, ...], checkpoints: tuple[Path, ...], witnesses: tuple[WitnessKey, ...]
) -> None:
    """Verify that nothing in the log was changed, removed or put in between.

    Every record is hashed, and held against entries and tree of the transparency log, and its tree against every
    checkpoint. Names the first record that is not what was signed. The logs of several workers are verified each.

    Exits with 0 where all is well, with 1 where anything is not.
    """
    try:
        trusted = {log: keys_for(log, keys) for log in logs(directory)}
        given = [note for path in checkpoints for note in notes_of(path.read_text(errors="replace"))]
        by_log = {log: [note for note in given if _names(note, trusted[log])] for log in trusted}
        strange = [note for note in given if not any(note in notes for notes in by_log.values())]
        if strange:
            raise click.UsageError(f"a checkpoint of {strange[0].split(chr(10), 1)[0]!r} is of none of these logs")
        found = {log: _verify(log, trusted[log], by_log[log], witnesses) for log in trusted}
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror}") from error
    for log, findings in found.items():
        _show(log, findings)
    if any(findings.count for findings in found.values()):
        sys.exit(1)


def _names(note: str, keys: list[Key]) -> bool:
    """Whether a note is of the log that one of the keys is for; a checkpoint of another worker's log is not."""
    return note.split("\n", 1)[0] in {key.name for key in keys}


def _verify(log: Path, keys: list[Key], given: list[str], witnesses: tuple[WitnessKey, ...]) -> Findings:
    with _progress(log) as advance:
        return check(log, keys, given, advance, witnesses)


def keys_for(log: Path, keys: tuple[Key, ...]) -> list[Key]:
    """Give the keys to verify a log by: those given, or, where none is, the one that lies with the log."""
    if keys:
        return [*keys, *(key.named(f"{key.name}/{log.name}") for key in keys)]
    path = log / FOLDER / PUBLIC_KEY
    try:
        key = Key.parse(path.read_text())
    except (FileNotFoundError, InvalidNoteError, UnicodeDecodeError):
        raise click.UsageError(f"{path} is no public key: give it with --key") from None
    click.echo(
        f"{path}: the key that lies with the log shows only that the log agrees with itself; give --key from elsewhere",
        err=True,
    )
    return [key]


def _show(log: Path, findings: Findings) -> None:
    for problem in findings.problems:
        click.secho(f"{log}: {problem}", fg="red")
    if findings.count > len(findings.problems):
        click.echo(f"{log}: and {findings.count - len(findings.problems)} more")
    for notice in findings.notices:
        click.echo(f"{log}: {notice}")
    if findings.first is not None:
        click.secho(f"{log}: NOT as it was signed; the first: {findings.first}", fg="red")
        return
    click.secho(
        f"{log}: {findings.records} records, each as it was written; {findings.size} of them under"
        f" {findings.signed} checkpoints of {findings.signer}",
        fg="green",
    )


@contextmanager
def _progress(log: Path) -> Iterator[Advance | None]:
    total = sum(file.path.stat().st_size for file in segments(log))
    console = Console(stderr=True)
    if not console.is_terminal or total < PROGRESS_BYTES:
        yield None
        return
    with Progress("verifying", BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as shown:
        task = shown.add_task("verifying", total=total)
        yield lambda size: shown.advance(task, size)


@click.command()
@click.argument("sequence", type=click.IntRange(min=1))
@directory_option
@_key
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write instead of the output.")
def prove(sequence: int, directory: Path, keys: tuple[Key, ...], output: Path | None) -> None:
    """Write a proof that record SEQUENCE is in the log: a C2SP tlog-proof that brings the record along."""
    try:
        proof = make_proof(directory, sequence, keys_for(directory, keys))
        if output is None:
            click.echo(proof, nl=False)
        else:
            output.write_text(proof)
    except ProofError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


@click.command("verify-proof")
@click.argument("proof", type=click.File())
@click.option("--key", "keys", type=PublicKey(), multiple=True, required=True, help="The log's public key.")
@click.option("--record", type=click.File("rb"), help="The record, for a proof that does not bring it.")
def verify_proof(proof: TextIO, keys: tuple[Key, ...], record: BinaryIO | None) -> None:
    """Check PROOF by the log's public key alone, and print the record that it proves."""
    try:
        shown = check_proof(proof.read(), keys, None if record is None else record.read().removesuffix(b"\n"))
    except ProofError as error:
        raise click.ClickException(f"nothing is proven: {error}") from None
    except UnicodeDecodeError:
        raise click.ClickException("nothing is proven: it is no text") from None
    _tell(shown)


def _tell(shown: Proven) -> None:
    click.echo(shown.record)
    told = f"record {shown.sequence} of {shown.checkpoint.origin}, under {shown.checkpoint}"
    click.secho(told, fg="green", err=True)
