"""Whether the log is whole, as far as a look at it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.files import log_files
from gateway.audit.folders import log_folders
from gateway.console.archive import Reading, Row


@dataclass(frozen=True, slots=True)
class Log:
    """One log: there is one for each worker."""

    worker: str
    folder: Path
    files: int
    size: int
    """Bytes of its files."""
    records: int
    first: int
    last: int
    missing: int
    """Sequences without a record."""
    doubled: int
    """Records more than there are sequences."""
    since: object
    until: object


@dataclass(frozen=True, slots=True)
class Integrity:
    """What is known of all of them."""

    logs: Sequence[Log]
    unreadable: int
    """Lines that are no records."""
    unfinished: int
    """Requests that were allowed and have no outcome."""
    failures: Sequence[Row]
    """Failures of the log itself."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, doubled or unreadable."""
        return not self.unreadable and not any(log.missing or log.doubled for log in self.logs)


def integrity(reading: Reading, directory: Path) -> Integrity:
    """Look. Raises OSError and QuestionError."""
    sequences = {
        row["worker"]: row
        for row in reading.ask(
            "SELECT worker, count(*) AS records, count(DISTINCT sequence) AS numbers, min(sequence) AS first,"
            " max(sequence) AS last, min(time) AS since, max(time) AS until FROM records GROUP BY worker"
        )
    }
    logs = []
    for folder in log_folders(directory):
        worker = "" if folder == directory else folder.name
        files = log_files(folder)
        row = sequences.get(worker)
        if row is None:
            continue
        records, numbers, first, last = (int(str(row[name])) for name in ("records", "numbers", "first", "last"))
        logs.append(
            Log(
                worker=worker, folder=folder, files=len(files), size=sum(file.path.stat().st_size for file in files),
                records=records, first=first, last=last, missing=last - first + 1 - numbers, doubled=records - numbers,
                since=row["since"], until=row["until"],
            )
        )  # fmt: skip
    unfinished = reading.ask("SELECT count(*) AS n FROM requests WHERE reason = 'allowed, no outcome'")[0]["n"]
    failures = reading.ask(
        "SELECT time, kind, detail, duration_ms, denied_meanwhile, worker, sequence FROM records"
        " WHERE kind IN ('control.failed', 'control.recovered') AND control = 'audit' ORDER BY time DESC, sequence DESC"
    )
    return Integrity(logs, reading.database.unreadable, int(str(unfinished)), failures)
