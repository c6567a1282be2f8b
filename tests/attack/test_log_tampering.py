"""Somebody who may write the log's folder, and has not the key, changes what it says: it is found, and named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.files import log_files
from tests.unit.audit.published import Published, published, signer, stranger, verified, whole

pytestmark = pytest.mark.layers  # once: it is about files

COUNT = 600
AT = 400
"""The record that is tampered with."""


@pytest.fixture
def log(tmp_path: Path) -> Published:
    made = published(tmp_path / "log", 100, 200, 300)
    whole(made.directory, [made.note])
    return made


def rewrite(log: Published, change: Callable[[list[bytes]], object]) -> None:
    """Change the lines of the log's own file."""
    (file,) = log_files(log.directory)
    lines = file.path.read_bytes().splitlines(keepends=True)
    change(lines)
    file.path.write_bytes(b"".join(lines))


def first(log: Published, *given: str) -> tuple[int | None, str]:
    """Give number and words of the first thing that is wrong."""
    problem = verified(log.directory, given).first
    assert problem is not None
    return problem.sequence, problem.what


def forge(log: Published, change: Callable[[list[bytes]], object]) -> None:
    """Change the lines, and make the whole transparency log anew of them, but for what needs the key."""
    kept = {name: (log.tlog / name).read_bytes() for name in ("checkpoint", "checkpoints/2026-11-22.txt")}
    rewrite(log, change)
    shutil.rmtree(log.tlog)
    again = Published(log.directory, key=stranger())
    again.publish()
    again.close()
    for name, data in kept.items():
        (log.tlog / name).write_bytes(data)


def flip(lines: list[bytes]) -> None:
    lines[AT - 1] = lines[AT - 1].replace(b"acme-casino", b"acmf-casino", 1)


def drop(lines: list[bytes]) -> None:
    del lines[AT - 1]


def drop_tail(lines: list[bytes]) -> None:
    del lines[AT - 1 :]


def swap(lines: list[bytes]) -> None:
    lines[AT - 1], lines[AT] = lines[AT], lines[AT - 1]


def add(lines: list[bytes]) -> None:
    lines.insert(AT - 1, lines[AT - 1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (flip, "it is not what was published (in audit-2026-11-22_000000000001.jsonl)"),
        (drop, f"missing before audit-2026-11-22_000000000001.jsonl:{AT}"),
        (swap, f"missing before audit-2026-11-22_000000000001.jsonl:{AT}"),
        (drop_tail, "the checkpoint counts 600 entries, the log's files end before: its end was cut off"),
        (add, f"audit-2026-11-22_000000000001.jsonl:{AT + 1}: it stands behind record {AT}"),
    ],
)
def test_the_logs_own_file(log: Published, change: Callable[[list[bytes]], object], told: str) -> None:
    rewrite(log, change)
    assert first(log) == (AT, told)


def test_every_byte_of_a_record_counts(log: Published) -> None:
    (file,) = log_files(log.directory)
    data = file.path.read_bytes()
    start = sum(len(line) for line in data.splitlines(keepends=True)[: COUNT - 1])
    for place in range(start, len(data), 61):
        file.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert verified(log.directory).count, place


@pytest.mark.parametrize("name", ["tile/0/001", "tile/entries/001", "tile/0/002.p/88", "tile/entries/002.p/88"])
def test_a_byte_of_a_tile(log: Published, name: str) -> None:
    path = log.tlog / name
    data = path.read_bytes()
    path.write_bytes(data[:9] + bytes([data[9] ^ 1]) + data[10:])
    sequence, told = first(log)
    assert sequence == (257 if "001" in name else 513)
    assert "another" in told


@pytest.mark.parametrize("change", [flip, drop, swap, add])
def test_everything_but_what_needs_the_key(log: Published, change: Callable[[list[bytes]], object]) -> None:
    """The checkpoints that are kept say between which two it was: records 301 to 600 were signed at once."""
    forge(log, renumbered(change))
    if change is drop:  # the tree is a record short of what was signed
        assert first(log) == (600, "the checkpoint counts 600 entries, the log's files end before: its end was cut off")
    else:
        told = "one of it to 600 is not what was signed: the checkpoint of 600 entries is of another tree"
        assert first(log) == (301, told)


def renumbered(change: Callable[[list[bytes]], object]) -> Callable[[list[bytes]], object]:
    """Give the change, the sequences set right after it."""

    def changed(lines: list[bytes]) -> None:
        before = [b'"sequence":%d,' % number for number in range(1, COUNT + 1)]
        change(lines)
        for number, line in enumerate(lines, 1):
            old = next((one for one in before if one in line), b"")
            lines[number - 1] = line.replace(old, b'"sequence":%d,' % number)

    return changed


def test_all_of_it_signed_with_another_key(log: Published) -> None:
    rewrite(log, flip)
    shutil.rmtree(log.tlog)
    again = Published(log.directory, key=stranger())
    again.publish()
    again.close()
    sequence, told = first(log)
    assert sequence is None
    assert told == (
        f"tlog/checkpoint: it is signed by {stranger().name}+{stranger().key_id.hex()}, and by no key that was given"
    )


def test_all_of_it_signed_anew_with_the_key_itself(log: Published) -> None:
    """Whoever has the key can make another log of it; a checkpoint that is kept elsewhere shows it."""
    kept = log.note
    rewrite(log, flip)
    shutil.rmtree(log.tlog)
    again = Published(log.directory)
    again.publish()
    again.close()
    whole(log.directory)
    assert first(log, kept) == (
        1, "one of it to 600 is not what was signed: the checkpoint of 600 entries is of another tree",
    )  # fmt: skip


def test_an_older_copy_with_its_own_checkpoint(log: Published, tmp_path: Path) -> None:
    """Consistent in itself: only a newer checkpoint, kept elsewhere, tells."""
    older = tmp_path / "older"
    shutil.copytree(log.directory, older)
    more = Published(log.directory)
    more.grow(50)
    more.close()
    newer = more.note
    shutil.rmtree(log.directory)
    shutil.copytree(older, log.directory)
    whole(log.directory)
    sequence, told = first(log, newer)
    assert sequence == COUNT + 1
    assert "checkpoint counts 600 entries, and an earlier one 650: the log, or its checkpoint, was put back" in told


def test_a_tail_that_was_cut_off_everywhere(log: Published) -> None:
    """Records and tiles alike, down to an earlier checkpoint: those that the log keeps, tell."""
    rewrite(log, lambda lines: lines.__delitem__(slice(100, None)))
    history = (log.tlog / "checkpoints/2026-11-22.txt").read_text()
    (log.tlog / "checkpoint").write_text(
        history.split("\n\n— ")[0] + "\n\n— " + history.split("— ")[1].split("\n")[0] + "\n"
    )
    assert first(log)[0] == 101
    assert "put back to an older state" in first(log)[1]


def test_a_checkpoint_that_was_changed(log: Published) -> None:
    (log.tlog / "checkpoint").write_text(log.note.replace("\n600\n", "\n300\n"))
    assert "is not over this text" in str(verified(log.directory).problems[0])


def test_a_checkpoint_of_another_log_by_the_same_key(log: Published) -> None:
    (log.tlog / "checkpoint").write_text(signer().sign("other\n600\n" + log.note.split("\n")[2] + "\n"))
    assert "is of the log other" in str(verified(log.directory).problems[0])
