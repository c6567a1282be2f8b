"""A new key takes over a log: the old one and the new one sign so, for a checkpoint that both of them sign.

A handover is a signed note (C2SP signed-note) of six lines: what it is, the log's name, the size and root of the tree
that the old key signed last, the old key, the new one. Its first line has spaces, which no name of a log has, so that
it can be taken for no checkpoint. It is kept before anything is signed by the new key alone.
"""

import base64
import os
from pathlib import Path

from gateway.audit.tlog.note import Checkpoint, Signer
from gateway.audit.tlog.process import LOCK_SECONDS, lock
from gateway.audit.tlog.publisher import FOLDER, TlogError, checkpoint_of
from gateway.audit.tlog.tiles import PUBLIC_KEY, Tiles

HANDOVERS = "handovers"
"""The file with the handovers of a log, an empty line behind each."""

TITLE = "gateway key handover"

PATIENCE_SECONDS = 10.0
"""Time that a publisher has to end whose gate was killed."""


def checkpoint_under(directory: Path, new: Signer, old: Signer | None, date: str) -> Checkpoint | None:
    """Read the last checkpoint of the log in a folder; where the old key signed it, have the new one take over first.

    Raises TlogError where neither of them signed it, and OSError.
    """
    try:
        return checkpoint_of(directory, new)
    except TlogError:
        if old is None:
            raise
    held = lock(directory / FOLDER, _Patience())
    try:
        last = checkpoint_of(directory, old)
        if last is not None:
            hand_over(directory / FOLDER, last, old, new, date)
    finally:
        os.close(held)
    return last


class _Patience:
    """Waits for the publisher of a gate that was killed to end, but not for one whose gate runs."""

    def __init__(self) -> None:
        self._times = 0

    def __call__(self) -> None:
        self._times += 1
        if self._times * LOCK_SECONDS >= PATIENCE_SECONDS:
            raise TlogError(f"{FOLDER} is in use: a key is changed while the gate stands")


def hand_over(tlog: Path, last: Checkpoint, old: Signer, new: Signer, date: str) -> None:
    """Have a new key take over from the one that signed the last checkpoint. Raises OSError."""
    root = base64.b64encode(last.root).decode()
    text = "\n".join([TITLE, last.origin, str(last.size), root, old.public, new.public, ""])
    _append(tlog / HANDOVERS, f"{_by_both(text, old, new)}\n".encode())
    tiles = Tiles(tlog)
    tiles.publish(_by_both(last.text, old, new), date)
    (tlog / PUBLIC_KEY).unlink(missing_ok=True)
    tiles.introduce(new.public)


def _by_both(text: str, old: Signer, new: Signer) -> str:
    return old.sign(text) + new.sign(text).rpartition("\n\n")[2]


def _append(path: Path, note: bytes) -> None:
    """Add a note, unless a start that came no further has added it. The file is replaced as a whole."""
    there = path.read_bytes() if path.exists() else b""
    if note in there:
        return
    fresh = path.with_name(f".{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(there + note)
        opened.flush()
        os.fsync(fd)
    fresh.rename(path)
