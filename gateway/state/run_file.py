"""The file that a run leaves for the next one: one line of JSON, the claimed keys, and a SHA-256 over both.

It holds no secrets: keys are digests. Its owner alone can read it, and one process at a time uses its directory.
"""

import fcntl
import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.state.nonces import KEY_BYTES, NEVER, Batch, Space
from gateway.state.restart import Reach, Run

NAME = "replay.state"

_FORMAT = 1
_DIGEST_BYTES = 32
_BUFFER_BYTES = 1 << 20


class DamagedError(ValueError):
    """The file is not one that a gate of this version wrote whole."""


def lock(directory: Path) -> int:
    """Make the directory where it is missing, and reserve it for this process.

    Gives a descriptor that holds the reservation until it is closed. Raises OSError where another process has it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        message = "another gate keeps its nonces here: stop it, or give this one a directory of its own"
        raise OSError(error.errno, message, str(directory)) from None
    return descriptor


def read(directory: Path) -> Run | None:
    """Read what the last run left; None where there is no file.

    Raises DamagedError, or OSError where the file is there and cannot be read.
    """
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read()
    body = content[:-_DIGEST_BYTES]
    if sha256(body).digest() != content[-_DIGEST_BYTES:]:
        raise DamagedError("cut off or damaged")
    head, _, keys = body.partition(b"\n")
    try:
        return _parse(json.loads(head), keys)
    except (KeyError, TypeError, ValueError):
        raise DamagedError("written by another version") from None


def write(directory: Path, run: Run) -> None:
    """Replace the file; what it said before is gone for good. Raises OSError, the old file still in place."""
    fresh = directory / f".{NAME}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES) as file:
            digest = sha256()
            for piece in _pieces(run):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(descriptor)
        fresh.replace(directory / NAME)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pieces(run: Run) -> list[bytes]:
    spaces = [
        {
            "name": name,
            "forgotten": _number(space.forgotten),
            "batches": [[ends, len(space.batches[ends].keys)] for ends in sorted(space.batches)],
        }
        for name, space in run.spaces.items()
    ]
    head = {
        "format": _FORMAT,
        "running": run.running,
        "at": run.at,
        "max_age": run.reach.max_age,
        "max_ahead": run.reach.max_ahead,
        "latest": _number(run.latest),
        "floor": _number(run.floor),
        "lost": _number(run.lost),
        "spaces": spaces,
    }
    pieces = [json.dumps(head, allow_nan=False).encode() + b"\n"]
    for space in run.spaces.values():
        pieces += [b"".join(space.batches[ends].keys) for ends in sorted(space.batches)]
    return pieces


def _parse(head: Any, keys: bytes) -> Run:  # noqa: ANN401 - the checksum vouches for what it is
    if head["format"] != _FORMAT:
        raise ValueError("another format")
    spaces: dict[str, Space] = {}
    at = 0
    for each in head["spaces"]:
        space = spaces[each["name"]] = Space(forgotten=_time(each["forgotten"]))
        for ends, count in each["batches"]:
            to = at + count * KEY_BYTES
            space.add(Batch(ends, [keys[place : place + KEY_BYTES] for place in range(at, to, KEY_BYTES)]))
            at = to
    if at != len(keys):
        raise ValueError("other keys than announced")
    reach = Reach(head["max_age"], head["max_ahead"])
    latest, floor, lost = (_time(head[name]) for name in ("latest", "floor", "lost"))
    return Run(head["running"], head["at"], reach, latest, floor, lost, spaces)


def _number(time: float) -> float | None:
    return None if time == NEVER else time


def _time(number: float | None) -> float:
    return NEVER if number is None else number
