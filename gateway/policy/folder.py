"""The files of a policy: one, or those of a folder, and the digest that names their text."""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.policy.nodes import Node
from gateway.policy.problem import Problem
from gateway.policy.source import parse

MAX_POLICY_BYTES = 16_777_216
"""Bytes of one policy file: room for 400,000 networks."""

_ENDINGS = (".yaml", ".yml")
_TESTS = ("_test", ".test")


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a policy as it was read."""

    file: Path
    data: bytes
    top: Node | None
    """None where the text could not be read; then there are problems."""


def policy_files(path: Path) -> list[Path]:
    """Files that make up the policy at `path`, by name: itself, or the *.yaml and *.yml files in the folder.

    Hidden files are left out, and those named *_test.yaml or *.test.yaml: they hold tests of the policy.
    Raises OSError.
    """
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.iterdir()
        if file.suffix in _ENDINGS and not file.name.startswith(".") and not file.stem.endswith(_TESTS)
    )


def read_policy(path: Path) -> tuple[list[Source], list[Problem]]:
    """Read every file of the policy at `path`, with the problems of their text."""
    try:
        files = policy_files(path)
    except OSError as error:
        return [], [Problem(path, 1, 1, "", *_explained(error))]
    if not files:
        return [], [Problem(path, 1, 1, "", "no policy in this folder", "it holds no *.yaml or *.yml file")]
    sources: list[Source] = []
    problems: list[Problem] = []
    for file in files:
        try:
            data = read_bounded(file, MAX_POLICY_BYTES)
        except OSError as error:
            problems.append(Problem(file, 1, 1, "", *_explained(error)))
            sources.append(Source(file, b"", None))
            continue
        top, found = parse(file, data)
        problems += found
        sources.append(Source(file, data, top))
    return sources, problems


def digest(sources: Iterable[Source]) -> str:
    """Name the text of a policy: SHA-256 of what `sha256sum FILE…` prints for its files, sorted by name.

    `cd policies && LC_ALL=C sha256sum *.yaml | sha256sum` gives the same.
    """
    lines = sorted((source.file.name, hashlib.sha256(source.data).hexdigest()) for source in sources)
    return hashlib.sha256("".join(f"{data}  {name}\n" for name, data in lines).encode()).hexdigest()


def read_bounded(file: Path, most: int, refused_mode: int = 0) -> bytes:
    """Read a regular file of at most `most` bytes whose mode has none of the bits of `refused_mode`.

    Raises OSError, its text fit for a message: NotRegularError, TooLargeError or ModeError where that is why.
    """
    # O_NONBLOCK: a named pipe must not hold up a reload until somebody writes to it.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError
        if status.st_mode & refused_mode:
            raise ModeError(stat.S_IMODE(status.st_mode))
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            data = opened.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise TooLargeError(most)
    return data


class NotRegularError(OSError):
    """A folder, a pipe or a device stands where a file should."""


class TooLargeError(OSError):
    """The file is larger than the limit that is its argument, in bytes."""


class ModeError(OSError):
    """Others than its owner may read or write the file; the argument is its mode."""


def explained(error: OSError) -> tuple[str, str]:
    """Give message and hint of an error that `read_bounded` raised, to follow the name of the file."""
    match error:
        case FileNotFoundError():
            return "does not exist", ""
        case PermissionError():
            return "cannot be read", "give the user that runs the gate the right to read it"
        case NotRegularError():
            return "is not a file", ""
        case TooLargeError(args=(int(most),)):
            return f"is larger than {most:,} bytes", ""
        case ModeError(args=(int(mode),)):
            return f"may be read or changed by others than its owner (mode {mode:04o})", "run `chmod 600` on it"
    return f"cannot be read: {os.strerror(error.errno) if error.errno else type(error).__name__}", ""


def _explained(error: OSError) -> tuple[str, str]:
    message, hint = explained(error)
    return f"the policy {message}", hint
