"""Answers to SQL over the log: two views, no way to a file beside the log's own, and no way to write.

1. the parts of the index are opened, and the newest records read into memory
2. the views `records` and `requests` are laid over both
3. DuckDB is closed up: no file but the index's parts, no extensions, no setting can be changed
4. only then is a question taken; it must be one SELECT that may stand within another (`_checked`)
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import duckdb

from gateway.audit.query.columns import COLUMNS, PLACE
from gateway.audit.query.index import CONFIG, Source, literal, records_of
from gateway.audit.reader import UNFINISHED

LOOK_EVERY = 0.1
"""Seconds between two looks at how far a question is."""

_ROWS = 1000
"""Rows that are taken from DuckDB at once."""

_REQUESTS = f"""
CREATE VIEW requests AS
SELECT * FROM records WHERE kind IN ('outcome', 'connection') OR (kind = 'decision' AND verdict <> 'allowed')
UNION ALL
SELECT * REPLACE ({literal(UNFINISHED)} AS reason, NULL::BOOLEAN AS success) FROM records AS decided
WHERE kind = 'decision' AND verdict = 'allowed' AND NOT EXISTS (
    SELECT 1 FROM records AS ended WHERE ended.kind = 'outcome' AND ended.request_id = decided.request_id
)
"""
"""Each request and refused connection once: as it ended."""

type Value = str | int | float | bool | object
type Parameters = Mapping[str, object]


class QuestionError(Exception):
    """A question that cannot be answered as it is put; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and the names of their columns."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Value, ...]]


class Database:
    """The log as a database, for questions one after the other."""

    def __init__(self, source: Source) -> None:
        """Open what `Index.bring_up_to_date` gave. Raises OSError where a file cannot be read."""
        self._connection = duckdb.connect(":memory:", config=CONFIG)
        try:
            self._open(source)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give free what is held."""
        self._connection.close()

    @property
    def unreadable(self) -> int:
        """Lines that are no records."""
        found = self._connection.execute("SELECT count(*) FROM lines WHERE time IS NULL").fetchone()
        assert found is not None
        return int(found[0])

    def ask(
        self, sql: str, parameters: Parameters | None = None, progress: Callable[[float], None] | None = None
    ) -> Answer:
        """Answer one SELECT. `progress` is called now and then with how much of it is done, in percent.

        Raises QuestionError where it is none, or cannot be answered. A KeyboardInterrupt ends the question.
        """
        statement = self._checked(sql)
        failed: list[Exception] = []

        def run() -> None:
            try:
                self._connection.execute(statement, dict(parameters or {}))
            except Exception as error:  # noqa: BLE001 - raised again below, in the thread that asked
                failed.append(error)

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(LOOK_EVERY)
                if progress is not None:
                    progress(self._connection.query_progress())
        except BaseException:
            self._connection.interrupt()
            worker.join()
            raise
        if failed:
            raise QuestionError(_words(failed[0])) from failed[0]
        columns = tuple(column[0] for column in self._connection.description or ())
        return Answer(columns, self._rows())

    def _checked(self, sql: str) -> duckdb.Statement:
        """Give the question as a statement that only reads. Raises QuestionError."""
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QuestionError("only one SELECT can be asked; see docs/query.md")
            # A SELECT of DuckDB may begin with WITH x AS (COPY … TO …), which writes a file: nothing that is not at
            # the top level may. So it is bound, but not run, within another one.
            names = statements[0].named_parameters
            self._connection.execute(f"EXPLAIN SELECT * FROM (\n{sql}\n)", dict.fromkeys(names))
        except duckdb.Error as error:
            raise QuestionError(_words(error)) from error
        return statements[0]

    def _rows(self) -> Iterator[tuple[Value, ...]]:
        while rows := self._connection.fetchmany(_ROWS):
            yield from rows

    def _open(self, source: Source) -> None:
        run = self._connection.execute
        parts = [str(path.absolute()) for path in source.parts]
        names = [f"tail{number}" for number in range(len(source.tails))]
        for name, tail in zip(names, source.tails, strict=True):
            records_of(self._connection, tail, name)
        held = [f'SELECT * FROM "{name}"' for name in names]
        if parts:
            held.append(f"SELECT * FROM read_parquet({_list(parts)})")
        run(f"CREATE VIEW lines AS {' UNION ALL BY NAME '.join(held) or _empty()}")
        run("CREATE VIEW records AS SELECT * FROM lines WHERE time IS NOT NULL")
        run(_REQUESTS)
        run(f"SET allowed_paths = {_list(parts)}")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")


def _empty() -> str:
    """Give the view of a log without records."""
    types = {column.name: column.type for column in COLUMNS} | dict.fromkeys(PLACE, "VARCHAR")
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items()) + " WHERE false"


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(literal(text) for text in texts) + "]::VARCHAR[]"


def _words(error: Exception) -> str:
    """Say what DuckDB says, without its name for the kind of the error."""
    return str(error).split("\n\n")[0].strip()
