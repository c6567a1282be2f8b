"""`gateway audit verify`, `prove` and `verify-proof`."""

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.audit.files import log_files
from gateway.cli import audit_verify as command
from gateway.cli.audit import audit
from tests.unit.audit import spec
from tests.unit.audit.published import ORIGIN, Published, published, signer, stranger
from tests.unit.audit.witness import Witness

KEY = signer().public


@pytest.fixture
def log(tmp_path: Path) -> Published:
    return published(tmp_path / "audit", 300)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


def verify(log: Published, *options: object) -> Result:
    return run("verify", "--directory", log.directory, *options)


def flip(log: Published) -> None:
    (file,) = log_files(log.directory)
    file.path.write_bytes(file.path.read_bytes().replace(b'"r-3"', b'"r-4"', 1))


def test_a_log_that_is_whole(log: Published) -> None:
    result = verify(log, "--key", KEY)
    assert result.exit_code == 0
    assert result.stdout == (
        f"{log.directory}: 300 records, each as it was written; 300 of them under 1 checkpoints of {ORIGIN}\n"
    )
    assert result.stderr == ""


def test_a_log_that_was_changed(log: Published) -> None:
    flip(log)
    result = verify(log, "--key", KEY)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"{log.directory}: record 5: it is not what was published" in result.stdout
    assert lines[-1].startswith(f"{log.directory}: NOT as it was signed; the first: record 5: ")


def test_many_problems_are_counted(log: Published) -> None:
    (file,) = log_files(log.directory)
    file.path.write_bytes(file.path.read_bytes().replace(b"acme-casino", b"acme-cosino"))
    assert f"{log.directory}: and 280 more" in verify(log, "--key", KEY).stdout


def test_the_key_from_a_file(log: Published, tmp_path: Path) -> None:
    path = tmp_path / "log.vkey"
    path.write_text(f"{KEY}\n")
    assert verify(log, "--key", path).exit_code == 0
    assert verify(log, "--key", tmp_path / "none").exit_code == 2
    assert verify(log, "--key", "a+b").exit_code == 2
    assert verify(log, "--key", stranger().public).exit_code == 1


def test_the_key_that_lies_with_the_log_is_told_of(log: Published) -> None:
    result = verify(log)
    assert result.exit_code == 0
    assert "shows only that the log agrees with itself; give --key from elsewhere" in result.stderr
    (log.tlog / "log.vkey").unlink()
    result = verify(log)
    assert result.exit_code == 2
    assert "is no public key: give it with --key" in result.stderr


