import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.core.barred import Bar, Thing
from gateway.core.message import Instant
from gateway.state import revocations
from gateway.state.revocations import KEPT_SECONDS, NAME, Entry, JournalError, Reader, add, barred, in_force, read_all
from tests.world import NOW

ONE = Entry(0, "revoke", Thing.PARTNER, "acme", NOW, Instant(NOW + 60), "maria", "INC-1")
OTHER = Entry(0, "revoke", Thing.TOKEN, "operator/t-1", NOW, None, "maria", "INC-1")
LIFT = Entry(0, "lift", Thing.PARTNER, "acme", NOW, None, "maria", "found", of=1)


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def test_what_is_added_is_read(tmp_path: Path) -> None:
    assert numbers(add(tmp_path, [ONE, OTHER])) == [1, 2]
    assert numbers(add(tmp_path, [LIFT])) == [3]
    assert read_all(tmp_path) == [replace(ONE, number=1), replace(OTHER, number=2), replace(LIFT, number=3)]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_folder_without_a_journal_has_no_revocations(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert not reader.changed()
    assert reader.read() == (False, [])


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    add(tmp_path, [ONE])
    assert reader.changed()
    fresh, entries = reader.read()
    assert (fresh, numbers(entries)) == (True, [1])
    assert not reader.changed()
    add(tmp_path, [OTHER, LIFT])
    assert reader.changed()
    fresh, entries = reader.read()
    assert (fresh, numbers(entries)) == (False, [2, 3])
    reader.restart()
    assert numbers(reader.read()[1]) == [1, 2, 3]


def test_a_line_without_an_end_does_not_count_and_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    add(tmp_path, [ONE])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"number": 2, "act')
    assert numbers(reader.read()[1]) == [1]
    add(tmp_path, [OTHER])
    assert numbers(reader.read()[1]) == [2]
    assert numbers(read_all(tmp_path)) == [1, 2]


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"nonsense\n",
        b"[]\n",
        b"\n",
        ONE.line().replace(b"revoke", b"forget"),
        ONE.line().replace(b"partner", b"planet"),
        ONE.line().replace(b"1795352400.0", b"null"),
    ],
)
def test_a_damaged_line_is_an_error(tmp_path: Path, line: bytes) -> None:
    (tmp_path / NAME).write_bytes(line)
    with pytest.raises(JournalError):
        read_all(tmp_path)
    with pytest.raises(JournalError):
        add(tmp_path, [ONE])


def test_a_journal_that_was_there_must_be(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    add(tmp_path, [ONE])
    reader.read()
    (tmp_path / NAME).unlink()
    assert reader.changed()
    with pytest.raises(JournalError, match="it is gone"):
        reader.read()
    fresh = Reader(tmp_path)
    fresh.restart()
    with pytest.raises(JournalError, match="it is gone"):
        fresh.read()


def test_a_journal_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(JournalError, match="Is a directory"):
        Reader(tmp_path).read()


def test_another_file_takes_the_place_of_all_before(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    add(tmp_path, [ONE, OTHER])
    reader.read()
    (tmp_path / "new").write_bytes(replace(LIFT, number=9).line())
    (tmp_path / "new").rename(tmp_path / NAME)
    fresh, entries = reader.read()
    assert (fresh, numbers(entries)) == (True, [9])


def test_the_latest_revocation_of_a_value_counts_until_it_is_lifted() -> None:
    again = replace(ONE, number=3, until=None)
    found = in_force([replace(ONE, number=1), replace(OTHER, number=2), again])
    assert numbers(list(found.values())) == [3, 2]
    assert list(in_force([replace(ONE, number=1), LIFT])) == []
    assert ONE.counts(NOW)
    assert not ONE.counts(Instant(NOW + 60))


def test_what_is_barred_follows_the_entries() -> None:
    first = barred([replace(ONE, number=1), replace(OTHER, number=2)])
    assert first is not None
    assert first.bars[Thing.PARTNER, "acme"] == Bar(1, ONE.until)
    second = barred([LIFT], first)
    assert second is not None
    assert list(second.bars) == [(Thing.TOKEN, "operator/t-1")]
    assert barred([replace(OTHER, action="lift")], second) is None


def test_what_has_long_been_over_leaves_a_crowded_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "COMPACT_FROM", 4)
    old = Instant(NOW - KEPT_SECONDS - 61)
    ended = [replace(ONE, value=f"p-{number}", at=old, until=Instant(old + 60)) for number in range(5)]
    standing = replace(OTHER, at=old)
    reader = Reader(tmp_path)
    add(tmp_path, [*ended, standing])
    reader.read()
    add(tmp_path, [ONE])
    fresh, entries = reader.read()
    assert (fresh, numbers(entries)) == (True, [6, 7])
    assert numbers(add(tmp_path, [ONE])) == [8]


def test_of_lock_outs_of_addresses_the_latest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "COMPACT_FROM", 4)
    monkeypatch.setattr(revocations, "MOST_LOCKED", 2)
    later = Instant(NOW + 1_800)
    locked = [replace(ONE, thing=Thing.LOCKED_ADDRESS, value=f"203.0.113.{at}", until=later) for at in range(9)]
    partner = replace(ONE, thing=Thing.LOCKED_PARTNER, until=later)
    add(tmp_path, [partner, *locked[:8]])
    add(tmp_path, [locked[8]])
    assert numbers(read_all(tmp_path)) == [1, 8, 9, 10]


def test_a_journal_of_an_older_gate_is_read() -> None:
    older = orjson.loads(replace(ONE, number=1).line())
    del older["lock"], older["elsewhere"]
    assert Entry.read(orjson.dumps(older)) == replace(ONE, number=1)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, [ONE])
    before = (tmp_path / NAME).read_bytes()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        add(tmp_path, [OTHER])
    assert (tmp_path / NAME).read_bytes() == before
