"""Faults of client certificates, by a real CA and with curl: each refused with its reason, nothing forwarded."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.core.reasons import Reason
from gateway.engine.revocation import RevocationCheck
from gateway.pki.crl import read_lists
from tests import world
from tests.engine import pki
from tests.engine.harness import Running, running
from tests.pki.openssl import CA, DAY, LEAF, Issued, OpensslCa

R = Reason
URI = "URI:spiffe://acme.example/casino"


@dataclass
class Pki:
    """A partner's authorities: a root, and one below it that issues."""

    folder: Path
    root: OpensslCa
    issuing: OpensslCa

    def below(self, name: str, **options: object) -> OpensslCa:
        """Make another authority below the root."""
        return OpensslCa(self.folder / name, name, self.root, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("openssl")
    root = OpensslCa(folder / "root", "Acme Root CA")
    return Pki(folder, root, OpensslCa(folder / "issuing", "Acme Issuing CA", root, ", pathlen:0"))


@pytest.fixture
async def up(tmp_path: Path, authorities: Pki) -> AsyncIterator[Running]:
    """A gate that trusts the root, and lives in the present."""
    tls = replace(pki.write(tmp_path), client_ca=authorities.root.certificate)
    async with running(tmp_path, flows=False, listener={"tls": tls}) as gate:
        gate.time.now = Instant(time.time())
        yield gate


LAX = """\
openssl_conf = all
[all]
ssl_conf = lax
[lax]
system_default = everything
[everything]
CipherString = DEFAULT@SECLEVEL=0
"""
"""For a client that shows what those of today would not even load."""


async def curl(up: Running, client: Path) -> tuple[int, bytes]:
    """Ask for the balance with curl; gives its exit code, and the status that it saw."""
    (up.directory / "lax.cnf").write_text(LAX)
    now = int(up.time.now)
    token = world.token(world.claims(iat=now - 5, exp=now + 300))
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "20", "--http1.1", "--cacert", str(up.directory / "operator-ca.pem"),
        "--cert", str(client), "-o", "/dev/null", "-w", "%{http_code}",
        "-H", f"Host: {world.HOST}", "-H", f"Authorization: Bearer {token}",
        f"https://localhost:{up.port}/v1/balance",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"OPENSSL_CONF": str(up.directory / "lax.cnf")},
    )  # fmt: skip
    told, _ = await process.communicate()
    return process.returncode or 0, told


def leaf(**changes: str) -> str:
    """Give a leaf's extensions with some of them changed; an empty value leaves one out."""
    lines = dict(line.split(" = ") for line in LEAF.splitlines()) | changes
    return "".join(f"{name} = {value}\n" for name, value in lines.items() if value)


def issued(extensions: str = LEAF, **options: object) -> Callable[[Pki], Path]:
    return lambda made: made.issuing.issue("casino", extensions, **options).chained(made.issuing)  # type: ignore[arg-type]


def by(name: str, extensions: str = LEAF, **options: object) -> Callable[[Pki], Path]:
    """Have it issued by another authority below the root."""

    def make(made: Pki) -> Path:
        authority = made.below(name, **options)
        return authority.issue("casino", extensions).chained(authority)

    return make


def by_a_leaf(made: Pki) -> Path:
    parent = made.issuing.issue("casino", leaf(keyUsage="critical, digitalSignature, keyCertSign"))
    folder = made.folder / "leaf-as-ca"
    child = OpensslCa(folder, "Leaf as CA")
    (folder / "ca.pem").write_bytes(parent.certificate.read_bytes())
    (folder / "ca.key").write_bytes(parent.key.read_bytes())
    return child.issue("casino").chained(child, made.issuing)


def too_deep(made: Pki) -> Path:
    sub = OpensslCa(made.folder / "sub", "Sub CA", made.issuing)
    return sub.issue("casino").chained(sub, made.issuing)


def sha1_above(made: Pki) -> Path:
    sub = made.below("sha1-sub")
    weak = made.root.issue("sha1-sub", CA.format(more="") + "authorityKeyIdentifier = keyid\n", digest="sha1")
    sub.certificate.write_bytes(weak.certificate.read_bytes())
    (sub.folder / "ca.key").write_bytes(weak.key.read_bytes())
    return sub.issue("casino").chained(sub)


