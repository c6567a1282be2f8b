"""Fetched revocation lists and responders' answers kept on disk, so that a restart does not depend on their servers.

One file for each URL: the URL, a line's end, and the list as it came. One for each certificate: the nonce of the
question, a line's end, and the answer as it came. Both are signed, so whoever changed a file could at most take the
gate back to an older list or answer, until the next one is fetched.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from gateway.core.message import Instant
from gateway.pki.crl import MAX_BYTES, RevocationList, read_lists
from gateway.pki.ocsp import MAX_BYTES as MAX_ANSWER

_SUFFIX = ".list"
_ANSWER_SUFFIX = ".answer"

FORGOTTEN = 30 * 86_400.0
"""Seconds after which an answer is not kept any more that was not renewed: no connection needed it."""


class KeptLists:
    """The lists in a folder. Its methods do I/O: call them in a thread while the gate serves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers = KeptAnswers(folder)
        """What is kept beside them."""

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
        _write(self._file(url), url.encode("ascii") + b"\n" + data)

    def drop(self, url: str) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            self._file(url).unlink(missing_ok=True)

    def _file(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}{_SUFFIX}"


class KeptAnswers:
    """The answers in a folder, by the certificates' fingerprints. Its methods do I/O: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, fingerprint: bytes) -> tuple[bytes, bytes] | None:
        """Give the nonce of a question and the answer to it, neither of them verified; None where none is kept."""
        with suppress(OSError, ValueError):
            file = self._file(fingerprint)
            if file.stat().st_size <= MAX_ANSWER + 4_096:
                nonce, _, answer = file.read_bytes().partition(b"\n")
                return bytes.fromhex(nonce.decode("ascii")), answer
        return None

    def put(self, fingerprint: bytes, nonce: bytes, answer: bytes) -> None:
        """Keep an answer, in place of the one before. Raises OSError."""
        _write(self._file(fingerprint), nonce.hex().encode("ascii") + b"\n" + answer)

    def drop(self, fingerprint: bytes) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            self._file(fingerprint).unlink(missing_ok=True)

    def prune(self, now: Instant | None) -> None:
        """Keep those no longer that were not renewed for long; None: none at all."""
        for file in self._folder.glob(f"*{_ANSWER_SUFFIX}"):
            with suppress(OSError):
                if now is None or file.stat().st_mtime < now - FORGOTTEN:
                    file.unlink()

    def _file(self, fingerprint: bytes) -> Path:
        return self._folder / f"{fingerprint.hex()}{_ANSWER_SUFFIX}"


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(file)
