from datetime import datetime
from pathlib import Path

import orjson
import pytest

from gateway.audit.query.columns import COLUMNS, Column
from gateway.audit.record import line
from tests.unit.audit.examples import EVENTS, NOW
from tests.unit.audit.query.logs import database, written

DOCS = Path(__file__).parents[4] / "docs" / "query.md"
ELSEWHERE = {
    "proxy": "no example has a trusted proxy",
}


def member(record: object, path: str) -> object:
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    directory = written(tmp_path_factory.mktemp("log") / "audit", EVENTS.values())
    with database(directory) as opened:
        answer = opened.ask("SELECT * FROM records ORDER BY sequence")
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_has_what_stands_at_its_place(rows: list[dict[str, object]], column: Column) -> None:
    records = [orjson.loads(line(event, number, "0" * 12)) for number, event in enumerate(EVENTS.values(), 1)]
    present = [member(record, column.path) not in {None, "(none)"} for record in map(_hashable(column), records)]
    assert [row[column.name] is not None for row in rows] == present
    assert any(present) or column.name in ELSEWHERE


def _hashable(column: Column) -> object:
    """Lists and objects cannot be looked for in a set."""

    def made(record: dict[str, object]) -> object:
        value = member(record, column.path)
        plain = value if not isinstance(value, list | dict) else repr(value)
        for name in reversed(column.path.split(".")):
            plain = {name: plain}
        return plain

    return made


def test_values(rows: list[dict[str, object]]) -> None:
    first = rows[0]
    assert first["time"] == datetime(2026, 11, 22, 13, 0, 0, 125_000)  # noqa: DTZ001 - the views' times have no zone
    assert first["certificate_sha256"] == "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"
    assert first["controls_off"] == [{"control": "rate_limit", "because": "the PSP limits on its own"}]
    assert (first["denied"], first["success"], rows[1]["denied"]) == (False, True, True)
    assert (first["worker"], first["file"]) == ("", "audit-2026-11-22_000000000001.jsonl")
    assert [row["denied"] for row in rows if row["kind"] == "start"] == [None]
    assert NOW


def test_the_documentation_lists_every_column() -> None:
    text = DOCS.read_text("utf-8")
    assert [column.name for column in COLUMNS if f"| `{column.name}` | {column.type} |" not in text] == []
