"""Noticing that files changed: by looking, since mounts and network file systems send no word of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.core.message import Instant

type Stamp = tuple[int, int, int]


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

    def changed(self) -> bool:
        """Whether the files differ from what was seen before, and no longer move. Tells each change once."""
        found = self.look()
        if found == self._seen:
            self._unsettled = None
            return False
        if found != self._unsettled:
            self._unsettled = found
            return False
        self._seen, self._unsettled = found, None
        return True

    def look(self) -> dict[Path, Stamp | None]:
        """Give how the files are now."""
        return {path: _stamp(path) for path in self._paths}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
