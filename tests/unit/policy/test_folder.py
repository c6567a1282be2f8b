import os
import subprocess
from pathlib import Path

import pytest

from gateway.policy.folder import (
    ModeError,
    NotRegularError,
    TooLargeError,
    digest,
    explained,
    policy_files,
    read_bounded,
    read_policy,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("psp.yaml", "pam.yml", "psp_test.yaml", "pam.test.yml", ".hidden.yaml", "README.md", "attest.yaml"):
        (tmp_path / name).write_text("version: 1\n")
    (tmp_path / "more").mkdir()
    return tmp_path


def test_a_folder_is_its_yaml_files_without_tests(folder: Path) -> None:
    assert [file.name for file in policy_files(folder)] == ["attest.yaml", "pam.yml", "psp.yaml"]


def test_a_file_is_itself_whatever_its_name(folder: Path) -> None:
    assert policy_files(folder / "README.md") == [folder / "README.md"]


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    _, problems = read_policy(tmp_path / "no")
    assert [str(problem) for problem in problems] == [f"{tmp_path}/no:1:1: the policy does not exist"]


def test_a_folder_without_policy(tmp_path: Path) -> None:
    sources, problems = read_policy(tmp_path)
    assert sources == []
    assert "no policy in this folder" in str(problems[0])


def test_a_file_that_is_a_folder_does_not_hide_the_others(folder: Path) -> None:
    (folder / "more.yaml").mkdir()
    sources, problems = read_policy(folder)
    assert len(sources) == 4
    assert [str(problem) for problem in problems] == [f"{folder}/more.yaml:1:1: the policy is not a file"]


def test_the_digest_is_what_sha256sum_gives(folder: Path) -> None:
    (folder / "psp.yaml").write_text("version: 1\nname: psp\n")
    command = "LC_ALL=C sha256sum attest.yaml pam.yml psp.yaml | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S602
    assert digest(read_policy(folder)[0]) == printed.split()[0]


def test_the_digest_does_not_depend_on_the_order_in_which_files_are_found(folder: Path) -> None:
    sources, _ = read_policy(folder)
    assert digest(reversed(sources)) == digest(sources)


def test_the_digest_depends_on_every_file_and_name(folder: Path) -> None:
    before = digest(read_policy(folder)[0])
    (folder / "pam.yml").rename(folder / "pan.yml")
    assert digest(read_policy(folder)[0]) != before


class TestReadBounded:
    def test_a_file_of_the_limit_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"12345")
        assert read_bounded(tmp_path / "x", 5) == b"12345"

    def test_a_larger_one_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"123456")
        with pytest.raises(TooLargeError) as caught:
            read_bounded(tmp_path / "x", 5)
        assert explained(caught.value)[0] == "is larger than 5 bytes"

    def test_a_pipe_is_refused_without_waiting_for_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(NotRegularError):
            read_bounded(tmp_path / "pipe", 5)

    def test_a_file_that_is_open_to_others(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"1")
        (tmp_path / "x").chmod(0o604)
        with pytest.raises(ModeError) as caught:
            read_bounded(tmp_path / "x", 5, refused_mode=0o077)
        assert explained(caught.value)[0] == "may be read or changed by others than its owner (mode 0604)"

    def test_no_descriptor_is_left_open(self, tmp_path: Path) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for name in ("x", "."):
            with pytest.raises(OSError, match=r".*"):
                read_bounded(tmp_path / name, 5)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read"),
        (OSError(5, "Input/output error"), "cannot be read: Input/output error"),
        (OSError(), "cannot be read: OSError"),
    ],
)
def test_errors_of_the_system_are_explained(error: OSError, message: str) -> None:
    assert explained(error)[0] == message
