from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.policy.gateway_keys import read_gateway_key
from gateway.policy.inventory import Role
from gateway.signing.algorithms import PrivateSigner, PublicVerifier
from gateway.signing.own import OwnKey
from tests import messages
from tests.mint import private_key
from tests.policy.reading import definition, problems, reader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a private key."""
    file = tmp_path / "gate.key"
    file.touch(0o600)
    pem = private_key("Ed25519", "partner").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem)
    return tmp_path


def read(text: str, folder: Path) -> OwnKey | None:
    used = reader()
    found = read_gateway_key(used, "gate", definition(text, folder / "p.yaml"))
    assert used.problems == [], problems(used)
    return found


def test_a_private_key(folder: Path) -> None:
    key = read("{algorithm: ed25519, private_key: gate.key, not_before: 2026-01-01, not_after: 2027-01-01}", folder)
    assert key is not None
    assert isinstance(key.material, PrivateSigner)
    assert (key.id, key.algorithm, key.not_before, key.not_after) == ("gate", "ed25519", 1767225600.0, 1798761600.0)
    assert messages.signing_key("ed25519").public.verifies(b"m", key.private.sign(b"m"))


def test_a_secret_and_another_id(folder: Path) -> None:
    key = read("{id: 'https://psp.example/key#1', algorithm: hmac-sha256, secret: env:ACME_SIGNING_KEY}", folder)
    assert key is not None
    assert isinstance(key.material, Secret)
    assert key.id == "https://psp.example/key#1"


@pytest.mark.parametrize(
    "text", ["[]", "{algorithm: none}", "{private_key: gate.key}", "{algorithm: rsa-pss-sha512, private_key: gate.key}"]
)
def test_what_is_no_key(text: str, folder: Path) -> None:
    used = reader()
    assert read_gateway_key(used, "gate", definition(text, folder / "p.yaml")) is None
    assert used.errors


def test_the_gates_keys_are_in_the_inventory_and_nothing_secret_of_them(folder: Path) -> None:
    used = reader()
    text = "{algorithm: ed25519, private_key: gate.key, not_after: 2027-01-01}"
    read_gateway_key(used, "gate", definition(text, folder / "p.yaml"))
    read_gateway_key(used, "gate-2", definition("{algorithm: hmac-sha256, secret: env:ACME_SIGNING_KEY}"))
    assert [(each.role, each.label, each.not_after) for each in used.material] == [
        (Role.SIGNS, "key gate", 1798761600.0), (Role.SIGNS, "key gate-2", None)
    ]  # fmt: skip
    assert isinstance(used.material[0].what, SigningKey)
    assert isinstance(used.material[0].what.material, PublicVerifier)


def test_a_key_that_others_may_read_is_warned_of(folder: Path) -> None:
    (folder / "gate.key").chmod(0o644)
    used = reader()
    assert read_gateway_key(used, "gate", definition("{algorithm: ed25519, private_key: gate.key}", folder / "p.yaml"))
    assert ["may be read by others" in one for one in problems(used)] == [True]
