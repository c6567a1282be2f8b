"""Records as CSV (RFC 4180), with the columns of `gateway audit query`."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.audit.ocsf import ALLOWED, ANSWERED, DENIED, UNKNOWN
from gateway.audit.query.columns import COLUMNS, TIME, Column
from gateway.audit.reader import Entry

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula; requests bring texts into the log."""

_VERDICTS: Mapping[object, str] = {ALLOWED: "allowed", DENIED: "denied", ANSWERED: "answered"}
_YES = {"denied": 2, "success": 1}
"""The number that means yes, where a column says yes or no."""


def harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def row(entry: Entry) -> bytes:
    """Give a record as a row."""
    return _line([_cell(column, entry.get(*column.path.split("."))) for column in COLUMNS])


def _cell(column: Column, value: object) -> object:
    if value is None or value == UNKNOWN:
        return ""
    if column.type == TIME and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if column.name == "verdict":
        return _VERDICTS.get(value, "")
    if column.name in _YES:
        return "yes" if value == _YES[column.name] else "no"
    return value if isinstance(value, int | float) else harmless(_text(value))


def _text(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    if isinstance(value, dict):
        return value["value"] if "value" in value else ": ".join(_text(item) for item in value.values())
    return str(value)


def _line(cells: list[object]) -> bytes:
    made = io.StringIO()
    csv.writer(made, lineterminator="").writerow(cells)
    return made.getvalue().encode()


HEADER = _line([column.name for column in COLUMNS])
