"""The files around the golden policies: certificates, keys and secrets, made once a session."""

from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.tokens import TokenIssuer
from tests.mint import private_key

NOW = Instant(1_795_352_400.0)
"""2026-11-22T13:00:00Z, the time at which the policies are checked."""

BASE = Path(__file__).parent / "base"
"""A valid policy of three files, which cases replace one by one."""

ENVIRON = {
    "ACME_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
    "AUDIT_DIGEST_KEY": "0123456789abcdef0123456789abcdef",
    "OTHER_SIGNING_KEY": "fedcba9876543210fedcba9876543210",
    "SHORT_SIGNING_KEY": "correct horse",
    "EMPTY_SIGNING_KEY": "",
    "STATE_PASSWORD": "correct horse",
    "HEX_SIGNING_KEY": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
}

_KINDS = ("Ed25519", "P-256", "P-384", "P-521", "RSA-2048", "RSA-1024")

_VALID = Validity(Instant(NOW - 86_400), Instant(NOW + 86_400 * 365))
_PAST = Validity(Instant(NOW - 86_400 * 30), Instant(NOW - 86_400))


@dataclass(frozen=True)
class _Made:
    public: dict[str, bytes]
    private: dict[str, bytes]


@cache
def _made() -> _Made:
    partners, servers = Authority.root("Partners CA", _VALID), Authority.root("Operator CA", _VALID)
    names = Names("gate", dns=("localhost",), addresses=(ip_address("127.0.0.1"),))
    gate = servers.issue(names, Purpose.SERVER, _VALID)
    old = servers.issue(Names("old gate"), Purpose.SERVER, _PAST)
    signing = {kind: private_key(kind, "partner").public_key() for kind in _KINDS}
    pem = {kind: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for kind, key in signing.items()}
    encrypted = gate.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    return _Made(
        public={
            "gateway.pem": gate.certificate_pem(),
            "old.pem": old.certificate_pem(),
            "partners-ca.pem": partners.certificate_pem(),
            "operator-jwks.json": TokenIssuer.generate("https://idp.operator.example").key_set(),
            **{f"acme-{kind.lower()}.pem": data for kind, data in pem.items()},
            "acme-leaked.pem": pem["Ed25519"] + gate.key_pem(),
            "acme-two.pem": pem["Ed25519"] + pem["P-256"],
            "acme-torn.pem": pem["Ed25519"][:60],
            "broken.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "broken-jwks.json": b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]}',
        },
        private={
            "gateway.key": gate.key_pem(),
            "old.key": old.key_pem(),
            "encrypted.key": encrypted,
            "acme.secret": b"fedcba9876543210fedcba9876543210\n",
        },
    )


def make_files(folder: Path) -> None:
    """Write everything that a policy beside the folder `certs` may name."""
    certs = folder / "certs"
    certs.mkdir(parents=True)
    made = _made()
    for name, data in (*made.public.items(), *made.private.items()):
        (certs / name).write_bytes(data)
        (certs / name).chmod(0o600 if name in made.private else 0o644)
    (certs / "open.secret").write_bytes(made.private["acme.secret"])
    (certs / "open.secret").chmod(0o640)
    (certs / "folder").mkdir()
