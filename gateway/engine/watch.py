"""Noticing that files changed: by looking, since mounts and network file systems send no word of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.core.message import Instant

type Stamp = tuple[int, int, int]

AT_ONCE = 1_000
"""Files looked at with each call, unless one of them has changed."""


class Watch:
    """Knows how files were when it was made. A change counts once it has settled for one look."""

    def __init__(
        self, paths: Iterable[Path], read_at: Instant, before: Mapping[Path, Stamp | None] | None = None
    ) -> None:
        """Watch files, and folders for files that come and go.

        What changed while they were read counts as changed: against `before`, how they were then (`look`), or for
        those that it lacks by their time, from `read_at` on.
        """
        self._paths = tuple(paths)
        known, latest = before or {}, int(read_at * 1e9)
        self._seen = {
            path: known[path] if path in known else None if stamp is not None and stamp[0] >= latest else stamp
            for path, stamp in self.look().items()
        }
        self._unsettled: dict[Path, Stamp | None] | None = None
        self._turn = 0

    def changed(self) -> bool:
        """Whether the files differ from what was seen before, and no longer move. Tells each change once.

        Of more files than AT_ONCE, so many are looked at with each call, in turn: a look takes microseconds, and a
        policy of 10,000 partners has as many secrets.
        """
        if self._unsettled is None and not self._turn_differs():
            return False
        found = self.look()
        if found == self._seen:
            self._unsettled = None
            return False
        if found != self._unsettled:
            self._unsettled = found
            return False
        self._seen, self._unsettled = found, None
        return True

    def _turn_differs(self) -> bool:
        turn, self._turn = self._turn, self._turn + AT_ONCE
        if self._turn >= len(self._paths):
            self._turn = 0
        return any(_stamp(path) != self._seen[path] for path in self._paths[turn : turn + AT_ONCE])

    def look(self) -> dict[Path, Stamp | None]:
        """Give how the files are now."""
        return {path: _stamp(path) for path in self._paths}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
