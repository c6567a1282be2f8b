from pathlib import Path

from gateway.audit.files import log_files
from gateway.console.archive import Archive, Reading
from gateway.console.integrity import Integrity, integrity
from tests.unit.audit.examples import DENIED, EVENTS
from tests.unit.audit.query.logs import written


def looked(directory: Path) -> Integrity:
    with Archive(directory, directory.with_name("index"), lambda: 0.0) as archive, archive.read() as reading:
        return integrity(reading, directory)


def test_a_whole_log(reading: Reading, directory: Path) -> None:
    seen = integrity(reading, directory)
    [log] = seen.logs
    assert (seen.whole, log.records, log.first, log.last, log.missing, log.doubled) == (
        True,
        len(EVENTS) + 6,
        1,
        len(EVENTS) + 6,
        0,
        0,
    )
    assert (seen.unreadable, log.files, log.signed, log.beyond) == (0, 1, None, 0)
    assert log.size == sum(file.path.stat().st_size for file in log_files(directory))
    assert [row["kind"] for row in seen.failures] == ["control.recovered"]


def test_a_log_that_lacks_a_record_and_has_another_twice(tmp_path: Path) -> None:
    directory = written(tmp_path / "audit", [DENIED] * 5)
    path = log_files(directory)[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[1], *lines[3:], b"no record\n"]))
    seen = looked(directory)
    assert (seen.whole, seen.logs[0].missing, seen.logs[0].doubled, seen.unreadable) == (False, 1, 1, 1)


def test_the_logs_of_workers(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path / "audit" / f"worker-{number}", [DENIED])
    assert [log.worker for log in looked(tmp_path / "audit").logs] == ["worker-1", "worker-2"]


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert looked(written(tmp_path / "audit", [])).whole
