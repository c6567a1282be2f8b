"""The lab: the folder with all keys, certificates and tokens of the workload, made anew for each run."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import random_serial_number
from jwt.algorithms import RSAAlgorithm

from benchmarks.processes import Command, output
from gateway.core.message import Instant
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.files import write_private, write_public

HERE = Path(__file__).parent

SECRET = (HERE / "reference.secret").read_text().rstrip("\n")
"""The signing key, published with the workload."""

TOKEN_SECONDS = 86_400

REVOKED = 100_000
"""Entries of the revocation list."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Where the files are."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """What the servers and the load generators find in their environment."""
        return {"LAB": str(self.folder), "SECRET": SECRET}

    @property
    def client_environ(self) -> dict[str, str]:
        """As `environ`, for a load generator that has to show the client certificate."""
        return {
            **self.environ,
            "CLIENT_CERTIFICATE": str(self.folder / "client-full.pem"),
            "LD_PRELOAD": str(self.folder / "client_certificate.so"),
        }

    def fill(self, template: Path, values: dict[str, str]) -> Path:
        """Write a configuration from its template, in which names stand between @ signs; gives the file."""
        text = template.read_text()
        for name, value in {"LAB": str(self.folder), "PEERS": str(HERE / "peers"), **values}.items():
            text = text.replace(f"@{name}@", value)
        file = self.folder / template.name
        file.write_text(text)
        return file


def make(folder: Path) -> Lab:
    """Make everything in `folder`. Raises BenchError where the C compiler does not get along."""
    library = folder / "client_certificate.so"
    output(Command(["gcc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "client_certificate.c", "-ldl", "-lssl"]))
    write_public(folder / "ca.crl", revocation_list(_make_keys(folder), REVOKED))
    return Lab(folder)


def make_keys(folder: Path) -> Lab:
    """Make the keys, certificates and tokens alone: all that the gate's policy names."""
    _make_keys(folder)
    return Lab(folder)


def revocation_list(authority: Authority, count: int) -> bytes:
    """Make a list of an authority on which `count` certificates stand, none of them the workload's."""
    issuer, now = authority.credential.certificate, datetime.now(UTC)  # noqa: TID251 - it begins now
    revoked = [
        x509.RevokedCertificateBuilder().serial_number(random_serial_number()).revocation_date(now).build()
        for _ in range(count)
    ]
    builder = x509.CertificateRevocationListBuilder(issuer.subject, now, now + timedelta(days=7), [], revoked)
    return builder.sign(authority.credential.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _make_keys(folder: Path) -> Authority:
    now = Instant(time.time())  # noqa: TID251 - certificates and tokens begin now
    valid = Validity.around(now, days=7)
    authority = Authority.root("Lab CA", valid)
    loopback = (ip_address("127.0.0.1"),)
    server = authority.issue(Names("server", dns=("localhost",), addresses=loopback), Purpose.SERVER, valid)
    client = authority.issue(Names("client", dns=("client",)), Purpose.CLIENT, valid)
    write_public(folder / "ca.pem", authority.certificate_pem())
    for name, credential in (("server", server), ("client", client)):
        write_public(folder / f"{name}.pem", credential.certificate_pem())
        write_private(folder / f"{name}.key", credential.key_pem())
        write_private(folder / f"{name}-full.pem", credential.key_pem() + credential.certificate_pem())
    _make_token(folder, int(now))
    return authority


def _make_token(folder: Path, now: int) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    claims = {
        "iss": "https://idp.lab",
        "aud": "wallet",
        "sub": "partner-1",
        "scope": "wallet:debit",
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    public = key.public_key()
    jwk = {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "k1", "alg": "RS256", "use": "sig"}
    del jwk["key_ops"]  # says what `use` says (RFC 7517 4.3)
    write_private(folder / "token", jwt.encode(claims, key, algorithm="RS256", headers={"kid": "k1"}).encode())
    write_public(folder / "jwks.json", json.dumps({"keys": [jwk]}).encode())
    write_public(folder / "jwt.pub", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
