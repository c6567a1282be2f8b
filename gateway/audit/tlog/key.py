"""The file of the key that signs checkpoints: its owner's alone, made once."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from gateway.audit.tlog.note import NoteError, Signer

OTHERS = 0o077
"""Mode bits that open a file to others than its owner."""

MAX_BYTES = 4_096


def read_key(path: Path) -> Signer:
    """Read a key. Raises OSError, and NoteError where the file is no key, or others may read it."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NoteError("it is not a file")
        if status.st_mode & OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise NoteError(f"others than its owner may read or change it (mode {mode:04o}): run `chmod 600` on it")
        data = os.read(fd, MAX_BYTES)
    finally:
        os.close(fd)
    try:
        return Signer.parse(data.decode())
    except UnicodeDecodeError:
        raise NoteError("it is no text") from None


def make_key(path: Path, name: str) -> Signer:
    """Make a key, in a file that was not there (mode 0600). Raises OSError, FileExistsError included, and NoteError.

    It is there whole or not at all, whoever else makes it at the same time.
    """
    signer = Signer.generate(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as opened:
            opened.write(f"{signer.private()}\n".encode())
            opened.flush()
            os.fsync(fd)
        os.link(fresh, path)
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return signer


def key_at(path: Path, name: str) -> Signer:
    """Read the key; make it under this name where there is none. Raises OSError and NoteError."""
    with contextlib.suppress(FileNotFoundError):
        return read_key(path)
    try:
        return make_key(path, name)
    except FileExistsError:  # another worker was faster
        return read_key(path)
