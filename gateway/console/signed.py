"""What the log's signed checkpoint says, and where it is asked for, whether every record is as it was signed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.verify.check import check
from gateway.audit.verify.files import FOLDER
from gateway.audit.verify.findings import Findings, Progress
from gateway.audit.verify.handovers import known
from gateway.audit.verify.notes import InvalidNoteError, Key, read_checkpoint
from gateway.core.message import Instant

PUBLIC_KEY = "log.vkey"
"""The key that lies with the log."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The newest checkpoint of one log."""

    problem: str
    """Why it cannot be trusted; empty where its signature is good."""
    trusted: bool
    """Whether the key came from elsewhere than the log."""
    origin: str = ""
    key: str = ""
    """Name and number of the key."""
    size: int = 0
    """Records that it counts."""
    root: str = ""
    at: Instant | None = None
    """When it was written, by its file."""
    findings: Findings | None = None
    """What a verification of the whole log found, where one was asked for."""

    @property
    def sound(self) -> bool:
        """Whether nothing of it is wrong, as far as was looked."""
        return not self.problem and not (self.findings is not None and self.findings.count)


def signed(folder: Path, keys: Sequence[Key], findings: Findings | None = None) -> Signed | None:
    """Read the checkpoint of the log in a folder; None where the log has none. `findings` are those of a verification.

    `keys` are those of the folder above for its workers too; without any, the key that lies with the log is taken.
    Raises OSError.
    """
    path = folder / FOLDER / "checkpoint"
    try:
        text, at = path.read_bytes().decode("utf-8", "replace"), Instant(path.stat().st_mtime)
    except FileNotFoundError:
        return None
    try:
        read = read_checkpoint(text, known(folder / FOLDER, _keys_of(folder, keys)).keys)
    except InvalidNoteError as error:
        return Signed(f"{path.name}: {error}", bool(keys), at=at)
    return Signed(
        "",
        bool(keys),
        read.origin,
        str(read.key),
        read.size,
        base64.b64encode(read.root).decode(),
        at,
        findings,
    )


def verified(folder: Path, keys: Sequence[Key], progress: Progress | None = None) -> Findings | None:
    """Hold every record of the log in a folder against what was signed; None where there is nothing to hold it against.

    Raises OSError.
    """
    if not (folder / FOLDER / "checkpoint").exists():
        return None
    try:
        return check(folder, _keys_of(folder, keys), progress=progress)
    except InvalidNoteError:
        return None


def _keys_of(folder: Path, keys: Sequence[Key]) -> list[Key]:
    """Give the keys of a log, under the names of its workers too; the one that lies with it where none is given."""
    return [*keys, *(key.named(f"{key.name}/{folder.name}") for key in keys)] or [_lying(folder)]


def _lying(folder: Path) -> Key:
    try:
        return Key.parse((folder / FOLDER / PUBLIC_KEY).read_text("utf-8"))
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise InvalidNoteError("no public key lies with the log: give it with --key") from error
