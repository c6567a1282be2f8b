"""A log that is published: records that follow each other as a gate writes them, and its transparency log."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gateway.audit.events import Event
from gateway.audit.files import file_name, log_files
from gateway.audit.log import AuditLog
from gateway.audit.tlog.note import Signer
from gateway.audit.tlog.publisher import FOLDER, Publisher
from gateway.audit.verify.check import check
from gateway.audit.verify.findings import Findings
from gateway.audit.verify.notes import Key
from gateway.core.message import Instant
from tests.unit.audit.examples import NOW, changed, decided, finished

ORIGIN = "audit.example.com/psp"


@cache
def signer() -> Signer:
    return Signer.generate(ORIGIN)


@cache
def stranger() -> Signer:
    """Another key under the log's name."""
    return Signer.generate(ORIGIN)


def events(count: int, first: int = 1) -> list[Event]:
    """Give so many events: allows with their outcomes, times going on."""
    made: list[Event] = []
    for number in range(first, first + count):
        event = decided() if number % 2 else finished()
        made.append(changed(event, at=Instant(NOW + number / 1000), request_id=f"r-{(number + 1) // 2}"))
    return made


class Published:
    """A log in a folder, and its publisher. The numbers of its records go on from where it stands."""

    def __init__(self, directory: Path, *, max_bytes: int = 1 << 28, key: Signer | None = None) -> None:
        self.directory = directory
        self.signer = key or signer()
        self.publisher = Publisher(directory, self.signer)
        checkpoint = self.publisher.resume() and self.publisher.checkpoint
        self.log = AuditLog(directory, max_bytes=max_bytes, published=checkpoint.size if checkpoint else 0)

    def add(self, count: int) -> None:
        made = events(count, self.log.sequence + 1)
        for start in range(0, count, 10):
            self.log.append_all(made[start : start + 10])

    def publish(self) -> str | None:
        self.log.sync()
        return self.publisher.publish(self.log.synced, NOW)

    def grow(self, *counts: int) -> None:
        """Add records, and publish after each lot."""
        for count in counts:
            self.add(count)
            self.publish()

    def close(self) -> None:
        self.log.close()

    @property
    def tlog(self) -> Path:
        return self.directory / FOLDER

    @property
    def note(self) -> str:
        return (self.tlog / "checkpoint").read_text()

    def lines(self) -> list[bytes]:
        """Every record, as it stands in the files."""
        return b"".join(file.path.read_bytes() for file in log_files(self.directory)).splitlines()


def published(directory: Path, *counts: int, max_bytes: int = 1 << 28) -> Published:
    """Make a log that was published after each of so many records, and closed."""
    made = Published(directory, max_bytes=max_bytes)
    made.grow(*counts)
    made.close()
    return made


def many(directory: Path, count: int) -> Published:
    """Make a published log of so many records that are as small as can be: for trees of several levels."""
    line = b'{"time":1,"metadata":{"event_code":"none","sequence":%d}}\n'
    data = b"".join(line % number for number in range(1, count + 1))
    (directory / file_name("2026-11-22", 1)).write_bytes(data)
    log = Published(directory)
    log.publish()
    log.close()
    return log


def verified(directory: Path, given: Sequence[str] = (), key: Signer | None = None) -> Findings:
    return check(directory, [Key.parse((key or signer()).public)], given)


def whole(directory: Path, given: Sequence[str] = ()) -> Findings:
    """Verify a log that must be whole."""
    found = verified(directory, given)
    assert [str(problem) for problem in found.problems] == []
    return found
