from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from gateway.pki.authority import Authority, Validity
from gateway.pki.signatures import Signed, may_sign_lists
from tests.world import NOW

DATA = b"what an authority says"
SHA = hashes.SHA256()
RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
ED25519, ED448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
V15, PSS = padding.PKCS1v15(), padding.PSS(padding.MGF1(SHA), padding.PSS.DIGEST_LENGTH)

KINDS: dict[str, tuple[Any, bytes, Any, Any]] = {
    "RSA": (RSA, RSA.sign(DATA, V15, SHA), SHA, V15),
    "RSA-PSS": (RSA, RSA.sign(DATA, PSS, SHA), SHA, PSS),
    "ECDSA": (EC, EC.sign(DATA, ec.ECDSA(hashes.SHA384())), hashes.SHA384(), ec.ECDSA(hashes.SHA384())),
    "Ed25519": (ED25519, ED25519.sign(DATA), None, None),
    "Ed448": (ED448, ED448.sign(DATA), None, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_its_keys_and_nobody_elses(kind: str) -> None:
    key, signature, algorithm, parameters = KINDS[kind]
    signed = Signed(DATA, signature, algorithm, parameters)
    assert signed.by(key.public_key())
    assert not any(signed.by(other.public_key()) for other, *_ in KINDS.values() if other is not key)
    assert not Signed(DATA + b".", signature, algorithm, parameters).by(key.public_key())
    assert not Signed(DATA, signature[::-1], algorithm, parameters).by(key.public_key())


def test_an_algorithm_that_can_be_forged_is_an_error() -> None:
    with pytest.raises(ValueError, match="SHA1, which is not taken"):
        Signed(DATA, b"", hashes.SHA1(), V15)  # noqa: S303


def test_keys_of_other_kinds_sign_nothing() -> None:
    key = dsa.generate_private_key(2048)
    assert not Signed(DATA, key.sign(DATA, SHA), SHA, None).by(key.public_key())
    assert not Signed(DATA, b"", SHA, None).by("no key")


def test_an_authority_may_sign_lists() -> None:
    assert may_sign_lists(Authority.root("CA", Validity.around(NOW, days=1)).credential.certificate)
