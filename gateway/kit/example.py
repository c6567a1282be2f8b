"""One signed request that everybody can reproduce: its string to sign and, by a secret for tests, its signature."""

import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from gateway.core.message import Instant
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.kit.facts import Facts, Signing
from gateway.signing.algorithms import PrivateKey, PrivateSigner
from gateway.signing.httpsig.digest import HASHES, DigestAlgorithm, write_digest
from gateway.signing.own import OwnKey
from gateway.signing.scheme import read_whole
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

AT = Instant(1_795_352_400.0)
"""2026-11-22T13:00:00Z."""

_DIGESTS: tuple[DigestAlgorithm, ...] = ("sha-256", "sha-512")

NONCE = "3f9a1c5e7b2d4860"
TOKEN = "example-token"  # noqa: S105 - of the example
SECRET = "only-for-tests-0123456789abcdef-0123456789abcdef-0123456789abcdef"  # noqa: S105 - published on purpose


class Example(NamedTuple):
    """A signed request."""

    string: bytes
    request: str
    """As it stands on the wire, but for the CR at the ends of its lines."""
    reproducible: bool
    """Whether it was signed by SECRET; else by a key that was thrown away."""


def example_of(facts: Facts, signing: Signing) -> Example:
    """Sign the sample. Raises ValueError or Denied where the scheme cannot sign it."""
    sample, scheme = signing.sample, signing.scheme
    body = sample.body.encode()
    authority = facts.base_url.partition("://")[2]
    fields = {"host": authority, **{name: _value(value) for name, value in sample.fields.items()}}
    if body:
        fields["content-length"] = str(len(body))
    for name, hashes in sample.digests.items():
        fields[name] = ", ".join(write_digest(body, each) for each in _DIGESTS if HASHES[each] in hashes)
    head = read_head(
        method=sample.method.encode(),
        target=sample.target.encode(),
        version="HTTP/1.1",
        fields=[(name.encode(), value.encode()) for name, value in fields.items()],
    )
    key = OwnKey(signing.key_id, signing.algorithm, _material(signing.algorithm))
    head, body = scheme.sign(head, body, key=key, now=AT, nonce=NONCE).applied(head, body)
    string = scheme.string_to_sign(head, body, read_whole(scheme, head, body, lambda _: True))
    lines = [f"{head.method} {head.target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.headers.fields)]
    return Example(string, "\n".join([*lines, "", body.decode()]), signing.algorithm in SECRET_ALGORITHMS)


def _value(value: str) -> str:
    return value.partition("$")[0] + TOKEN if "$" in value else value


def _material(algorithm: str) -> Secret | PrivateSigner:
    if algorithm in SECRET_ALGORITHMS:
        return Secret(SECRET.encode())
    key: PrivateKey
    if algorithm == "ed25519":
        key = Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
    elif algorithm.startswith("ecdsa"):
        curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
        key = ec.generate_private_key(curves[algorithm.split("-")[1]])
    else:
        key = generate_private_key(public_exponent=65_537, key_size=2_048)
    return PrivateSigner(algorithm, key)
