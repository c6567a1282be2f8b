"""A question and its answer between a command and the gate that counts in its memory: two files beside the state.

The command puts a question there, and the gate an answer that names it. Each is put in place whole. Of two commands at
once, one goes without an answer.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

QUESTION, ANSWER = "limits.question", "limits.answer"

MOST_BYTES = 1_048_576
"""Of a question or an answer: thousands of routes."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a partner has used."""

    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    """By route and name of the limit: those that count by the partner alone."""
    in_flight: dict[str, int] = field(default_factory=dict)
    """Requests by route."""


class Questions:
    """Notices questions: one look at a file's status each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = _stamp(folder / QUESTION)
        """What lies there from before is nobody's any more."""

    def next(self) -> tuple[str, str] | None:
        """Give the name of a question and the partner that it is about; None where there is no new one."""
        stamp = _stamp(self._folder / QUESTION)
        if stamp is None or stamp == self._seen:
            return None
        self._seen = stamp
        read = _read(self._folder / QUESTION)
        match read:
            case {"name": str(name), "partner": str(partner)}:
                return name, partner
        return None

    def answer(self, name: str, used: Used) -> None:
        """Answer one. Raises OSError."""
        _write(self._folder / ANSWER, {"name": name, "limits": used.limits, "in_flight": used.in_flight})


class Question:
    """A question on its way."""

    def __init__(self, folder: Path, partner: str) -> None:
        """Put it. Raises OSError."""
        self._folder = folder
        self._name = os.urandom(16).hex()
        _write(folder / QUESTION, {"name": self._name, "partner": partner})

    def answer(self) -> Used | None:
        """Give the answer; None where there is none yet."""
        read = _read(self._folder / ANSWER)
        if isinstance(read, dict) and read.get("name") == self._name:
            return Used(read["limits"], read["in_flight"])
        return None

    def close(self) -> None:
        """Take both away."""
        for name in (QUESTION, ANSWER):
            with suppress(OSError):
                (self._folder / name).unlink()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> object:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return orjson.loads(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return None


def _write(path: Path, what: object) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:  # so that the gate can read what root has written
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(orjson.dumps(what))
    fresh.replace(path)
