"""Keys on disk: private from the first byte, never half-written."""

import stat
from pathlib import Path

import pytest

from gateway.pki.files import write_private, write_public


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"secret")
    assert (mode(tmp_path / "key"), (tmp_path / "key").read_bytes()) == (0o600, b"secret")


def test_a_secret_over_a_public_file_does_not_inherit_its_mode(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"old")
    (tmp_path / "key").chmod(0o644)
    write_private(tmp_path / "key", b"new")
    assert (mode(tmp_path / "key"), (tmp_path / "key").read_bytes()) == (0o600, b"new")


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    write_private(tmp_path / "key", b"secret")
    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"
    assert not (tmp_path / "key").is_symlink()


def test_what_is_public_can_be_read_by_others(tmp_path: Path) -> None:
    write_public(tmp_path / "ca.pem", b"certificate")
    assert mode(tmp_path / "ca.pem") & 0o600 == 0o600
    assert (tmp_path / "ca.pem").read_bytes() == b"certificate"


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(OSError, match="key"):
        write_private(tmp_path / "key", b"secret")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