def test_checkpoints_that_were_kept_elsewhere(log: Published, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(log.note)
    older = tmp_path / "older"
    shutil.copytree(log.directory, older)
    more = Published(log.directory)
    more.grow(10)
    more.close()
    assert verify(log, "--key", KEY, "--checkpoint", kept).exit_code == 0
    kept.write_text(kept.read_text() + more.note)
    result = run("verify", "--directory", older, "--key", KEY, "--checkpoint", kept)
    assert result.exit_code == 1
    assert "was put back to an older state" in result.stdout
    kept.write_text(signer().sign(f"other\n1\n{'A' * 43}=\n"))
    result = verify(log, "--key", KEY, "--checkpoint", kept)
    assert result.exit_code == 2
    assert "a checkpoint of 'other' is of none of these logs" in result.stderr


def test_witnesses_must_have_signed(log: Published) -> None:
    witness, other = Witness(KEY), Witness(KEY, "other")
    (log.tlog / "checkpoint").write_text(log.note + witness.cosignature(log.note))
    assert verify(log, "--key", KEY, "--witness", witness.public).exit_code == 0
    result = verify(log, "--key", KEY, "--witness", witness.public, "--witness", other.public)
    assert result.exit_code == 1
    assert "tlog/checkpoint is not signed by the witness other" in result.stdout
    assert verify(log, "--key", KEY, "--witness", KEY).exit_code == 2


def test_the_logs_of_workers(tmp_path: Path) -> None:
    for number in (1, 2):
        made = Published(tmp_path / f"worker-{number}", key=signer().named(f"{ORIGIN}/worker-{number}"))
        made.grow(10 * number)
        made.close()
    kept = tmp_path / "kept.txt"
    kept.write_text("".join((tmp_path / f"worker-{number}/tlog/checkpoint").read_text() for number in (1, 2)))
    result = run("verify", "--directory", tmp_path, "--key", KEY, "--checkpoint", kept)
    assert result.exit_code == 0, result.output
    assert [line.partition(" records")[0] for line in result.stdout.splitlines()] == [
        f"{tmp_path}/worker-1: 10", f"{tmp_path}/worker-2: 20",
    ]  # fmt: skip


def test_a_file_that_cannot_be_read(log: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "audit.jsonl")

    monkeypatch.setattr(command, "check", check)
    result = verify(log, "--key", KEY)
    assert result.exit_code == 1
    assert result.stderr == "Error: audit.jsonl: Permission denied\n"


def test_a_long_log_shows_how_far_it_is(log: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PROGRESS_BYTES", 0)
    terminal = command.Console(force_terminal=True, width=100, stderr=True)
    monkeypatch.setattr(command, "Console", lambda **_: terminal)
    result = verify(log, "--key", KEY)
    assert result.exit_code == 0
    assert "verifying" in result.stderr


def test_a_proof_is_made_and_verifies_alone(log: Published, tmp_path: Path) -> None:
    path = tmp_path / "record-7.tlog-proof"
    result = run("prove", 7, "--directory", log.directory, "--key", KEY, "--output", path)
    assert result.exit_code == 0
    shutil.rmtree(log.directory)
    result = run("verify-proof", path, "--key", KEY)
    assert result.exit_code == 0
    assert orjson.loads(result.stdout)["metadata"]["sequence"] == 7
    assert result.stderr == f"record 7 of {ORIGIN}, under the checkpoint of 300 entries\n"
    assert run("verify-proof", path, "--key", stranger().public).exit_code == 1


def test_a_proof_on_the_output(log: Published) -> None:
    result = run("prove", 7, "--directory", log.directory, "--key", KEY)
    assert result.stdout.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert run("prove", 7, "--directory", log.directory).exit_code == 0
    result = run("prove", 301, "--directory", log.directory, "--key", KEY)
    assert result.exit_code == 1
    assert result.stderr == "Error: there is no record 301 in the checkpoint of 300 entries\n"


def test_a_proof_that_proves_nothing(log: Published, tmp_path: Path) -> None:
    path = tmp_path / "proof"
    path.write_text("rubbish")
    result = run("verify-proof", path, "--key", KEY)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: nothing is proven: it is no proof")
    path.write_bytes(b"\xff\xfe")
    assert run("verify-proof", path, "--key", KEY).stderr == "Error: nothing is proven: it is no text\n"
    record = tmp_path / "record.json"
    record.write_bytes(log.lines()[6] + b"\n")
    proof = run("prove", 7, "--directory", log.directory, "--key", KEY).stdout
    path.write_text("".join(line for line in proof.splitlines(keepends=True) if not line.startswith("extra")))
    assert run("verify-proof", path, "--key", KEY, "--record", record).exit_code == 0
    result = run("prove", 7, "--directory", log.directory, "--key", KEY, "--output", tmp_path / "none" / "file")
    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_a_stranger_verifies_a_checkpoint_with_openssl(log: Published, tmp_path: Path) -> None:
    """As docs/audit.md says it: without any code of ours."""
    text, _, line = log.note.partition("\n\n")
    (tmp_path / "text").write_text(f"{text}\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(line.split(" ")[2])[4:])
    raw = base64.b64decode(KEY.split("+", 2)[2])[1:]
    pem = Ed25519PublicKey.from_public_bytes(raw).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text"]
    told = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Signature Verified Successfully" in told.stdout
    root = base64.b64decode(text.splitlines()[2])
    assert root == spec.mth(log.lines())
    assert hashlib.sha256(b"\0" + log.lines()[0]).digest() == (log.tlog / "tile/0/000").read_bytes()[:32]
