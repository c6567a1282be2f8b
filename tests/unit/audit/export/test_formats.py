import csv
import io

import orjson
import pytest

from gateway.audit.export.formats import FORMATS
from gateway.audit.ocsf import Kind
from gateway.audit.query.columns import COLUMNS
from tests.unit.audit.examples import SECRETS
from tests.unit.audit.export.entries import ENTRIES


def test_every_kind_of_record_is_among_the_examples() -> None:
    assert {entry.kind for entry in ENTRIES.values()} == {kind.code for kind in Kind}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("form", FORMATS)
def test_a_record_is_one_line_without_secrets(form: str, name: str) -> None:
    line = FORMATS[form].line(ENTRIES[name])  # type: ignore[index]
    assert line
    assert b"\n" not in line
    assert not any(secret.encode() in line for secret in SECRETS)


def test_ocsf_is_the_logs_own_line() -> None:
    entry = ENTRIES["decision"]
    assert FORMATS["ocsf"].line(entry) is entry.raw
    assert orjson.loads(entry.raw)["class_uid"] == 6003


def test_only_csv_has_a_header() -> None:
    assert [name for name, form in FORMATS.items() if form.header] == ["csv"]
    assert next(csv.reader(io.StringIO(FORMATS["csv"].header.decode()))) == [column.name for column in COLUMNS]
