"""`gateway sign`."""

import hmac
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.sign import sign
from gateway.cli.verify import verify

SECRET = {"KEY": "0123456789abcdef0123456789abcdef"}
POLICY = """\
version: 1
schemes:
  wallet:
    algorithm: hmac-sha256
    string_to_sign: [method, target, timestamp, nonce, body]
    key_id: {header: X-Key-Id}
    timestamp: {header: X-Timestamp}
    nonce: {header: X-Nonce}
    signature: {header: X-Signature}
"""
URL = "https://api.example/v1/deposits?x=1"
BASE = ["--key-id", "acme", "--secret", "env:KEY", "--nonce", "n-1", "--created", "2026-11-22T13:00:00Z"]
SIGNED = "POST\n/v1/deposits?x=1\n1795352400\nn-1\nit's"
SIGNATURE = hmac.digest(SECRET["KEY"].encode(), SIGNED.encode(), "sha256").hex()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path / "policy.yaml"


def run(policy: Path, *options: str) -> Result:
    return CliRunner(env=SECRET).invoke(sign, [str(policy), URL, *BASE, *options])


def test_a_curl_command_that_the_shell_understands(policy: Path, tmp_path: Path) -> None:
    result = run(policy, "-d", "it's", "-H", "x-note: $HOME", "--cacert", "my ca.pem")
    assert result.exit_code == 0, result.output
    shell = f"curl() {{ printf '%s\\n' \"$@\" > {tmp_path}/words; }}\n{result.output}"
    subprocess.run(["/bin/sh", "-c", shell], check=True)
    assert (tmp_path / "words").read_text().splitlines() == [
        "--cacert", "my ca.pem", "--path-as-is", "-X", "POST", "-H", "x-note: $HOME", "-H", "x-key-id: acme",
        "-H", "x-timestamp: 1795352400", "-H", "x-nonce: n-1", "-H",
        f"x-signature: {SIGNATURE}", "-H", "content-type:",
        "--data-binary", "it's", URL,
    ]  # fmt: skip


def test_the_string_to_sign_and_the_request(policy: Path) -> None:
    assert run(policy, "-d", "it's", "--print", "string").output == SIGNED + "\n"
    lines = run(policy, "-d", "it's", "--print", "http").output.splitlines()
    assert lines[0] == "POST /v1/deposits?x=1 HTTP/1.1"
    assert lines[-2:] == ["", "it's"]


def test_what_it_signs_it_verifies(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "request").write_text(run(policy, "-d", "it's", "--print", "http").output)
    options = ["--secret", "env:KEY", "--at", "2026-11-22T13:00:05Z"]
    result = CliRunner(env=SECRET).invoke(verify, [str(policy), "--request", str(tmp_path / "request"), *options])
    assert result.exit_code == 0, result.output


def test_bodies_of_files_stay_there(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff\x00")
    assert f"--data-binary @{tmp_path}/body" in run(policy, "-d", f"@{tmp_path}/body").output
    assert "is given as -d @FILE" in run(policy, "-d", "\udcff").output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--created", "now"], "is no point in time"),
        (["--nonce", "n\n1"], "refuse the request"),
        (["--secret", "env:NONE"], "NONE"),
        (["--send", "--cacert", "/nowhere.pem"], "certificates"),
        (["--scheme", "none"], "no scheme 'none'"),
    ],
)
def test_what_cannot_be_signed(policy: Path, options: list[str], said: str) -> None:
    result = run(policy, *options)
    assert result.exit_code != 0
    assert said in result.output
    assert SECRET["KEY"] not in result.output


def test_an_answer_that_does_not_come(policy: Path) -> None:
    arguments = [str(policy), "http://127.0.0.1:1/v1", *BASE, "--send"]
    result = CliRunner(env=SECRET).invoke(sign, arguments)
    assert (result.exit_code, "127.0.0.1:1" in result.output) == (1, True)
