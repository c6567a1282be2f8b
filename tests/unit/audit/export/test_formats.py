import csv
import io

import orjson
import pytest

from gateway.audit.export.formats import FORMATS
from gateway.audit.ocsf import Kind
from gateway.audit.query.columns import COLUMNS
from gateway.audit.reader import entry_of
from gateway.audit.record import line
from tests.unit.audit.examples import SECRETS, answered_before
from tests.unit.audit.export.entries import ENTRIES


def test_every_kind_of_record_is_among_the_examples() -> None:
    assert {entry.kind for entry in ENTRIES.values()} == {kind.code for kind in Kind}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("form", FORMATS)
def test_a_record_is_one_line_without_secrets(form: str, name: str) -> None:
    made = FORMATS[form].line(ENTRIES[name])  # type: ignore[index]
    assert made
    assert b"\n" not in made
    assert not any(secret.encode() in made for secret in SECRETS)


def test_ocsf_is_the_logs_own_line() -> None:
    entry = ENTRIES["decision"]
    assert FORMATS["ocsf"].line(entry) is entry.raw
    assert orjson.loads(entry.raw)["class_uid"] == 6003


def test_only_csv_has_a_header() -> None:
    assert [name for name, form in FORMATS.items() if form.header] == ["csv"]
    assert next(csv.reader(io.StringIO(FORMATS["csv"].header.decode()))) == [column.name for column in COLUMNS]


def test_a_request_that_was_answered_as_before() -> None:
    entry = entry_of(line(answered_before(), 1, "5b1f0c9d2e7a"))
    assert entry is not None
    assert b" act=answered " in FORMATS["cef"].line(entry)
    assert orjson.loads(FORMATS["ecs"].line(entry))["event"]["type"] == ["access", "info"]
    header, values = csv.reader(io.StringIO(f"{FORMATS['csv'].header.decode()}\n{FORMATS['csv'].line(entry).decode()}"))
    assert dict(zip(header, values, strict=True))["verdict"] == "answered"
