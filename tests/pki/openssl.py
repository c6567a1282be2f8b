"""A certificate authority kept by the `openssl` command, as a partner would: its database, its lists, its responder."""

import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

CONFIG = """\
[ca]
default_ca = this
[this]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
crlnumber = {folder}/crlnumber
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 1
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = none
prompt = no
[none]
"""

CA = """\
basicConstraints = critical, CA:TRUE{more}
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
LEAF = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:spiffe://acme.example/casino
"""
DAY = 86_400
P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(*arguments: str | Path) -> bytes:
    """Run a command; what it says is shown where it fails."""
    done = subprocess.run(("openssl", *map(str, arguments)), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass
class Issued:
    """A certificate's files."""

    certificate: Path
    key: Path

    def chained(self, *authorities: "OpensslCa") -> Path:
        """Give a file of the certificate, of those of its authorities, and of its key, as curl takes it."""
        chain = self.certificate.with_suffix(".chain")
        parts = [self.certificate, *(each.certificate for each in authorities), self.key]
        chain.write_bytes(b"".join(part.read_bytes() for part in parts))
        return chain


@dataclass
class OpensslCa:
    """One authority in a folder of its own."""

    folder: Path
    name: str
    issuer: "OpensslCa | None" = None
    more: str = ""
    """Added to the basic constraints, such as `, pathlen:0`, and further lines of extensions."""
    key: tuple[str, ...] = P256
    extensions: str | None = None
    count: int = field(default=0)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        for name, text in {"index.txt": "", "serial": "1000", "crlnumber": "01"}.items():
            (self.folder / name).write_text(text + "\n" if text else "")
        self.config.write_text(CONFIG.format(folder=self.folder))
        first, *further = self.more.split("\n")
        text = self.extensions or CA.format(more=first)
        if self.issuer is None:
            self._request("ca", self.name, self.key)
            self._self_signed(text + "\n".join(further))
        else:
            text += "authorityKeyIdentifier = keyid\n" if self.extensions is None else ""
            issued = self.issuer.issue(self.name, text + "\n".join(further), key=self.key)
            issued.certificate.rename(self.certificate)
            issued.key.rename(self.folder / "ca.key")

    @property
    def config(self) -> Path:
        """The authority's configuration."""
        return self.folder / "ca.cnf"

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def issue(
        self, name: str, extensions: str = LEAF, *, key: tuple[str, ...] = P256,
        begins: float = -3600, ends: float = 30 * DAY, digest: str = "sha256",
    ) -> Issued:  # fmt: skip
        """Issue a certificate; times are seconds from now."""
        self.count += 1
        stem = f"{self.count}-leaf"
        request = self._request(stem, name, key)
        (self.folder / f"{stem}.ext").write_text(extensions)
        issued = Issued(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        openssl(
            "ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", issued.certificate,
            "-extfile", self.folder / f"{stem}.ext", "-md", digest,
            "-startdate", _dated(begins), "-enddate", _dated(ends),
        )  # fmt: skip
        return issued

    def issue_numbered(self, name: str, number: str) -> Issued:
        """Issue a certificate with a serial number that a CA's database would not take."""
        self.count += 1
        stem = f"{self.count}-leaf"
        request = self._request(stem, name, P256)
        (self.folder / f"{stem}.ext").write_text(LEAF)
        issued = Issued(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        openssl(
            "x509", "-req", "-in", request, "-out", issued.certificate, "-extfile", self.folder / f"{stem}.ext",
            "-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-set_serial", number, "-days", "30",
        )  # fmt: skip
        return issued

    def revoke(self, issued: Issued) -> None:
        """Take a certificate back."""
        openssl("ca", "-config", self.config, "-revoke", issued.certificate)

    def crl(self, *, begins: float = -60, ends: float = DAY) -> Path:
        """Publish the list."""
        file = self.folder / "ca.crl"
        openssl(
            "ca", "-config", self.config, "-gencrl", "-out", file,
            "-crl_lastupdate", _dated(begins), "-crl_nextupdate", _dated(ends),
        )  # fmt: skip
        return file

    def _request(self, stem: str, name: str, key: tuple[str, ...]) -> Path:
        request = self.folder / f"{stem}.csr"
        kind, *options = key
        generated = self.folder / f"{stem}.key"
        openssl("genpkey", "-algorithm", kind, *options, "-out", generated)
        openssl(
            "req", "-new", "-config", self.config, "-key", generated, "-subj", f"/O=Acme/CN={name}", "-out", request
        )
        return request

    def _self_signed(self, extensions: str) -> None:
        (self.folder / "ca.ext").write_text(extensions)
        openssl(
            "x509", "-req", "-in", self.folder / "ca.csr", "-signkey", self.folder / "ca.key", "-out", self.certificate,
            "-extfile", self.folder / "ca.ext", "-days", "60", "-set_serial", "1",
        )  # fmt: skip


def _dated(seconds: float) -> str:
    return f"{datetime.fromtimestamp(time.time() + seconds, UTC):%Y%m%d%H%M%SZ}"
