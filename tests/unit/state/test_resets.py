from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.state.resets import NAME, Reader, Reset, ResetsError, add

ONE = Reset(0, "acme-casino", (), Instant(1_795_352_400.0), "maria", "INC-1")
TWO = Reset(0, "blue-psp", ("deposit", "withdraw"), Instant(1_795_352_401.0), "root", 'a "quoted" reason, “such”')


def test_what_is_added_is_read_once_with_its_number(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.read() == []
    made = add(tmp_path, [ONE, TWO])
    assert [each.number for each in made] == [1, 2]
    assert reader.read() == made
    assert reader.read() == []
    (third,) = add(tmp_path, [ONE])
    assert reader.read() == [third]
    assert (third.number, Reader(tmp_path).read()) == (3, [*made, third])
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_line_without_end_does_not_count_and_goes_with_the_next(tmp_path: Path) -> None:
    made = add(tmp_path, [ONE])
    with (tmp_path / NAME).open("ab") as file:
        file.write(TWO.line()[:-1])
    reader = Reader(tmp_path)
    assert reader.read() == made
    assert [each.number for each in add(tmp_path, [TWO])] == [2]
    assert [each.partner for each in reader.read()] == ["blue-psp"]


def test_another_file_is_read_from_its_start(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    add(tmp_path, [ONE, ONE])
    reader.read()
    (tmp_path / NAME).unlink()
    assert reader.read() == []
    assert reader.read() == []
    made = add(tmp_path, [TWO])
    assert (reader.read(), made[0].number) == (made, 1)


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b'{"number": "x"}\n', b"[]\n"])
def test_a_damaged_line_is_told(tmp_path: Path, line: bytes) -> None:
    (tmp_path / NAME).write_bytes(line)
    with pytest.raises(ResetsError, match="damaged"):
        Reader(tmp_path).read()
    with pytest.raises(ResetsError):
        add(tmp_path, [ONE])


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(ResetsError):
        Reader(tmp_path).read()
    with pytest.raises(OSError, match="directory"):
        add(tmp_path, [ONE])
