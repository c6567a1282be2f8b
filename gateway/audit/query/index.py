"""A columnar copy of the log (Parquet), so that ten million records are asked in seconds. Never the source of truth.

A part holds the records of a range of bytes of one file of the log. Its name says which file, and of which log: the
digest of the file's first line, which holds a random id of its writer. What is missing or does not fit is made anew;
a folder of parts can be removed at any time. The newest records stand in no part yet (`Tail`).
"""

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from gateway.audit.files import LogFile, open_log_file
from gateway.audit.query.columns import PLACE, selection, shape
from gateway.audit.reader import Query, files_of

TAIL_BYTES = 33_554_432
"""Bytes of the newest file that are read anew for each question rather than kept in a part: 32 MiB, some 15,000
records, a fraction of a second."""

_COPY_BYTES = 1_048_576
_NAME = re.compile(
    r"(?P<stem>audit-[\d_-]+)\.(?P<log>[0-9a-f]{16})\.(?P<start>\d+)-(?P<end>\d+)(?P<whole>w?)\.parquet\Z"
)

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "temp_directory": "",
}
"""No network, no variables of this program, nothing on disk but what is asked for."""

type Progress = Callable[[int], None]
"""Called with the bytes of the log that were dealt with."""


class IndexUnusableError(Exception):
    """The index cannot be made where it should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Records that stand in no part yet."""

    file: LogFile
    worker: str
    start: int
    """Byte of the file, uncompressed."""


