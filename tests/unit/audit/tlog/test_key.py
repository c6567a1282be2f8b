from pathlib import Path

import pytest

from gateway.audit.tlog import key
from gateway.audit.tlog.key import key_at, make_key, read_key
from gateway.audit.tlog.note import NoteError, Signer
from tests.unit.audit import spec


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "audit.key"
    made = make_key(path, "audit.example.com/psp")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).public == made.public
    assert [file.name for file in path.parent.iterdir()] == ["audit.key"]


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = make_key(path, "a")
    with pytest.raises(FileExistsError):
        make_key(path, "b")
    assert read_key(path).public == made.public
    assert [file.name for file in tmp_path.iterdir()] == ["audit.key"]


def test_the_first_start_makes_it(tmp_path: Path) -> None:
    made = key_at(tmp_path / "audit.key", "a")
    assert key_at(tmp_path / "audit.key", "b").public == made.public


def test_of_two_that_make_it_one_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.key"

    def overtaken(path: Path, name: str) -> Signer:
        make_key(path, "faster")
        return make_key(path, name)

    monkeypatch.setattr(key, "make_key", overtaken)
    assert key_at(path, "a").name == "faster"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "audit.key"
    make_key(path, "a")
    path.chmod(mode)
    with pytest.raises(NoteError, match=f"mode {mode:04o}.*chmod 600"):
        read_key(path)


def test_what_is_no_file_of_a_key(tmp_path: Path) -> None:
    with pytest.raises(NoteError, match="not a file"):
        read_key(tmp_path)
    path = tmp_path / "audit.key"
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    with pytest.raises(NoteError, match="no text"):
        read_key(path)
    path.write_text(spec.VKEY)
    with pytest.raises(NoteError, match="does not begin"):
        read_key(path)
    with pytest.raises(FileNotFoundError):
        read_key(tmp_path / "none")
