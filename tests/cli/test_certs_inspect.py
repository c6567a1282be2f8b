"""`gateway certs inspect`."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.certs import certs
from tests.unit.pki.odd import leaf


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(certs, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ca")
    run("ca", made)
    run("issue", made, "acme", "--client", "--uri", "spiffe://acme.example/casino")
    return made


def openssl(*command: str | Path) -> str:
    return subprocess.run(["openssl", *command], capture_output=True, check=True, text=True).stdout


def test_a_certificate_with_its_pins_as_the_policy_takes_them(folder: Path) -> None:
    result = run("inspect", folder / "acme.pem", "--as", "client")
    assert result.exit_code == 0
    fingerprint = openssl("x509", "-in", folder / "acme.pem", "-noout", "-fingerprint", "-sha256").partition("=")[2]
    assert f"    fingerprint  {fingerprint.strip().replace(':', '').lower()}\n" in result.output
    for line in (
        "certificate  CN=acme,O=DEVELOPMENT ONLY",
        "issuer       CN=Development CA,O=DEVELOPMENT ONLY",
        "names        URI:spiffe://acme.example/casino",
        "use          no CA; digitalSignature; clientAuth",
        "key          EC P-256",
        "days left",
    ):
        assert line in result.output


def test_a_key_is_never_shown(folder: Path) -> None:
    result = run("inspect", folder / "acme.key")
    assert result.exit_code == 0
    said = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert set(said) == {str(folder / "acme.key"), "private", "key", "public_key"}
    certificate = json.loads(run("inspect", folder / "acme.pem", "--json").output)["files"][0]["items"][0]
    assert said["public_key"] == [certificate["public_key"]]


def test_a_key_that_others_can_read_is_objected_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open.key").write_bytes((folder / "acme.key").read_bytes())
    (tmp_path / "open.key").chmod(0o644)
    result = run("inspect", tmp_path / "open.key")
    assert result.exit_code == 1
    assert "objection    may be read by others than its owner: run `chmod 600` on it" in result.output


def test_objections_make_the_exit_code_1(folder: Path) -> None:
    result = run("inspect", folder / "acme.pem", "--as", "server")
    assert result.exit_code == 1
    assert "objection    not for servers: its extended key usage lacks serverAuth" in result.output


def test_of_a_chain_only_the_first_is_for_the_use(folder: Path, tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes((folder / "acme.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    result = run("inspect", chain, "--as", "client", "--json")
    assert result.exit_code == 0
    assert [item["ca"] for item in json.loads(result.output)["files"][0]["items"]] == [False, True]
    assert run("inspect", chain, "--as", "ca").exit_code == 1


def test_json_has_every_file(folder: Path) -> None:
    said = json.loads(run("inspect", folder / "ca.pem", folder / "ca.key", "--json").output)
    assert [(each["file"], each["items"][0]["kind"]) for each in said["files"]] == [
        (str(folder / "ca.pem"), "certificate"),
        (str(folder / "ca.key"), "private key"),
    ]


def test_what_cannot_be_read_is_objected_to(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    result = run("inspect", tmp_path / "x.txt")
    assert result.exit_code == 1
    assert "unreadable  the file" in result.output
    assert "hello" not in result.output


def test_an_expired_certificate_says_so(tmp_path: Path) -> None:
    old = leaf(subject="old\x1b[31m", days=(-9_000, -8_000))
    (tmp_path / "c").write_bytes(old.public_bytes(Encoding.PEM))
    result = run("inspect", tmp_path / "c")
    assert result.exit_code == 1
    assert "objection    expired on" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", ["none.pem", "."])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    result = run("inspect", tmp_path / name)
    assert result.exit_code == 2
    assert "does not exist" in result.output or "is not a file" in result.output
