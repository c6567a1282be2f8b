"""The logs of several workers, each in a folder of its own below one that is given: found, and read as one."""

import heapq
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.audit.files import log_files
from gateway.audit.reader import Damage, Entry, Query, read
from gateway.core.message import Instant

_WORKER = re.compile(r"worker-([1-9]\d*)\Z", re.ASCII)

type Item = tuple[Path, Entry | Damage]
"""What was read, and the folder whose log it is of."""


def log_folders(directory: Path) -> list[Path]:
    """Give the folders that hold a log: those of workers by their numbers, after the folder itself.

    The folder itself counts where it has files of a log, as after a change from one worker to several, or where there
    are no workers. Raises OSError.
    """
    named = [(match, path) for path in directory.iterdir() if (match := _WORKER.match(path.name)) and path.is_dir()]
    workers = [path for _, path in sorted((int(match[1]), path) for match, path in named)]
    return workers if workers and not log_files(directory) else [directory, *workers]


def read_folders(
    folders: list[Path], query: Query | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Item]:
    """Give what `read` gives of each folder, merged by the time of the records; each log keeps its own order.

    Raises OSError.
    """
    streams = [_timed(folder, read(folder, query, progress)) for folder in folders]
    for _, folder, item in heapq.merge(*streams, key=lambda timed: timed[0]):
        yield folder, item


def _timed(folder: Path, items: Iterator[Entry | Damage]) -> Iterator[tuple[Instant, Path, Entry | Damage]]:
    """Put to each item the time it is sorted by: damage has that of the record before it."""
    at = Instant(0.0)
    for item in items:
        if isinstance(item, Entry):
            at = item.at
        yield at, folder, item
