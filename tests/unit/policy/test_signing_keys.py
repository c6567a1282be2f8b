import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Validity
from gateway.policy.inventory import Role
from gateway.policy.reader import Reader
from gateway.policy.signing_keys import MAX_KEY_BYTES, SigningKeyReader
from gateway.signing.algorithms import PublicVerifier
from tests import messages
from tests.mint import private_key
from tests.policy.files import ENVIRON, NOW
from tests.policy.reading import definition, problems, reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (
        ("ed25519.pem", messages.public_pem("ed25519")),
        ("rsa.pem", messages.public_pem("rsa-pss-sha512")),
        ("private.pem", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"),
        ("large.pem", b"\n" * (MAX_KEY_BYTES + 1)),
    ):
        (tmp_path / name).write_bytes(data)
    return tmp_path


def read(used: Reader, text: str, folder: Path) -> list[str]:
    keys, nodes = SigningKeyReader(used).read("acme", definition(text, folder / "p.yaml").node)
    assert list(keys) == list(nodes)
    return list(keys)


def test_a_public_key_and_a_secret(folder: Path) -> None:
    used = reader()
    text = (
        "[{id: a, algorithm: ed25519, public_key: ed25519.pem, not_after: 2027-01-01}, "
        "{id: b, algorithm: hmac-sha256, secret: env:ACME_SIGNING_KEY}]"
    )
    keys, nodes = SigningKeyReader(used).read("acme", definition(text, folder / "p.yaml").node)
    assert used.problems == []
    assert used.files == {folder / "ed25519.pem"}
    assert isinstance(keys["a"].material, PublicVerifier)
    assert keys["a"].public.verifies(b"message", messages.signer().sign(b"message"))
    assert keys["a"].not_after == 1_798_761_600.0
    assert keys["b"].secret.reveal() == ENVIRON["ACME_SIGNING_KEY"].encode()
    assert str(nodes["a"].trail) == "it[0].algorithm"


def test_one_key_may_have_two_algorithms_of_one_partner(folder: Path) -> None:
    used = reader()
    text = (
        "[{id: a, algorithm: rsa-pss-sha512, public_key: rsa.pem}, "
        "{id: b, algorithm: rsa-v1_5-sha256, public_key: rsa.pem}]"
    )
    assert read(used, text, folder) == ["a", "b"]
    assert used.problems == []


def test_one_public_key_is_one_partner(folder: Path) -> None:
    used = reader()
    reading = SigningKeyReader(used)
    for partner in ("one", "two"):
        text = f"[{{id: {partner}, algorithm: ed25519, public_key: ed25519.pem}}]"
        reading.read(partner, definition(text, folder / "p.yaml").node)
    (said,) = problems(used)
    assert "the same public key as one of partner `one`" in said


@pytest.mark.parametrize("name", ["private.pem", "large.pem", "rsa.pem", "none.pem"])
def test_what_is_wrong_with_a_file_is_told_without_it(folder: Path, name: str) -> None:
    used = reader()
    assert read(used, f"[{{id: a, algorithm: ed25519, public_key: {name}}}]", folder) == []
    (said,) = problems(used)
    assert "it[0].public_key: " in said
    assert "secret" not in said


def test_no_keys_at_all() -> None:
    assert SigningKeyReader(reader()).read("acme", None) == ({}, {})


def test_an_unknown_algorithm_beside_a_public_key_is_told_once(folder: Path) -> None:
    used = reader()
    assert read(used, "[{id: a, algorithm: es256, public_key: ed25519.pem}]", folder) == []
    assert used.errors == 1


def test_the_certificate_of_a_key_is_in_the_inventory(tmp_path: Path) -> None:
    authority = Authority.root("Partner CA", Validity(Instant(NOW - 60), Instant(NOW + 86_400)))
    (tmp_path / "acme.pem").write_bytes(authority.certificate_pem())
    used = reader()
    assert read(used, "[{id: a, algorithm: ecdsa-p256-sha256, public_key: acme.pem}]", tmp_path) == ["a"]
    (found,) = used.material
    assert (found.role, found.what) == (Role.SIGNATURES, authority.credential.certificate)
    assert found.file.endswith("acme.pem")


@pytest.mark.parametrize(
    ("written", "said"),
    [("whpk_{key}\n", ""), ("whpk_{key}", ""), ("whpk_AAAA", "no readable"), ("whpk_*{key}", "no readable")],
)
def test_a_public_key_of_standard_webhooks(written: str, said: str, tmp_path: Path) -> None:
    public = private_key("Ed25519", "partner").public_key()
    key = base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    (tmp_path / "webhooks.key").write_text(written.replace("{key}", key))
    used = reader()
    text = f"[{{id: a, algorithm: ed25519, public_key: {tmp_path}/webhooks.key}}]"
    keys, _ = SigningKeyReader(used).read("acme", definition(text).node)
    assert said in "".join(problems(used))
    assert bool(problems(used)) == bool(said)
    if not said:
        assert keys["a"].public.verifies(b"message", messages.signer().sign(b"message"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("secret: env:SHORT_SIGNING_KEY, allow_weak: {owner: a, until: 2027-01-01}", "has 13 bytes of at least 32"),
        ("secret: env:OTHER_SIGNING_KEY, allow_weak: {owner: a, until: 2027-01-01}", "the key is not weak"),
        ("secret: env:SHORT_SIGNING_KEY, allow_weak: {until: 2027-01-01}", "`owner` is missing"),
    ],
)
def test_a_short_secret_ends_with_its_exception(key: str, said: str) -> None:
    used = reader()
    text = f"[{{id: a, algorithm: hmac-sha256, not_after: 2027-06-30, {key}}}]"
    keys, _ = SigningKeyReader(used).read("acme", definition(text).node)
    assert said in problems(used)[0]
    assert keys["a"].not_after == 1_798_761_600.0
