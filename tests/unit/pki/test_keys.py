"""Facts of public keys."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.pki.keys import KeyFacts, key_facts, subject_key_facts
from tests.unit.pki.odd import LEAF_KEY, leaf


@pytest.mark.parametrize(
    ("key", "said", "weak"),
    [
        (rsa.generate_private_key(65537, 2048).public_key(), "RSA 2048", False),
        (rsa.generate_private_key(65537, 1024).public_key(), "RSA 1024", True),  # noqa: S505 - weak on purpose
        (dsa.generate_private_key(1024).public_key(), "DSA 1024", True),  # noqa: S505 - weak on purpose
        (ec.generate_private_key(ec.SECP384R1()).public_key(), "EC P-384", False),
        (ec.generate_private_key(ec.SECP224R1()).public_key(), "EC secp224r1", True),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "Ed25519", False),
        (ed448.Ed448PrivateKey.generate().public_key(), "Ed448", False),
        (x25519.X25519PrivateKey.generate().public_key(), "unknown", False),
    ],
)
def test_type_and_size(key: object, said: str, weak: bool) -> None:
    facts = key_facts(key)
    assert (str(facts), facts.weakness is not None) == (said, weak)


def test_the_fingerprint_is_openssls(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(
        LEAF_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "key.pem", "-outform", "DER"], capture_output=True, check=True
    ).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
    assert key_facts(LEAF_KEY.public_key()).fingerprint == digest.decode().split()[0]


def test_the_key_of_a_certificate() -> None:
    assert subject_key_facts(leaf()) == key_facts(LEAF_KEY.public_key())


def test_a_key_that_cannot_be_read_is_unknown() -> None:
    assert key_facts(None) == KeyFacts("unknown")
