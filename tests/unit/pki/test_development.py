"""A development CA in a folder, held against openssl and a real handshake."""

import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.development import MARK, DevelopmentError, create, is_development, issue

NOW = Instant(time.time())
YEAR = Validity.around(NOW, days=365)
MONTH = Validity.around(NOW, days=30)
SERVER = Names("gate", MARK, dns=("localhost",))
CLIENT = Names("acme", MARK, uris=("spiffe://acme.example/casino",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "ca", "Test CA", YEAR)
    return tmp_path / "ca"


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_their_owners_alone(folder: Path) -> None:
    pair, _ = issue(folder, "gate", SERVER, Purpose.SERVER, MONTH)
    assert [(folder / name).stat().st_mode & 0o777 for name in ("ca.key", "gate.key")] == [0o600, 0o600]
    assert (pair.certificate, pair.key) == (folder / "gate.pem", folder / "gate.key")


def test_openssl_verifies_what_it_issues(folder: Path) -> None:
    for name, names, purpose, openssl in (
        ("gate", SERVER, Purpose.SERVER, "sslserver"),
        ("acme", CLIENT, Purpose.CLIENT, "sslclient"),
    ):
        pair, _ = issue(folder, name, names, purpose, MONTH)
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", openssl, "-CAfile", folder / "ca.pem", pair.certificate],
            capture_output=True, check=True,
        )  # fmt: skip
        said = subprocess.run(
            ["openssl", "x509", "-in", pair.certificate, "-noout", "-issuer", "-ext", "subjectAltName"],
            capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip
        assert MARK in said
        assert ("DNS:localhost" if purpose is Purpose.SERVER else "URI:spiffe://acme.example/casino") in said


def test_both_sides_shake_hands(folder: Path) -> None:
    server, _ = issue(folder, "gate", SERVER, Purpose.SERVER, MONTH)
    client, _ = issue(folder, "acme", CLIENT, Purpose.CLIENT, MONTH)
    contexts = []
    for purpose, pair in ((ssl.Purpose.CLIENT_AUTH, server), (ssl.Purpose.SERVER_AUTH, client)):
        context = ssl.create_default_context(purpose, cafile=str(folder / "ca.pem"))
        context.load_cert_chain(pair.certificate, pair.key)
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with contexts[0].wrap_socket(accepted, server_side=True) as secured:
                seen.append((secured.getpeercert() or {})["subjectAltName"])
                secured.sendall(b"hello")

        serving = threading.Thread(target=serve)
        serving.start()
        with (
            socket.create_connection(listening.getsockname()) as plain,
            contexts[1].wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            assert secured.recv(5) == b"hello"
        serving.join()
    assert seen == [(("URI", "spiffe://acme.example/casino"),)]


def test_nothing_outlives_the_ca(tmp_path: Path) -> None:
    ca = create(tmp_path, "Short CA", Validity.around(NOW, days=2))
    pair, made = issue(tmp_path, "acme", CLIENT, Purpose.CLIENT, MONTH)
    assert load(pair.certificate).not_valid_after_utc == load(ca.certificate).not_valid_after_utc
    assert is_development(made.certificate)


def test_a_ca_that_has_expired_issues_nothing(tmp_path: Path) -> None:
    create(tmp_path, "Old CA", Validity(Instant(NOW - 864_000), Instant(NOW - 86_400)))
    with pytest.raises(DevelopmentError, match="has expired: make a new one"):
        issue(tmp_path, "acme", CLIENT, Purpose.CLIENT, MONTH)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_a_ca_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(DevelopmentError, match=f"{name} already there"):
        create(tmp_path, "CA", YEAR)
    assert (tmp_path / name).read_text() == "mine"


def test_nor_is_what_it_issued(folder: Path) -> None:
    (folder / "acme.key").symlink_to("elsewhere")
    with pytest.raises(DevelopmentError, match=r"acme\.key already there: use another name"):
        issue(folder, "acme", CLIENT, Purpose.CLIENT, MONTH)
    assert not (folder / "acme.pem").exists()


def test_a_folder_without_a_ca(tmp_path: Path) -> None:
    with pytest.raises(DevelopmentError, match=r"no .*ca\.pem: make a CA with `gateway certs ca "):
        issue(tmp_path, "acme", CLIENT, Purpose.CLIENT, MONTH)


def test_a_key_of_another_ca(tmp_path: Path, folder: Path) -> None:
    other = create(tmp_path / "other", "Other CA", YEAR)
    (folder / "ca.key").write_bytes(other.key.read_bytes())
    with pytest.raises(DevelopmentError, match="is not the key of"):
        issue(folder, "acme", CLIENT, Purpose.CLIENT, MONTH)


def test_a_ca_that_cannot_be_read(folder: Path) -> None:
    (folder / "ca.key").write_text("broken")
    with pytest.raises(DevelopmentError, match="cannot be read"):
        issue(folder, "acme", CLIENT, Purpose.CLIENT, MONTH)


def test_a_real_ca_is_not_issued_from(tmp_path: Path) -> None:
    real = Authority.root("Operator CA", YEAR).credential
    (tmp_path / "ca.pem").write_bytes(real.certificate_pem())
    (tmp_path / "ca.key").write_bytes(real.key_pem())
    with pytest.raises(DevelopmentError, match="is no development CA"):
        issue(tmp_path, "acme", CLIENT, Purpose.CLIENT, MONTH)
    assert not is_development(real.certificate)
