"""What the gate's audit log says, read as an auditor's own script would: JSON lines, without the gate's code."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.01
POLLS = 1000
"""Ten seconds are ample: the log is written before the answer, but for outcomes and refused connections."""

REFUSED_CONNECTION, DECISION, OUTCOME, STARTED = "connection", "decision", "outcome", "start"


@dataclass(frozen=True, slots=True)
class Entry:
    """The parts of a record that the demo looks at."""

    kind: str
    reason: str
    request_id: str | None


class Journal:
    """Follows the log in a folder that only one gate writes to."""

    def __init__(self, folder: Path, polls: int = POLLS) -> None:
        self._folder = folder
        self._polls = polls
        self._offsets: dict[Path, int] = {}

    def read(self) -> list[Entry]:
        """Read the whole lines that came since the last time."""
        fresh: list[Entry] = []
        for file in sorted(self._folder.glob("*.jsonl")):
            with file.open("rb") as opened:
                opened.seek(self._offsets.get(file, 0))
                data = opened.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[file] = self._offsets.get(file, 0) + len(whole)
            fresh += (_entry(line) for line in whole.splitlines())
        return fresh

    async def wait(self, enough: Callable[[Sequence[Entry]], bool]) -> list[Entry]:
        """Read until the fresh entries are enough, or until it takes too long; gives them either way."""
        fresh = self.read()
        for _ in range(self._polls):
            if enough(fresh):
                break
            await asyncio.sleep(POLL_SECONDS)
            fresh += self.read()
        return fresh


def _entry(line: bytes) -> Entry:
    record = json.loads(line)
    metadata = record["metadata"]
    return Entry(metadata["event_code"], record.get("status_code", ""), metadata.get("correlation_uid"))
