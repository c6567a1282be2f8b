"""Requests signed by RFC 9421: one for each algorithm, signed once and sent again and again."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.lab import SECRET, Lab
from gateway.core.message import Instant
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing.algorithms import PrivateKey, PrivateSigner
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.own import OwnKey

COVERED = ("@method", "@target-uri")

BODY = b'{"player":"p-100234","currency":"EUR","amount":"12.50","note":"' + 95 * b"x" + b'"}'


def scheme() -> HttpMessageScheme:
    """Give the scheme that the policy has."""
    return HttpMessageScheme("messages", tuple(map(Component.parse, COVERED)))


class Keys:
    """A key of each algorithm, made once a run."""

    def __init__(self) -> None:
        self._made: dict[str, OwnKey] = {}

    def own(self, algorithm: str) -> OwnKey:
        """Give the key."""
        if algorithm not in self._made:
            material = Secret(SECRET.encode()) if algorithm == "hmac-sha256" else _private(algorithm)
            self._made[algorithm] = OwnKey("partner-1", algorithm, material)
        return self._made[algorithm]

    def public(self, algorithm: str) -> bytes | None:
        """Give the public half as PEM; None of a shared secret."""
        key = self.own(algorithm)
        if isinstance(key.material, Secret):
            return None
        return key.private.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


KEYS = Keys()


def sign(lab: Lab, algorithm: str, authority: str, now: Instant) -> list[tuple[str, str]]:
    """Give the fields of a signed request with BODY, Host and Content-Length aside."""
    fields = [
        ("content-type", "application/json"),
        ("authorization", f"Bearer {(lab.folder / 'token').read_text()}"),
    ]
    head = read_head(
        method=b"POST",
        target=b"/wallet/debit",
        version="HTTP/1.1",
        fields=[
            (b"host", authority.encode()),
            (b"content-length", str(len(BODY)).encode()),
            *((name.encode(), value.encode()) for name, value in fields),
        ],
    )
    made = scheme().sign(head, BODY, key=KEYS.own(algorithm), now=now, nonce="once")
    return [*fields, *made.fields]


def write(lab: Lab, algorithm: str, authority: str, now: Instant) -> Path:
    """Write the request for `workload.lua`: a folder with `fields` and `body`."""
    folder = lab.folder / f"messages-{algorithm}"
    folder.mkdir(exist_ok=True)
    fields = sign(lab, algorithm, authority, now)
    (folder / "fields").write_text("".join(f"{name}: {value}\n" for name, value in fields))
    (folder / "body").write_bytes(BODY)
    return folder


def _private(algorithm: str) -> PrivateSigner:
    key: PrivateKey
    if algorithm == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    elif algorithm == "ecdsa-p256-sha256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return PrivateSigner(algorithm, key)
