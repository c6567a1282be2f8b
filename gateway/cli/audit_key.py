"""`gateway audit key`: the key that signs checkpoints."""

from pathlib import Path

import click

from gateway.audit.tlog.key import make_key, read_key
from gateway.audit.tlog.note import NoteError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("var/state/audit.key"))
@click.option(
    "--new", "origin", metavar="ORIGIN", help="Make the key, for the log of this name: audit.example.com/psp."
)
@click.option("--worker", type=click.IntRange(min=1), help="Under the name of this worker's log.")
def key(file: Path, origin: str | None, worker: int | None) -> None:
    """Print the public key for FILE, by which others verify the log: give it to them by another way than the log.

    FILE holds the private key (mode 0600). `gateway run` makes it in the folder of its state where the policy names
    none.
    """
    try:
        signer = read_key(file) if origin is None else make_key(file, origin)
    except FileExistsError:
        raise click.ClickException(
            f"{file} is there already, and is not replaced: make the new key in another file"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    except NoteError as error:
        raise click.ClickException(f"{file}: {error}") from None
    click.echo((signer if worker is None else signer.named(f"{signer.name}/worker-{worker}")).public)
