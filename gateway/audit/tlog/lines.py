"""The log's files as entries of the tree: a line each, without its end, by its sequence."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gateway.audit.files import LogFile, log_files, open_log_file
from gateway.audit.tlog.tree import MAX_ENTRY

LOST = b""
"""Entry in place of a record that was destroyed before it was published: so the tree tells that there was one."""

MAX_GAP = 10_000_000
"""Records that may be missing between two files. More is a file that does not belong here."""

_LONGEST = MAX_ENTRY + 1
"""Bytes of a line that is an entry, with its end."""


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

    def up_to(self, last: int) -> Iterator[bytes]:
        """Give the lines to sequence `last`; LOST for what is not there between two files, or too long.

        Raises RecordsLostError where no file has what is missing or what follows it, and OSError.
        """
        while self.sequence <= last:
            if self.sequence < self._lost_until:
                self.sequence += 1
                yield LOST
            elif self._file is None:
                self._find(last)
            else:
                yield from self._rest(self._file, last)

    def _rest(self, file: LogFile, last: int) -> Iterator[bytes]:
        """Give the lines of a file to its end, or to `last`.

        It is opened each time: what an open file has read ahead may be cut off, and other records written there.
        """
        with open_log_file(file.path) as opened:
            opened.seek(self._offset)
            while self.sequence <= last:
                line = opened.readline(_LONGEST)
                self._offset += len(line)
                if line[-1:] == b"\n":
                    line = line[:-1]
                elif len(line) == _LONGEST and (more := _rest_of_line(opened)):
                    self._offset += more
                    line = LOST
                else:
                    self._file = None
                    return
                self.sequence += 1
                yield line

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


def _rest_of_line(opened: BinaryIO) -> int:
    """Read on to the end of a line that is too long; gives the bytes, none where it has no end."""
    read = 0
    while line := opened.readline(_LONGEST):
        read += len(line)
        if line[-1:] == b"\n":
            return read
    return 0
