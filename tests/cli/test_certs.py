"""`gateway certs ca` and `gateway certs issue`."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.certs import certs


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(certs, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert run("ca", tmp_path / "ca").exit_code == 0
    return tmp_path / "ca"


def test_a_ca_says_what_it_is_and_what_to_do_with_it(tmp_path: Path) -> None:
    result = run("ca", tmp_path, "--name", "Acme test CA", "--days", "7")
    assert result.exit_code == 0
    assert f"{tmp_path}/ca.pem  to be trusted" in result.output
    assert "DEVELOPMENT ONLY" in result.output
    assert "PRIVATE KEY" not in result.output
    command = ["openssl", "x509", "-in", tmp_path / "ca.pem", "-noout", "-subject", "-checkend", str(6 * 86_400)]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "O = DEVELOPMENT ONLY, CN = Acme test CA" in said


def test_nothing_is_overwritten(folder: Path) -> None:
    result = run("ca", folder)
    assert (result.exit_code, "already there: use another folder" in result.output) == (1, True)
    run("issue", folder, "acme", "--client")
    result = run("issue", folder, "acme", "--client")
    assert (result.exit_code, "already there: use another name" in result.output) == (1, True)


def test_a_server_certificate(folder: Path) -> None:
    result = run("issue", folder, "gate", "--server", "--dns", "localhost", "--ip", "127.0.0.1", "--ip", "::1")
    assert result.exit_code == 0
    assert "for a server, until" in result.output
    assert f"tls: {{certificate: {folder}/gate.pem, key: {folder}/gate.key" in result.output
    for option, name in (("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder / "ca.pem"]
        subprocess.run([*command, option, name, folder / "gate.pem"], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--uri", "spiffe://acme.example/casino"], 'certificate: {san_uri: "spiffe://acme.example/casino"}'),
        (["--dns", "Acme.example"], "certificate: {san_dns: acme.example}"),
        ([], "certificate: {public_key: …}"),
    ],
)
def test_a_client_certificate(folder: Path, options: list[str], said: str) -> None:
    result = run("issue", folder, "acme", "--client", "--days", "7", *options)
    assert result.exit_code == 0
    assert said in result.output
    assert "the CA ends then" not in result.output
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", folder / "ca.pem"]
    subprocess.run([*command, folder / "acme.pem"], capture_output=True, check=True)


def test_the_end_of_the_ca_is_told_of(folder: Path) -> None:
    assert (
        "that is less than 1000 days: the CA ends then"
        in run("issue", folder, "acme", "--client", "--days", "1000").output
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acme"], "--server or --client, one of them"),
        (["acme", "--server", "--client"], "--server or --client, one of them"),
        (["acme", "--server"], "--dns localhost, or --ip 127.0.0.1"),
        (["ca", "--client"], "is no name for files"),
        (["../acme", "--client"], "is no name for files"),
        (["acme", "--client", "--dns", "*.example"], "is no host"),
        (["acme", "--client", "--uri", "acme"], "--uri"),
        (["acme", "--client", "--ip", "300.0.0.1"], "--ip"),
        (["acme", "--client", "--days", "0"], "--days"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(folder: Path, arguments: list[str], said: str) -> None:
    result = run("issue", folder, *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem"]


@pytest.mark.parametrize("name", ["", "\x1b[31m", "x" * 65])
def test_a_name_that_a_ca_cannot_have(tmp_path: Path, name: str) -> None:
    result = run("ca", tmp_path, "--name", name)
    assert (result.exit_code, "no name for a CA" in result.output) == (2, True)


def test_a_folder_without_a_ca(tmp_path: Path) -> None:
    result = run("issue", tmp_path, "acme", "--client")
    assert result.exit_code == 1
    assert f"make a CA with `gateway certs ca {tmp_path}`" in result.output


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("ca", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "Not a directory" in result.output
