"""Records as they stand in the log: the index says in which file, the file itself is read."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.audit.files import log_files, open_log_file
from gateway.audit.reader import Entry, entry_of


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and where it stands."""

    worker: str
    file: str
    entry: Entry

    @property
    def pretty(self) -> str:
        """The record as JSON to be read."""
        return orjson.dumps(self.entry.record, option=orjson.OPT_INDENT_2).decode()


def held(directory: Path, places: Sequence[Mapping[str, object]]) -> list[Held]:
    """Give the records of which the index gave `worker`, `file` and `uid`, in the order of time.

    Those that are not there any more are left out. Raises OSError where a file cannot be read.
    """
    wanted: dict[tuple[str, str], set[str]] = {}
    for place in places:
        wanted.setdefault((str(place["worker"]), str(place["file"])), set()).add(str(place["uid"]))
    found = [
        Held(worker, name, entry)
        for (worker, name), uids in wanted.items()
        for file in log_files(directory / worker)
        if file.path.name.startswith(name)
        for entry in _entries(file.path, uids)
    ]
    return sorted(found, key=lambda one: (one.entry.at, one.worker, one.entry.sequence))


def _entries(path: Path, uids: Collection[str]) -> Iterator[Entry]:
    needles = [f'"uid":"{uid}"'.encode() for uid in uids]
    left = len(needles)
    with open_log_file(path) as file:
        for line in file:
            if any(needle in line for needle in needles):  # far quicker than reading each line as JSON
                entry = entry_of(line)
                if entry is not None and entry.text("metadata", "uid") in uids:
                    yield entry
                    left -= 1
                    if not left:
                        return
