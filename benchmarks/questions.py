"""How long a question takes over ten million records: those that the gate wrote, again and again at other times."""

import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks.errors import BenchError
from gateway.audit.query.database import Database
from gateway.audit.query.index import Index, Source
from gateway.audit.query.questions import BY_NAME, compiled
from gateway.audit.reader import Query

RECORDS = 10_000_000

ASKED = "hours"
"""The question: requests of each hour and partner."""


def over(log: Path, place: Path, rounds: int, records: int = RECORDS) -> list[float]:
    """Give the seconds that the question took in each round, over that many records at least.

    The index of the log is made in `place`, and multiplied there: the log itself is not. Raises BenchError.
    """
    made = Index(place, {log: ""}).bring_up_to_date(Query())
    if not made.parts:
        raise BenchError("the log of the gate is too short to be indexed")
    many = place / "many.parquet"
    multiply(made.parts, many, records)
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        with Database(Source((many,), ())) as database:
            rows = list(database.ask(*compiled(BY_NAME[ASKED], Query())).rows)
        taken.append(time.monotonic() - began)
        if not rows:
            raise BenchError("the question has no answer")
    return taken


def multiply(parts: Sequence[Path], target: Path, records: int) -> None:
    """Write the records of the parts as often as it takes, each time an hour later and about other requests."""
    names = ", ".join(f"'{part}'" for part in parts)
    # What is written keeps no order, so that it need not be held in memory.
    with duckdb.connect(
        ":memory:",
        config={"memory_limit": "2GB", "preserve_insertion_order": False, "temp_directory": str(target.parent)},
    ) as connection:
        found = connection.execute(f"SELECT count(*) FROM read_parquet([{names}])").fetchone()  # noqa: S608 - our own
        times = -(-records // max(1, found[0] if found else 0))
        connection.execute(
            f"COPY (SELECT * REPLACE (time + to_hours(turn) AS time, request_id || '-' || turn AS request_id)"  # noqa: S608
            f" FROM read_parquet([{names}]), (SELECT unnest(range({times})) AS turn))"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
