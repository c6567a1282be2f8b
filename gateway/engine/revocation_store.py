"""Fetched revocation lists kept on disk, so that a restart does not depend on the servers they came from.

One file for each URL: the URL, a line's end, and the list as it came. A list is signed by its CA, so whoever changed a
file could at most take the gate back to an older list, until the next one is fetched.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from gateway.pki.crl import MAX_BYTES, RevocationList, read_lists

_SUFFIX = ".list"


class KeptLists:
    """The folder. Its methods do I/O: call them in a thread while the gate serves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> dict[str, RevocationList]:
        """Give the lists by their URL; what cannot be read is passed over, since it can be fetched again."""
        found: dict[str, RevocationList] = {}
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with suppress(OSError, ValueError):
                if file.stat().st_size > MAX_BYTES + 4_096:
                    continue
                url, _, data = file.read_bytes().partition(b"\n")
                (found[url.decode("ascii")],) = read_lists(data)
        return found

    def put(self, url: str, data: bytes) -> None:
        """Keep a list, in place of the one before. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file(url).with_suffix(f".{os.getpid()}")
        draft.write_bytes(url.encode("ascii") + b"\n" + data)
        draft.replace(self._file(url))

    def drop(self, url: str) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            self._file(url).unlink(missing_ok=True)

    def _file(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}{_SUFFIX}"
