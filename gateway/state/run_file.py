"""The file that a run leaves for the next one: one line of JSON, the claims, and a SHA-256 over both.

It holds one secret, with which the claims' fingerprints are made. It gives away no nonce; who has it, and may sign,
could look for nonces that are taken for one another, and have requests of their own denied. Its owner alone can read
the file, and one process at a time uses its directory.
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.state.nonces import SECRET_BYTES, Held
from gateway.state.restart import Reach, Run
from gateway.state.space import NEVER, RECORD_BYTES, Space

NAME = "replay.state"

_FORMAT = [2, sys.byteorder]
"""Version, and how the ends of records are written."""

_DIGEST_BYTES = 32
_BUFFER_BYTES = 1 << 20


class DamagedError(ValueError):
    """The file is not one that a gate of this version wrote whole, on a machine like this one."""


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
    head, _, records = body.partition(b"\n")
    try:
        return _parse(json.loads(head), records)
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


def _pieces(run: Run) -> Iterator[bytes]:
    head = {
        "format": _FORMAT,
        "running": run.running,
        "at": run.at,
        "max_age": run.reach.max_age,
        "max_ahead": run.reach.max_ahead,
        "latest": _number(run.latest),
        "floor": _number(run.floor),
        "lost": _number(run.lost),
        "held": None if run.held is None else _head_of(run.held),
    }
    yield json.dumps(head, allow_nan=False).encode() + b"\n"
    if run.held is not None:
        for space in run.held.spaces.values():
            yield from space.buckets


def _head_of(held: Held) -> dict[str, object]:
    spaces = [
        {
            "name": name,
            "forgotten": _number(space.forgotten),
            "prolonged": space.prolonged,
            "buckets": [len(bucket) // RECORD_BYTES for bucket in space.buckets],
        }
        for name, space in held.spaces.items()
    ]
    return {"secret": held.secret.hex(), "spaces": spaces}


def _parse(head: Any, records: bytes) -> Run:  # noqa: ANN401 - the checksum vouches for what it is
    if head["format"] != _FORMAT:
        raise ValueError("another format")
    held = None if head["held"] is None else _held(head["held"], records)
    if held is None and records:
        raise ValueError("claims of a run that lasts")
    reach = Reach(head["max_age"], head["max_ahead"])
    latest, floor, lost = (_time(head[name]) for name in ("latest", "floor", "lost"))
    return Run(head["running"], head["at"], reach, latest, floor, lost, held)


def _held(head: Any, records: bytes) -> Held:  # noqa: ANN401 - as above
    spaces: dict[str, Space] = {}
    at = 0
    for each in head["spaces"]:
        buckets = []
        for count in each["buckets"]:
            to = at + count * RECORD_BYTES
            buckets.append(records[at:to])
            at = to
        spaces[each["name"]] = Space(buckets, _time(each["forgotten"]), each["prolonged"])
    secret = bytes.fromhex(head["secret"])
    if at != len(records) or len(secret) != SECRET_BYTES:
        raise ValueError("other claims than announced")
    return Held(secret, spaces)


def _number(time: float) -> float | None:
    return None if time == NEVER else time


def _time(number: float | None) -> float:
    return NEVER if number is None else number
