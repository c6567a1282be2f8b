"""Reading the audit log from outside."""

import json
from pathlib import Path

from gateway.demo.journal import Entry, Journal
from gateway.demo.play import settled


def line(request_id: str, kind: str = "decision", reason: str = "allowed") -> bytes:
    metadata = {"event_code": kind, "correlation_uid": request_id}
    return json.dumps({"metadata": metadata, "status_code": reason}).encode() + b"\n"


def test_entries_are_read_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-23.000000000002.jsonl").write_bytes(line("r-2"))
    (tmp_path / "audit-2026-11-22.000000000001.jsonl").write_bytes(line("r-1"))
    (tmp_path / "lock").write_bytes(b"not a record")
    assert [entry.request_id for entry in Journal(tmp_path).read()] == ["r-1", "r-2"]


def test_only_what_came_since_is_read(tmp_path: Path) -> None:
    file = tmp_path / "audit-2026-11-22.000000000001.jsonl"
    file.write_bytes(line("r-1"))
    journal = Journal(tmp_path)
    journal.read()
    with file.open("ab") as opened:
        opened.write(line("r-2"))
    assert [entry.request_id for entry in journal.read()] == ["r-2"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "audit-2026-11-22.000000000001.jsonl"
    whole = line("r-1") + line("r-2")
    file.write_bytes(whole[:-5])
    journal = Journal(tmp_path)
    assert [entry.request_id for entry in journal.read()] == ["r-1"]
    file.write_bytes(whole)
    assert [entry.request_id for entry in journal.read()] == ["r-2"]


def test_a_folder_that_is_not_there_yet_has_no_entries(tmp_path: Path) -> None:
    assert Journal(tmp_path / "later").read() == []


def test_an_entry_is_what_the_record_says(tmp_path: Path) -> None:
    record = {"metadata": {"event_code": "start"}}
    (tmp_path / "audit.jsonl").write_bytes(
        json.dumps(record).encode() + b"\n" + line("c-1", "connection", "tls.plaintext")
    )
    assert Journal(tmp_path).read() == [
        Entry("start", "", None),
        Entry("connection", "tls.plaintext", "c-1"),
    ]


async def test_waiting_ends_with_what_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(line("r-1"))
    asked: list[int] = []

    def enough(entries: object) -> bool:
        assert isinstance(entries, list)
        asked.append(len(entries))
        if len(entries) == 1:
            with file.open("ab") as opened:
                opened.write(line("r-1", "outcome"))
        return settled(entries)

    entries = await Journal(tmp_path).wait(enough)
    assert [entry.kind for entry in entries] == ["decision", "outcome"]
    assert asked == [1, 2]


async def test_waiting_for_what_does_not_come_ends_too(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(line("r-1"))
    assert [entry.request_id for entry in await Journal(tmp_path, polls=2).wait(lambda _: False)] == ["r-1"]
