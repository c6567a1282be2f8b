"""What a verification found: problems, which mean that the log is not what was written; and what is worth knowing."""

from collections.abc import Callable
from dataclasses import dataclass, field

SHOWN = 20
"""Problems that are kept; more are only counted. The first is what matters."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the log was written."""

    sequence: int | None
    """Of the record it is about; None: it is about no single one."""
    what: str

    def __str__(self) -> str:
        return self.what if self.sequence is None else f"record {self.sequence}: {self.what}"


@dataclass(slots=True)
class Findings:
    """What was found in one log."""

    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    """Of all problems, those that are not kept included."""
    notices: list[str] = field(default_factory=list)
    records: int = 0
    """Records that were read from the log's own files."""
    size: int = 0
    """Entries that the log's checkpoint counts."""
    signed: int = 0
    """Checkpoints whose signature was verified and whose tree was found again."""
    signer: str = ""
    """Who signed the log's checkpoint."""
    root: bytes = b""

    def problem(self, what: str, sequence: int | None = None) -> None:
        """Add a problem."""
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(sequence, what))

    def notice(self, what: str) -> None:
        """Add something worth knowing."""
        self.notices.append(what)

    @property
    def first(self) -> Problem | None:
        """The problem with the lowest sequence; the first of those without where none has one."""
        numbered = [problem for problem in self.problems if problem.sequence is not None]
        return min(numbered, key=lambda one: one.sequence or 0) if numbered else next(iter(self.problems), None)


type Progress = Callable[[int], None]
"""Is told of bytes that were read."""
