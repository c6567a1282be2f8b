"""What is wrong with a policy, where it stands, and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SHOWN_CHARACTERS = 60
"""Characters of a policy's own text repeated in a message: enough to recognise it."""


class Severity(Enum):
    """Whether a policy with this problem may come into force."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place. It never repeats a secret."""

    file: Path
    line: int
    """From 1."""
    column: int
    """In characters, from 1."""
    path: str
    """Where it stands in the policy: `routes[2].token.issuer`; empty for a file as a whole."""
    message: str
    hint: str = ""
    """What was expected, or what to do next."""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """`file:line:column: path: message (hint)`, in one line; a warning says so before its path."""
        parts = [f"{self.file}:{self.line}:{self.column}"]
        if self.severity is Severity.WARNING:
            parts.append("warning")
        if self.path:
            parts.append(self.path)
        parts.append(f"{self.message} ({self.hint})" if self.hint else self.message)
        return ": ".join(parts)


class PolicyInvalid(Exception):  # noqa: N818 - a verdict on the policy, not an error of ours
    """A policy that must not come into force: everything that is wrong with it, in the order of the files.

    `problems` holds the warnings too; `files` are those that were read or named, so that a change can be noticed.
    """

    def __init__(self, problems: Iterable[Problem], files: frozenset[Path] = frozenset()) -> None:
        self.problems = tuple(problems)
        self.files = files
        super().__init__("\n".join(map(str, self.problems)))


def quoted(text: str) -> str:
    """Text of a policy for a message: escaped, cut and in backquotes."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:SHOWN_CHARACTERS])
    return f"`{shown}{'…' if len(text) > SHOWN_CHARACTERS else ''}`"
