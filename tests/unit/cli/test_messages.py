from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.cli.messages import known_key, own_key, read_file, request_in, request_of, scheme_of
from tests import messages, world
from tests.mint import private_key

URL = "https://API.example:8443/v1/d?a=1"
RAW = b"POST /v1/d HTTP/1.1\r\nhost: api.example\r\nX-A:  1 \r\ncontent-length: 2\r\n\r\nok"


def pem(kind: str) -> bytes:
    return private_key(kind, "partner").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_request_as_curl_is_told_of_it() -> None:
    head, body = request_of(URL, None, ["X-A: 1", "content-type:text/plain"], "ok")
    assert (head.method, head.target, head.authority, body) == ("POST", "/v1/d?a=1", "API.example:8443", b"ok")
    assert head.headers.fields[1:] == (("x-a", "1"), ("content-type", "text/plain"), ("content-length", "2"))
    head, body = request_of("https://api.example", "DELETE", ["Host: other.example"], None)
    assert (head.method, head.target, head.host, head.has_body) == ("DELETE", "/", "other.example", False)


def test_a_body_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff\n")
    assert request_of(URL, "PUT", [], f"@{tmp_path}/body").body == b"\xff\n"
    with pytest.raises(click.UsageError, match="No such file"):
        request_of(URL, "PUT", [], "@/nowhere/body")


@pytest.mark.parametrize(
    ("url", "header", "said"),
    [
        ("api.example/v1", "a: b", "is no URL"),
        ("ftp://api.example/v1", "a: b", "is no URL"),
        (URL, "a", "is no header"),
        (URL, "a: €", "no header can carry"),
        (URL, "a_b: 1", "has an underscore"),
        ("https://api.example/a//b", "a: b", "the gate refuses such a request"),
    ],
)
def test_what_is_no_request(url: str, header: str, said: str) -> None:
    with pytest.raises(click.ClickException, match=said):
        request_of(url, None, [header], None)


@pytest.mark.parametrize("raw", [RAW, RAW.replace(b"\r\n", b"\n"), RAW + b"\n"])
def test_a_request_in_a_file(raw: bytes) -> None:
    head, body = request_in(raw)
    assert (head.method, head.target, body) == ("POST", "/v1/d", b"ok")
    assert head.headers.single("x-a") == "1"


def test_a_length_may_be_missing_and_a_body_too() -> None:
    assert request_in(b"POST / HTTP/1.1\nhost: x\n\nok\n").head.content_length == 3
    assert not request_in(b"GET / HTTP/1.1\nhost: x\n").head.has_body


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "request line"),
        (b"POST /v1\nhost: x\n\n", "request line"),
        (RAW + b"more", "has 6 bytes"),
        (RAW.replace(b"content-length: 2", b"transfer-encoding: gzip"), "no other Transfer-Encoding"),
        (RAW.replace(b"host", b"hots"), "the gate refuses"),
    ],
)
def test_what_is_no_request_in_a_file(raw: bytes, said: str) -> None:
    with pytest.raises(click.ClickException, match=said):
        request_in(raw)


def test_a_file_has_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "body").write_bytes(b"123")
    monkeypatch.setattr("gateway.cli.messages.MAX_BODY", 2)
    with pytest.raises(click.UsageError, match="more than 2 bytes"):
        read_file(tmp_path / "body")


def test_schemes_by_name(tmp_path: Path) -> None:
    file = tmp_path / "schemes.yaml"
    one = "version: 1\nschemes:\n  bank: {preset: fapi2, nonce: required}\n"
    file.write_text(one)
    assert scheme_of(file, None).name == "bank"
    file.write_text(one + "  other: {preset: fapi2, nonce: required}\n")
    assert scheme_of(file, "other").name == "other"
    for text, name, said in (
        (None, None, "several schemes"), (None, "none", "no scheme 'none'"), ("version: 1\n", None, "no scheme"),
        ("version: 1\nschemes:\n  bank: {preset: none}\n", None, "is no preset"),
    ):  # fmt: skip
        if text is not None:
            file.write_text(text)
        with pytest.raises(click.UsageError, match=said):
            scheme_of(file, name)


def test_keys_of_files_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "00" * 32)
    for name in ("Ed25519", "RSA-2048"):
        (tmp_path / f"{name}.key").write_bytes(pem(name))
        (tmp_path / f"{name}.key").chmod(0o600)
    (tmp_path / "Ed25519.pem").write_bytes(messages.public_pem("ed25519"))
    scheme = messages.scheme()
    own = own_key(scheme, "k", "Ed25519.key", None, "utf-8", None)
    known = known_key(scheme, "k", "Ed25519.pem", None, "utf-8", None)
    assert known.public.verifies(b"m", own.private.sign(b"m"))
    assert own_key(scheme, "k", "RSA-2048.key", None, "utf-8", "rsa-pss-sha512").algorithm == "rsa-pss-sha512"
    secret = own_key(world.scheme(), "k", None, "env:SECRET", "hex", None)
    assert (secret.algorithm, secret.secret.reveal()) == ("hmac-sha256", bytes(32))
    assert known_key(world.scheme(), "k", None, "env:SECRET", "hex", None).secret.reveal() == bytes(32)


@pytest.mark.parametrize(
    ("private", "secret", "algorithm", "said"),
    [
        (None, None, None, "one of them"),
        ("RSA-2048.key", "env:SECRET", None, "one of them"),
        ("RSA-2048.key", None, None, "choose one with --algorithm"),
        ("RSA-2048.key", None, "ed25519", "the key is not for ed25519"),
        ("P-521.key", None, None, "fits no algorithm"),
        ("none.key", None, None, "does not exist"),
        (None, "env:NOT_SET_ANYWHERE", None, "NOT_SET_ANYWHERE"),
        (None, "0123", None, "does not stand in a policy"),
    ],
)
def test_keys_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: str | None, secret: str | None, algorithm: str | None,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("RSA-2048", "P-521"):
        (tmp_path / f"{name}.key").write_bytes(pem(name))
    with pytest.raises(click.UsageError, match=said):
        own_key(messages.scheme(), "k", private, secret, "utf-8", algorithm)
