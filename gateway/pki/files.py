"""Writing keys and certificates: whole or not at all, and a key readable by its owner only from its first byte."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write a secret with mode 0600. Raises OSError."""
    _write(path, data, 0o600)


def write_public(path: Path, data: bytes) -> None:
    """Write what everybody may read, with mode 0644 less the umask. Raises OSError."""
    _write(path, data, 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write beside the target and rename: a gate that watches the file never reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # O_EXCL: the mode counts only for a file that this call creates, and a link somebody put there is not followed.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
