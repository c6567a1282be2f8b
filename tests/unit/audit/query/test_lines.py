from pathlib import Path

from gateway.audit.files import log_files
from gateway.audit.query.lines import held
from gateway.core.message import Instant
from tests.unit.audit.examples import DENIED, NOW, changed, decided
from tests.unit.audit.query.logs import compressed, database, written


def places(directory: Path) -> list[dict[str, object]]:
    with database(directory) as opened:
        answer = opened.ask("SELECT worker, file, uid FROM records ORDER BY sequence DESC")
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def test_records_are_those_of_the_file(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [decided(), changed(DENIED, at=Instant(NOW + 90_000))])
    found = held(directory, places(directory))
    lines = [file.path.read_bytes()[:-1] for file in log_files(directory)]
    assert [one.entry.raw for one in found] == lines
    assert [one.file for one in found] == [file.path.name for file in log_files(directory)]


def test_a_record_that_is_gone_is_left_out(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [decided(), DENIED])
    known = places(directory)
    path = log_files(directory)[0].path
    path.write_bytes(path.read_bytes().replace(b'"sequence":1,', b'"sequence":x,'))
    assert [one.entry.sequence for one in held(directory, known)] == [2]


def test_an_id_elsewhere_in_a_line_is_not_the_records(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [DENIED])
    place = {"worker": "", "file": log_files(directory)[0].path.name, "uid": "5d3c9b5e-9d6f-4c0a-9c1e-6f0f7a1b2c3d"}
    assert held(directory, [place]) == []


def test_records_of_a_compressed_file(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [decided(), changed(DENIED, at=Instant(NOW + 90_000))])
    known = places(directory)
    compressed(log_files(directory)[0].path)
    assert [one.entry.sequence for one in held(directory, known)] == [1, 2]
