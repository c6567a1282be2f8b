"""Reading the audit log from outside."""

import json
from collections import Counter
from pathlib import Path

from gateway.demo.journal import Entry, Journal, count_reasons, gaps
from gateway.demo.play import settled


def line(sequence: int, kind: str = "decision", reason: str = "allowed", request_id: str = "r-1") -> bytes:
    metadata = {"event_code": kind, "sequence": sequence, "correlation_uid": request_id}
    return json.dumps({"metadata": metadata, "status_code": reason}).encode() + b"\n"


def test_entries_are_read_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-23.000000000002.jsonl").write_bytes(line(2))
    (tmp_path / "audit-2026-11-22.000000000001.jsonl").write_bytes(line(1))
    (tmp_path / "lock").write_bytes(b"not a record")
    assert [entry.sequence for entry in Journal(tmp_path).read()] == [1, 2]


def test_only_what_came_since_is_read(tmp_path: Path) -> None:
    file = tmp_path / "audit-2026-11-22.000000000001.jsonl"
    file.write_bytes(line(1))
    journal = Journal(tmp_path)
    journal.read()
    with file.open("ab") as opened:
        opened.write(line(2))
    assert [entry.sequence for entry in journal.read()] == [2]
    assert [entry.sequence for entry in journal.entries] == [1, 2]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "audit-2026-11-22.000000000001.jsonl"
    whole = line(1) + line(2)
    file.write_bytes(whole[:-5])
    journal = Journal(tmp_path)
    assert [entry.sequence for entry in journal.read()] == [1]
    file.write_bytes(whole)
    assert [entry.sequence for entry in journal.read()] == [2]


def test_a_folder_that_is_not_there_yet_has_no_entries(tmp_path: Path) -> None:
    assert Journal(tmp_path / "later").read() == []


def test_an_entry_is_what_the_record_says(tmp_path: Path) -> None:
    record = {"metadata": {"event_code": "start", "sequence": 0}}
    (tmp_path / "audit.jsonl").write_bytes(
        json.dumps(record).encode() + b"\n" + line(1, "connection", "tls.plaintext", "c-1")
    )
    assert Journal(tmp_path).read() == [
        Entry("start", "", None, 0),
        Entry("connection", "tls.plaintext", "c-1", 1),
    ]


async def test_waiting_ends_with_what_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(line(1))
    asked: list[int] = []

    def enough(entries: object) -> bool:
        assert isinstance(entries, list)
        asked.append(len(entries))
        if len(entries) == 1:
            with file.open("ab") as opened:
                opened.write(line(2, "outcome"))
        return settled(entries)

    entries = await Journal(tmp_path).wait(enough)
    assert [entry.kind for entry in entries] == ["decision", "outcome"]
    assert asked == [1, 2]


async def test_waiting_for_what_does_not_come_ends_too(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(line(1))
    assert [entry.sequence for entry in await Journal(tmp_path, polls=2).wait(lambda _: False)] == [1]


def test_decisions_and_refused_connections_are_counted_and_outcomes_are_not() -> None:
    entries = [
        Entry("start", "gate.started", None, 0),
        Entry("decision", "allowed", "r-1", 1),
        Entry("outcome", "allowed", "r-1", 2),
        Entry("connection", "tls.plaintext", "c-1", 3),
        Entry("decision", "token.missing", "r-2", 4),
    ]
    assert count_reasons(entries) == Counter({"allowed": 1, "tls.plaintext": 1, "token.missing": 1})


def test_a_missing_or_repeated_record_is_a_gap() -> None:
    def entries(*sequences: int) -> list[Entry]:
        return [Entry("decision", "allowed", "r", sequence) for sequence in sequences]

    assert [gaps(entries(1, 2, 3)), gaps(entries(1, 3)), gaps(entries(1, 1, 2)), gaps([])] == [0, 1, 1, 0]
