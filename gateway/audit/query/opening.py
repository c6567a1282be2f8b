"""Opening a log for questions: its folders, its index, or where none can be kept, one for the moment."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.audit.folders import log_folders
from gateway.audit.query.database import Database
from gateway.audit.query.index import Index, IndexUnusableError, Progress
from gateway.audit.reader import Query, files_of


def index_place(directory: Path) -> Path:
    """Give the folder that a log's index is kept in where nothing else is said: beside the log's own."""
    whole = directory.absolute()
    return whole.with_name(f"{whole.name}-index")


def size_of(directory: Path, query: Query) -> int:
    """Give the bytes of the files that a query is about. Raises OSError."""
    return sum(file.path.stat().st_size for folder in log_folders(directory) for file in files_of(folder, query))


@contextmanager
def open_log(
    directory: Path, place: Path, query: Query, progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Database]:  # fmt: skip
    """Open the log in `directory` for questions about the query's time; its index is kept in `place`.

    Where the index cannot be written there, it is made in a folder for temporary files, and `tell` is told so.
    Raises OSError where the log cannot be read, IndexUnusableError where there is no place for an index at all.
    """
    folders = {folder: "" if folder == directory else folder.name for folder in log_folders(directory)}
    try:
        source = Index(place, folders).bring_up_to_date(query, progress)
    except IndexUnusableError as error:
        if tell is not None:
            tell(f"the index cannot be kept, and is made anew for each question: {error}")
        with tempfile.TemporaryDirectory(prefix="gateway-audit-") as passing:
            source = Index(Path(passing), folders).bring_up_to_date(query, progress)
            with Database(source) as database:
                yield database
        return
    with Database(source) as database:
        yield database