@dataclass(frozen=True, slots=True)
class Source:
    """What questions are answered from."""

    parts: tuple[Path, ...]
    tails: tuple[Tail, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    start: int
    end: int
    whole: bool
    """It reaches to the end of a file that is not written any more."""


class Index:
    """The index of a log's folders, kept in `place`."""

    def __init__(self, place: Path, folders: dict[Path, str]) -> None:
        """Use `place`, made where it is not there; `folders` are those of the log, each with its worker's name."""
        self._place = place
        self._folders = folders

    def bring_up_to_date(self, query: Query, progress: Progress | None = None) -> Source:
        """Make the parts that are missing for the time that is asked for.

        Raises IndexUnusableError where they cannot be written, and OSError where the log cannot be read.
        """
        parts: list[Path] = []
        tails: list[Tail] = []
        for folder, worker in self._folders.items():
            there = files_of(folder, Query())
            newest = there[-1] if there else None
            self._forget(worker, partial(_is_of, {_stem(file) for file in there}))
            for file in files_of(folder, query):
                found, tail = self._file(file, worker, progress, newest=file == newest)
                parts += found
                tails += [tail] if tail is not None else []
        return Source(tuple(parts), tuple(tails))

    def _file(
        self, file: LogFile, worker: str, progress: Progress | None, *, newest: bool
    ) -> tuple[list[Path], Tail | None]:
        """Give the parts of a file, made where they are missing, and what is in none."""
        log = _identity(file)
        if log is None:
            return [], None
        folder = self._place / worker
        stem = f"{_stem(file)}.{log}"
        self._forget(worker, lambda part: part["stem"] != _stem(file) or part["log"] == log)
        size = file.path.stat().st_size if file.path.suffix == ".jsonl" else None
        parts = _chain(folder, stem, size)
        covered = parts[-1].end if parts else 0
        if newest and size is not None and size - covered < TAIL_BYTES:
            return [part.path for part in parts], Tail(file, worker, covered)
        if not (parts and parts[-1].whole):
            with self._writable(folder):
                made = _make(file, worker, folder, stem, covered, whole=not newest)
            parts += [made] if made is not None else []
        if progress is not None:
            progress(parts[-1].end - covered if parts else 0)
        return [part.path for part in parts], None

    def _forget(self, worker: str, keep: Callable[[re.Match[str]], bool]) -> None:
        """Remove parts: what the log does not keep any more, its index must not keep."""
        with contextlib.suppress(OSError):
            for path in (self._place / worker).iterdir():
                match = _NAME.match(path.name)
                if match and not keep(match):
                    path.unlink()

    @contextlib.contextmanager
    def _writable(self, folder: Path) -> Iterator[None]:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield
        except (OSError, duckdb.IOException) as error:
            raise IndexUnusableError(f"{self._place}: {getattr(error, 'strerror', None) or error}") from error


def records_of(connection: duckdb.DuckDBPyConnection, tail: Tail, table: str) -> None:
    """Read a tail into a table of that name."""
    with tempfile.TemporaryDirectory(prefix="gateway-audit-") as folder:
        path = Path(folder) / "tail.jsonl"
        _extract(tail.file, tail.start, path, whole=False)
        connection.execute(f'CREATE TABLE "{table}" AS {_reading(path, tail.worker, tail.file)}')


def _make(file: LogFile, worker: str, folder: Path, stem: str, start: int, *, whole: bool) -> _Part | None:
    """Make the part from `start` to the file's last whole line; None where there is no such line."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as making:
        lines, made = Path(making) / "lines.jsonl", Path(making) / "part.parquet"
        end = start + _extract(file, start, lines, whole=whole)
        if end == start and not whole:
            return None
        with duckdb.connect(":memory:", config=CONFIG) as connection:
            connection.execute(
                f"COPY ({_reading(lines, worker, file)}) TO {literal(made)} (FORMAT parquet, COMPRESSION zstd)"
            )
        made.chmod(0o600)
        path = folder / f"{stem}.{start}-{end}{'w' if whole else ''}.parquet"
        made.replace(path)
    return _Part(path, start, end, whole)


def _reading(lines: Path, worker: str, file: LogFile) -> str:
    """Give the query that reads lines as the columns; a line that is no record becomes a row without a time."""
    place = dict(zip(PLACE, (worker, f"{_stem(file)}.jsonl"), strict=True))
    placed = ", ".join(f"{literal(value)}::VARCHAR AS {name}" for name, value in place.items())
    return (
        f"SELECT {selection()}, {placed} FROM read_json([{literal(lines)}], format='newline_delimited',"
        f" columns={shape()}, ignore_errors=true)"
    )


def _extract(file: LogFile, start: int, target: Path, *, whole: bool) -> int:
    """Copy the lines from byte `start` on, a torn last one only where `whole`; gives the number of bytes."""
    written = 0
    with open_log_file(file.path) as source, target.open("xb") as copy:
        source.seek(start)
        while chunk := source.read(_COPY_BYTES):
            copy.write(chunk)
            written += len(chunk)
        if not whole:
            copy.flush()
            written = _whole_lines(target, written)
            copy.truncate(written)
    return written


def _whole_lines(path: Path, size: int) -> int:
    """Give the bytes up to the end of the last whole line."""
    with path.open("rb") as file:
        while size > 0:
            start = max(0, size - _COPY_BYTES)
            file.seek(start)
            found = file.read(size - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
    return 0


def _identity(file: LogFile) -> str | None:
    """Tell a log from another with files of the same names, by its first line; None where there is no whole line.

    The columns count too: an index with others is of another version of the gate.
    """
    with open_log_file(file.path) as opened:
        line = opened.readline()
    if not line.endswith(b"\n"):
        return None
    return hashlib.sha256(f"{shape()}{selection()}".encode() + line).hexdigest()[:16]


def _chain(folder: Path, stem: str, size: int | None) -> list[_Part]:
    """Give the parts that follow on each other from the file's beginning; none where they reach beyond its end."""
    found: dict[int, _Part] = {}  # by its start, the longest
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.match(path.name)
            if match and f"{match['stem']}.{match['log']}" == stem:
                part = _Part(path, int(match["start"]), int(match["end"]), bool(match["whole"]))
                if part.start not in found or found[part.start].end < part.end:
                    found[part.start] = part
    chain: list[_Part] = []
    place = 0
    while place in found and not (chain and chain[-1].whole):
        chain.append(found[place])
        place = chain[-1].end
    return [] if size is not None and place > size else chain


def _is_of(stems: set[str], part: re.Match[str]) -> bool:
    return part["stem"] in stems


def _stem(file: LogFile) -> str:
    return file.path.name.partition(".")[0]


def literal(value: object) -> str:
    """Give a value as a literal of SQL."""
    text = str(value).replace("'", "''")
    return f"'{text}'"
