import re
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.core.secret import Secret
from gateway.signing.algorithms import (
    ALGORITHMS,
    PUBLIC_KEY_ALGORITHMS,
    PrivateSigner,
    PublicVerifier,
    SecretSigner,
)
from tests.messages import KINDS, SECRET, signer, signing_key
from tests.mint import private_key

LENGTHS = {"ed25519": 64, "ecdsa-p256-sha256": 64, "ecdsa-p384-sha384": 96, "ecdsa-p521-sha512": 132}


@pytest.mark.parametrize("algorithm", PUBLIC_KEY_ALGORITHMS)
def test_what_is_signed_verifies_and_nothing_else(algorithm: str) -> None:
    verifier = signing_key(algorithm).public
    signature = signer(algorithm).sign(b"message")
    assert len(signature) == LENGTHS.get(algorithm, 256)
    assert verifier.verifies(b"message", signature)
    assert not verifier.verifies(b"massage", signature)
    assert not verifier.verifies(b"message", signer(algorithm, "other").sign(b"message"))
    assert not verifier.verifies(b"message", signature + b"\0")
    assert not verifier.verifies(b"message", b"")


def test_a_shared_secret_signs() -> None:
    assert SecretSigner(Secret(SECRET)).sign(b"message") == Secret(SECRET).mac("sha256").digest(b"message")
    assert SecretSigner(Secret(SECRET)).algorithm == "hmac-sha256"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys_are_not_shown(algorithm: str) -> None:
    assert repr(signer(algorithm)) in (f"PrivateSigner('{algorithm}')", "SecretSigner(secret=Secret(…))")
    assert "key=" not in repr(signing_key(algorithm).material)


@pytest.mark.parametrize(
    ("algorithm", "kind", "said"),
    [
        ("ed25519", "P-256", "is a key on the curve secp256r1, not an Ed25519 key"),
        ("ecdsa-p256-sha256", "P-384", "is a key on the curve secp384r1, not a key on the curve P-256"),
        ("ecdsa-p384-sha384", "P-256", "is a key on the curve secp256r1, not a key on the curve P-384"),
        ("ecdsa-p256-sha256", "Ed25519", "is an Ed25519 key, not a key on the curve P-256"),
        ("rsa-pss-sha512", "Ed25519", "is an Ed25519 key, not an RSA key"),
        ("rsa-v1_5-sha256", "RSA-1024", "is an RSA key of 1024 bits; 2048 to 8192 are taken"),
        ("ecdsa-p384-sha384", "RSA-2048", "is an RSA key, not a key on the curve P-384"),
        ("hmac-sha256", "Ed25519", "'hmac-sha256' is none of ed25519, ecdsa-p256-sha256"),
    ],
)
def test_a_key_is_fit_for_its_algorithm(algorithm: str, kind: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        PublicVerifier(algorithm, private_key(kind).public_key())
    with pytest.raises(ValueError, match=re.escape(said)):
        PrivateSigner(algorithm, private_key(kind))


def test_keys_that_no_algorithm_has() -> None:
    other: Any = x25519.X25519PrivateKey.generate().public_key()
    with pytest.raises(ValueError, match="a key of another kind, not an Ed25519 key"):
        PublicVerifier("ed25519", other)


def test_weak_keys_of_the_right_kind() -> None:
    with pytest.raises(ValueError, match="low order"):
        PublicVerifier("ed25519", Ed25519PublicKey.from_public_bytes(b"\0" * 32))
    numbers = private_key("RSA-2048").public_key().public_numbers()
    assert isinstance(numbers, rsa.RSAPublicNumbers)
    with pytest.raises(ValueError, match="exponent is below 65537"):
        PublicVerifier("rsa-pss-sha512", rsa.RSAPublicNumbers(3, numbers.n).public_key())


def test_one_key_has_one_fingerprint() -> None:
    public = private_key("RSA-2048", "partner").public_key()
    one, other = (PublicVerifier(name, public) for name in ("rsa-pss-sha512", "rsa-v1_5-sha256"))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != PublicVerifier("ed25519", private_key("Ed25519").public_key()).fingerprint


def test_what_can_be_told_of_a_signature_that_does_not_verify() -> None:
    key = private_key(KINDS["rsa-pss-sha512"], "partner")
    assert isinstance(key, rsa.RSAPrivateKey)
    longest = padding.PSS(padding.MGF1(hashes.SHA512()), padding.PSS.MAX_LENGTH)
    signature = key.sign(b"message", longest, hashes.SHA512())
    verifier = signing_key("rsa-pss-sha512").public
    assert not verifier.verifies(b"message", signature)
    assert "salt of another length than the 64 octets" in verifier.explain(b"message", signature)
    assert verifier.explain(b"massage", signature) == ""
    assert verifier.explain(b"message", b"1234") == "has 4 octets, the key makes 256"
    assert signing_key("ed25519").public.explain(b"message", bytes(64)) == ""


def test_ecdsa_in_der_is_refused() -> None:
    key = private_key("P-256", "partner")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert not signing_key("ecdsa-p256-sha256").public.verifies(
        b"message", key.sign(b"message", ec.ECDSA(hashes.SHA256()))
    )
