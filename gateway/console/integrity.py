"""Whether the log is whole, as far as a look at it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.files import log_files
from gateway.audit.folders import log_folders
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.notes import Key
from gateway.console.archive import Reading, Row
from gateway.console.signed import Signed, signed


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
    signed: Signed | None
    """Its newest checkpoint; None where there is none."""

    @property
    def beyond(self) -> int:
        """Records that no checkpoint counts yet."""
        return self.last - self.signed.size if self.signed is not None else 0

    @property
    def sound(self) -> bool:
        """Whether nothing is missing or doubled, and what was signed is there."""
        signed = self.signed is None or (self.signed.sound and self.beyond >= 0)
        return not self.missing and not self.doubled and signed


@dataclass(frozen=True, slots=True)
class Integrity:
    """What is known of all of them."""

    logs: Sequence[Log]
    unreadable: int
    """Lines that are no records."""
    failures: Sequence[Row]
    """Failures of the log itself."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, doubled or unreadable, and every checkpoint is good."""
        return not self.unreadable and all(log.sound for log in self.logs)


def integrity(
    reading: Reading, directory: Path, keys: Sequence[Key] = (), found: Mapping[Path, Findings] | None = None
) -> Integrity:
    """Look; `found` is what a verification has found, by the logs' folders. Raises OSError and QuestionError."""
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
                since=row["since"], until=row["until"], signed=signed(folder, keys, (found or {}).get(folder)),
            )
        )  # fmt: skip
    failures = reading.ask(
        "SELECT time, kind, detail, duration_ms, denied_meanwhile, worker, sequence FROM records"
        " WHERE kind IN ('control.failed', 'control.recovered') AND control = 'audit' ORDER BY time DESC, sequence DESC"
    )
    return Integrity(logs, reading.database.unreadable, failures)
