from pathlib import Path

import pytest

from gateway.policy.reader import Reader
from gateway.policy.secrets import read_secret
from tests.policy.files import ENVIRON
from tests.policy.reading import definition, problems, reader

SECRET = b"fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (SECRET, "utf-8"),
        (SECRET + b"\n", "utf-8"),
        (SECRET + b"\r\n", "utf-8"),
        (SECRET.hex().encode(), "hex"),
        (SECRET.hex().upper().encode() + b"\n", "hex"),
        (b"ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=\n", "base64"),
    ],
)
def test_a_file_gives_its_bytes_without_the_end_of_its_line(tmp_path: Path, written: bytes, encoding: str) -> None:
    (tmp_path / "k").write_bytes(written)
    (tmp_path / "k").chmod(0o600)
    used = reader()
    secret = read_secret(used, definition("file:k", tmp_path / "p.yaml").node, encoding, 32)
    assert secret is not None
    assert secret.reveal() == SECRET
    assert used.files == {tmp_path / "k"}


def test_the_environment_gives_text() -> None:
    secret = read_secret(reader(), definition("env:ACME_SIGNING_KEY").node, "utf-8", 32)
    assert secret is not None
    assert secret.reveal() == ENVIRON["ACME_SIGNING_KEY"].encode()


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (b"zz" * 32, "hex"),
        (b"abc", "hex"),
        (b"ab " * 32, "hex"),
        (b"AAA", "base64"),
        (b"A A=" * 9, "base64"),
        (b"", "hex"),
    ],
)
def test_a_secret_in_another_encoding(tmp_path: Path, written: bytes, encoding: str) -> None:
    (tmp_path / "k").write_bytes(written)
    (tmp_path / "k").chmod(0o600)
    used = reader()
    assert read_secret(used, definition("file:k", tmp_path / "p.yaml").node, encoding, 32) is None
    assert len(used.problems) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_can_get_at_is_refused_unread(tmp_path: Path, mode: int) -> None:
    (tmp_path / "k").write_bytes(SECRET)
    (tmp_path / "k").chmod(mode)
    used = reader()
    assert read_secret(used, definition("file:k", tmp_path / "p.yaml").node, "utf-8", 32) is None
    assert "run `chmod 600` on it, and consider the secret leaked" in problems(used)[0]


def test_a_published_file_may_be_read_by_others_and_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(SECRET)
    (tmp_path / "k").chmod(0o644)
    used = reader()
    secret = read_secret(used, definition('"unsafe-file:k"', tmp_path / "p.yaml").node, "utf-8", 32)
    assert secret is not None
    assert secret.reveal() == SECRET
    assert used.errors == 0
    (said,) = problems(used)
    assert "warning: it: whoever reads this file can sign as the partner" in said


def test_a_file_in_a_folder_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(SECRET)
    (tmp_path / "k").chmod(0o600)
    used = Reader({"SECRETS": str(tmp_path)}, None)
    secret = read_secret(used, definition("file:${SECRETS}/k").node, "utf-8", 32)
    assert secret is not None
    assert secret.reveal() == SECRET


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "ENV:hunter2",
        "'env: hunter2'",
        "env:hunter2-hunter2",
        '"file:hunter2\\n"',
        "[hunter2]",
        "{hunter2: hunter2}",
        "|\n  hunter2\n",
        "'hunter2\n  hunter2'",
    ],
)
def test_no_message_repeats_what_may_be_a_secret(text: str) -> None:
    used = reader()
    assert read_secret(used, definition(text).node, "utf-8", 32) is None
    (said,) = problems(used)
    assert "hunter2" not in said


def test_a_short_secret_is_counted_and_not_shown() -> None:
    used = reader()
    assert read_secret(used, definition("env:SHORT_SIGNING_KEY").node, "utf-8", 32) is None
    (said,) = problems(used)
    assert "the secret has 13 bytes, too few (at least 32: make one with `openssl rand -hex 32`; " in said
    assert ENVIRON["SHORT_SIGNING_KEY"] not in said


@pytest.mark.parametrize("text", ["'file:${SECRET}'", "'file:${NUL}'"])
def test_a_secret_taken_for_a_path_is_not_repeated(text: str) -> None:
    used = Reader({"SECRET": "hunter2", "NUL": "hunter2\0"}, None)
    assert read_secret(used, definition(text).node, "utf-8", 32) is None
    (said,) = problems(used)
    assert "hunter2" not in said
