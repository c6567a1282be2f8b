"""Requests signed by RFC 9421, and the keys of every algorithm, for the tests of HTTP Message Signatures."""

from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing.algorithms import ALGORITHMS, PrivateSigner, PublicVerifier, SecretSigner, Signer
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.sign import Terms
from gateway.signing.own import OwnKey
from gateway.signing.window import Window
from tests.mint import NOW, private_key

HOST = "api.psp.example"
BODY = b'{"amount": "10.00", "currency": "EUR"}'
WINDOW = Window(60.0, 5.0)
SECRET = b"0123456789abcdef0123456789abcdef"
KINDS = {
    "ed25519": "Ed25519",
    "ecdsa-p256-sha256": "P-256",
    "ecdsa-p384-sha384": "P-384",
    "rsa-pss-sha512": "RSA-2048",
    "rsa-v1_5-sha256": "RSA-2048",
    "rsa-pss-sha256": "RSA-2048",
    "rsa-v1_5-sha512": "RSA-2048",
    "ecdsa-p521-sha512": "P-521",
    "rsa-v1_5-sha1": "RSA-2048",
}


def signer(algorithm: str = "ed25519", name: str = "partner") -> Signer:
    """Give the session's signer by an algorithm; `name` makes others."""
    if algorithm == "hmac-sha256":
        return SecretSigner(Secret(SECRET))
    return PrivateSigner(algorithm, private_key(KINDS[algorithm], name))


def public_pem(algorithm: str, name: str = "partner") -> bytes:
    """Give the PEM file of a public key."""
    public = private_key(KINDS[algorithm], name).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signing_key(algorithm: str = "ed25519", **changes: Any) -> SigningKey:
    """Give the partner's key of an algorithm, whose id is the algorithm's name."""
    material = (
        Secret(SECRET)
        if algorithm == "hmac-sha256"
        else PublicVerifier(algorithm, private_key(KINDS[algorithm], "partner").public_key())
    )
    return SigningKey(**{"id": algorithm, "algorithm": algorithm, "material": material, **changes})


def own_key(algorithm: str = "ed25519") -> OwnKey:
    """Give that key as the partner has it."""
    made = signer(algorithm)
    return OwnKey(algorithm, algorithm, made if isinstance(made, PrivateSigner) else Secret(SECRET))


def keys() -> dict[str, SigningKey]:
    """Give the partner's keys, one of each algorithm."""
    return {algorithm: signing_key(algorithm) for algorithm in ALGORITHMS}


def components(*written: str) -> tuple[Component, ...]:
    """Give components as a policy writes them."""
    return tuple(map(Component.parse, written))


def answers(*covered: str, **changes: Any) -> AnswerRules:
    """Give the rules of answers that cover these components."""
    return AnswerRules(components(*covered), **changes)


def scheme(*covered: str, **changes: Any) -> HttpMessageScheme:
    """Give a scheme; without arguments, the one that the documentation recommends."""
    wanted = components(*(covered or ("@method", "@target-uri")))
    return HttpMessageScheme(**{"name": "rfc9421", "covered": wanted, **changes})


def head(
    *fields: tuple[str, str], method: str = "POST", target: str = "/v1/deposits?dry=no", body: bytes = BODY
) -> RequestHead:
    """Read a head with more fields than Host and Content-Length."""
    own = [("host", HOST), *([("content-length", str(len(body)))] if body else []), *fields]
    return read_head(
        method=method.encode(),
        target=target.encode(),
        version="HTTP/1.1",
        fields=[(name.encode(), value.encode("latin-1")) for name, value in own],
    )


def terms(**changes: Any) -> Terms:
    """Give the parameters of a signature made now."""
    return Terms(**{"created": NOW, "key_id": "ed25519", "nonce": "nonce-1", **changes})


def signed(
    plain: RequestHead | None = None,
    body: bytes = BODY,
    *,
    by: HttpMessageScheme | None = None,
    algorithm: str = "ed25519",
    **parameters: Any,
) -> RequestHead:
    """Give a request with the fields that its client adds."""
    plain = plain or head(body=body)
    given = terms(**{"key_id": algorithm, **parameters})
    return with_fields(plain, *(by or scheme()).sign_on(plain, body, signer=signer(algorithm), terms=given))


def with_fields(plain: RequestHead, *fields: tuple[str, str]) -> RequestHead:
    """Give a head in which these fields stand instead of those of their names."""
    names = {name for name, _ in fields}
    kept = [(name, value) for name, value in plain.headers.fields if name not in names]
    return plain._replace(headers=Headers([*kept, *fields]))


def field(request: RequestHead, name: str) -> str:
    """Give the value of a field that stands once."""
    value = request.headers.single(name)
    assert value is not None
    return value


def later(seconds: float) -> Instant:
    """Give a time after NOW."""
    return Instant(NOW + seconds)