def self_signed(made: Pki) -> Path:
    own = OpensslCa(made.folder / "own", "casino", extensions=leaf(authorityKeyIdentifier=""))
    return Issued(own.certificate, own.folder / "ca.key").chained()


def numbered(made: Pki) -> Path:
    return made.issuing.issue_numbered("casino", "-5").chained(made.issuing)


SMALL = ("rsa", "-pkeyopt", "rsa_keygen_bits:1024")
P224 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-224")
SPELT_OUT = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
BINARY = ("ec", "-pkeyopt", "ec_paramgen_curve:sect571r1")
EXPONENT = ("rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:4294967311")
CONSTRAINED = "\nnameConstraints = critical, permitted;DNS:acme.example\n"
EXCLUDED = "\nnameConstraints = critical, excluded;DNS:psp.example\n"
NUL = "DER:30:16:82:14:61:63:6d:65:2e:65:78:61:6d:70:6c:65:00:2e:65:76:69:6c:2e:78"

FAULTS: dict[str, tuple[Callable[[Pki], Path], Reason]] = {
    "wrong purpose": (issued(leaf(extendedKeyUsage="serverAuth")), R.TLS_CERTIFICATE_PURPOSE),
    "no key usage for signatures": (issued(leaf(keyUsage="critical, keyEncipherment")), R.TLS_CERTIFICATE_PURPOSE),
    "a CA as a client": (
        issued(leaf(basicConstraints="critical, CA:TRUE", keyUsage="critical, digitalSignature, keyCertSign")),
        R.TLS_CERTIFICATE_INVALID,
    ),
    "issued by a leaf": (by_a_leaf, R.TLS_CERTIFICATE_CHAIN),
    "longer than its path": (too_deep, R.TLS_CERTIFICATE_CHAIN),
    "an issuer without keyCertSign": (
        by("no-sign", extensions=CA.format(more="").replace("keyCertSign, ", "") + "authorityKeyIdentifier = keyid\n"),
        R.TLS_CERTIFICATE_PURPOSE,
    ),
    "a name not permitted": (
        by("permitted", leaf(subjectAltName=f"{URI}, DNS:psp.example"), more=CONSTRAINED), R.TLS_CERTIFICATE_CHAIN,
    ),
    "a name excluded": (
        by("excluded", leaf(subjectAltName=f"{URI}, DNS:api.psp.example"), more=EXCLUDED), R.TLS_CERTIFICATE_CHAIN,
    ),
    "an unknown critical extension": (issued(f"{LEAF}1.2.3.4 = critical, DER:05:00\n"), R.TLS_CERTIFICATE_INVALID),
    "a negative serial number": (numbered, R.TLS_CERTIFICATE_INVALID),
    "no key identifier of the issuer": (issued(leaf(authorityKeyIdentifier="none")), R.TLS_CERTIFICATE_INVALID),
    "NUL in a name": (issued(leaf(subjectAltName=NUL)), R.TLS_CERTIFICATE_INVALID),
    "SHA-1": (issued(digest="sha1"), R.TLS_CERTIFICATE_WEAK),
    "SHA-1 above it": (sha1_above, R.TLS_CERTIFICATE_WEAK),
    "small RSA": (issued(key=SMALL), R.TLS_CERTIFICATE_WEAK),
    "small RSA above it": (by("small", key=SMALL), R.TLS_CERTIFICATE_WEAK),
    "a small curve above it": (by("p224", key=P224), R.TLS_CERTIFICATE_WEAK),
    "a curve spelt out above it": (by("spelt-out", key=SPELT_OUT), R.TLS_CERTIFICATE_COSTLY),
    "a binary curve above it": (by("binary", key=BINARY), R.TLS_CERTIFICATE_COSTLY),
    "a long exponent": (issued(key=EXPONENT), R.TLS_CERTIFICATE_COSTLY),
    "a long exponent above it": (by("exponent", key=EXPONENT), R.TLS_CERTIFICATE_COSTLY),
    "nine certificates": (
        lambda made: made.issuing.issue("casino").chained(*[made.issuing] * 8), R.TLS_CERTIFICATE_COSTLY,
    ),
    "a book of names": (
        issued(leaf(subjectAltName=f"{URI}, " + ", ".join(f"DNS:{n}.acme.example" for n in range(500)))),
        R.TLS_CERTIFICATE_COSTLY,
    ),
    "expired": (issued(begins=-2 * DAY, ends=-DAY), R.TLS_CERTIFICATE_EXPIRED),
    "not yet valid": (issued(begins=DAY), R.TLS_CERTIFICATE_EXPIRED),
    "self-signed": (self_signed, R.TLS_CERTIFICATE_UNTRUSTED),
    "its issuer left out": (lambda made: made.issuing.issue("casino").chained(), R.TLS_CERTIFICATE_UNTRUSTED),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_certificate_with_a_fault_is_refused(up: Running, authorities: Pki, fault: str) -> None:
    make, reason = FAULTS[fault]
    code, status = await curl(up, make(authorities))

    await up.until_refused()
    assert (code != 0, status) == (True, b"000")
    assert up.refused == [reason]
    assert not up.decided
    assert up.upstream.untouched


@pytest.mark.parametrize(
    "make",
    [
        issued(),
        issued(key=("rsa", "-pkeyopt", "rsa_keygen_bits:2048")),
        issued(key=("rsa", "-pkeyopt", "rsa_keygen_bits:4096")),
        issued(key=("ec", "-pkeyopt", "ec_paramgen_curve:P-521")),
        by("brainpool", key=("ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1")),
        issued(key=("ed25519",)),
        issued(leaf(extendedKeyUsage="")),
        by("constrained", leaf(subjectAltName=f"{URI}, DNS:api.acme.example"), more=CONSTRAINED),
    ],
    ids=[
        "P-256",
        "RSA",
        "RSA-4096",
        "P-521",
        "Brainpool above it",
        "Ed25519",
        "for every purpose",
        "within its constraints",
    ],
)
async def test_a_certificate_without_fault_is_served(
    up: Running, authorities: Pki, make: Callable[[Pki], Path]
) -> None:
    assert await curl(up, make(authorities)) == (0, b"200")
    assert dict(up.upstream.fields())["x-gateway-partner"] == world.PARTNER


# Revocation, by the lists that `openssl ca` makes


def listed(up: Running, *files: Path, **settings: float) -> None:
    """Have the gate check revocation by these lists."""
    lists = [each for file in files for each in read_lists(file.read_bytes())]
    check = RevocationCheck(Revocation(**settings), lists)  # type: ignore[arg-type]
    up.gate.in_force = replace(up.gate.in_force, revocation={"public": check})


async def refused(up: Running, client: Path) -> Reason:
    assert await curl(up, client) != (0, b"200")
    await up.until_refused()
    assert up.upstream.untouched
    return up.refused[-1]


async def test_a_certificate_on_no_list_is_served(up: Running, authorities: Pki) -> None:
    client = authorities.issuing.issue("casino").chained(authorities.issuing)
    listed(up, authorities.root.crl(), authorities.issuing.crl())

    assert await curl(up, client) == (0, b"200")


async def test_a_revoked_certificate_is_refused(up: Running, authorities: Pki) -> None:
    client = authorities.issuing.issue("casino")
    authorities.issuing.revoke(client)
    listed(up, authorities.root.crl(), authorities.issuing.crl())

    assert await refused(up, client.chained(authorities.issuing)) is R.TLS_CERTIFICATE_REVOKED


async def test_a_certificate_of_a_revoked_authority_is_refused(up: Running, authorities: Pki) -> None:
    authority = authorities.below("revoked")
    client = authority.issue("casino").chained(authority)
    authorities.root.revoke(Issued(authority.certificate, authority.folder / "ca.key"))
    listed(up, authorities.root.crl(), authority.crl())

    assert await refused(up, client) is R.TLS_CERTIFICATE_REVOKED


async def test_a_stale_list_lets_nobody_in(up: Running, authorities: Pki) -> None:
    client = authorities.issuing.issue("casino").chained(authorities.issuing)
    stale = authorities.issuing.crl(begins=-2 * DAY, ends=-60)
    listed(up, authorities.root.crl(), stale)
    assert await refused(up, client) is R.TLS_CERTIFICATE_STATUS

    listed(up, authorities.root.crl(), stale, stale_for=3600.0)
    assert await curl(up, client) == (0, b"200")


async def test_without_the_issuers_list_nobody_is_let_in(up: Running, authorities: Pki) -> None:
    client = authorities.issuing.issue("casino").chained(authorities.issuing)
    listed(up, authorities.root.crl())

    assert await refused(up, client) is R.TLS_CERTIFICATE_STATUS
