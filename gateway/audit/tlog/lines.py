"""The log's files as leaves of the tree: a line each, without its end, by its sequence."""

from collections.abc import Iterator
from pathlib import Path

from gateway.audit.files import LogFile, log_files, open_log_file
from gateway.audit.tlog.merkle import Leaf
from gateway.audit.tlog.tree import MAX_ENTRY, WIDTH

LOST = b"\0"
"""The empty entry, in place of a record that was destroyed before it was published: so the tree tells of it."""

MAX_GAP = 10_000_000
"""Records that may be missing between two files. More is a file that does not belong here."""

CHUNK = 131_072
"""Bytes that are read at once: some 60 records, that stay in the processor's cache until they are hashed."""


class RecordsLostError(Exception):
    """Records that were acknowledged are in no file."""


class Lines:
    """Reads on from where it stands. It is told how far whole lines stand, and takes none beyond."""

    def __init__(self, directory: Path, sequence: int) -> None:
        self.sequence = sequence
        """Of the next line."""
        self._directory = directory
        self._file: LogFile | None = None
        self._offset = 0
        self._lost_until = 0

    def up_to(self, last: int) -> Iterator[list[Leaf]]:
        """Give the lines to sequence `last`, some at a time; LOST for what is not there between two files, or too long.

        Raises RecordsLostError where no file has what is missing or what follows it, and OSError.
        """
        while self.sequence <= last:
            if self.sequence < self._lost_until:
                count = min(self._lost_until, last + 1, self.sequence + WIDTH) - self.sequence
                self.sequence += count
                yield [LOST] * count
            elif self._file is None:
                self._find(last)
            else:
                yield from self._rest(self._file, last)

    def _rest(self, file: LogFile, last: int) -> Iterator[list[Leaf]]:
        """Give the lines of a file to its end, or to `last`.

        It is opened each time: what an open file has read ahead may be cut off, and other records written there.
        """
        # Each line is kept with the end of the one before it, which becomes its byte 0: so nothing is copied.
        begun, dropped = b"\n", 0
        with open_log_file(file.path, buffered=False) as opened:
            opened.seek(self._offset)
            while self.sequence <= last:
                data = opened.read(CHUNK)
                if not data:
                    self._file = None
                    return
                data = begun + data
                view = memoryview(data.replace(b"\n", b"\0"))
                leaves: list[Leaf] = []
                start, find, wanted = 0, data.find, last - self.sequence + 1
                while len(leaves) < wanted and (end := find(b"\n", start + 1)) > 0:
                    leaves.append(view[start:end] if end - start <= MAX_ENTRY + 1 else LOST)
                    start = end
                if leaves:
                    self._offset += start + dropped
                    self.sequence += len(leaves)
                    dropped = 0
                    yield leaves
                begun = data[start:]
                if len(begun) > MAX_ENTRY + 2:  # too long as it is: the rest of it need not be held
                    dropped += len(begun) - MAX_ENTRY - 2
                    begun = begun[: MAX_ENTRY + 2]

    def _find(self, last: int) -> None:
        """Find the file that has the next line; where it is lost, the file behind it."""
        files = log_files(self._directory)
        for file in [file for file in files if file.first <= self.sequence][-1:]:
            with open_log_file(file.path) as opened:
                for _ in range(self.sequence - file.first):
                    opened.readline()
                self._offset = opened.tell()
                if opened.readline()[-1:] == b"\n":
                    self._file = file
                    return
        after = [file.first for file in files if file.first > self.sequence]
        if not after or after[0] > last + 1:
            raise RecordsLostError(f"records {self.sequence} to {last} are in no file")
        if after[0] - self.sequence > MAX_GAP:
            raise RecordsLostError(f"records {self.sequence} to {after[0] - 1} are in no file: too many to go on")
        self._lost_until = after[0]
