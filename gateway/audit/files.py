"""Names of the log's files: the UTC date and the first sequence, so that their order needs no look inside."""

import gzip
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from gateway.audit.ocsf import milliseconds
from gateway.core.message import Instant

_NAME = re.compile(r"audit-(\d{4}-\d{2}-\d{2})_(\d{12,})\.jsonl(?:\.gz)?\Z", re.ASCII)

COMPRESSED = ".gz"
"""Ending of a file that was sealed: any tool reads it."""

_BUFFER = 262_144
"""Bytes that are read ahead: records have some 2,000."""

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log."""

    path: Path
    date: str
    """Date (UTC) of its first record; no record in it is of a later one."""
    first: int
    """Sequence of its first record, or of the one that would be."""


def file_name(date: str, first: int) -> str:
    """Give the name of the file that begins on `date` with sequence `first`."""
    # No separator that a card number may have: the name stands in records, and is not to be masked there.
    return f"audit-{date}_{first:012}.jsonl"


def log_files(directory: Path) -> list[LogFile]:
    """Give the log's files in their order. Raises OSError where the directory cannot be read.

    Where a crash left a file beside its compressed self, it is the file that counts.
    """
    found: dict[tuple[int, str], LogFile] = {}
    for path in sorted(directory.iterdir(), reverse=True):  # the compressed one first
        match = _NAME.match(path.name)
        if match:
            found[int(match[2]), match[1]] = LogFile(path, match[1], int(match[2]))
    return [found[place] for place in sorted(found)]


def open_log_file(path: Path, *, buffered: bool = True) -> BinaryIO:
    """Open a file of the log for reading, be it compressed or not; `buffered` for lines. Raises OSError."""
    if path.suffix == COMPRESSED:
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb", buffering=_BUFFER if buffered else 0)


def date_of(at: Instant) -> str:
    """Give the UTC date of an instant, as in ISO 8601."""
    return _date(milliseconds(at) // 86_400_000)


def end_of_date(at: Instant) -> Instant:
    """Give the end of the date of an instant; what would be rounded up to the next one is not before it."""
    return Instant((milliseconds(at) // 86_400_000 + 1) * 86_400 - 0.001)


@lru_cache(maxsize=8)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()
