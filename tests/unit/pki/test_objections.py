"""What the gate objects to; OpenSSL's strict rules are the second opinion."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from gateway.pki.contents import read_contents
from gateway.pki.objections import Use, is_authority, objections
from tests.unit.pki.odd import LEAF_KEY, NOW, ca, leaf, usage

WEAK = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - weak on purpose
SERVER = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
CODE = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
ANY = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)
STRANGE = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)


def openssl(folder: Path, certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether OpenSSL takes the certificate for a client, by its strict rules."""
    (folder / "leaf.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "ca.pem").write_bytes(authority.public_bytes(Encoding.PEM))
    rules = ["-x509_strict", "-auth_level", "2", "-purpose", "sslclient", "-attime", str(int(NOW))]
    done = subprocess.run(
        ["openssl", "verify", *rules, "-CAfile", folder / "ca.pem", folder / "leaf.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def test_nothing_is_wrong_with_a_proper_certificate(tmp_path: Path) -> None:
    assert objections(leaf(), NOW, Use.CLIENT) == []
    assert objections(ca(), NOW, Use.CA) == []
    assert openssl(tmp_path, leaf(), ca())


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (leaf(days=(-2, -1)), "expired on 2026-11-21: renew it"),
        (leaf(days=(1, 2)), "not valid before 2026-11-23: wait, or set the clock right"),
        (leaf(public=WEAK), "RSA of 1024 bits can be broken: use 2048 or more, or EC P-256"),
        (leaf({"issuer key": None}), "no authority key identifier (RFC 5280 4.2.1.1): have it issued anew"),
        (leaf({"strange": STRANGE}), "its critical extension 1.2.3.4 is not known: have it issued without"),
        (leaf({"usage": (usage(signs=True), True)}), "key usage keyCertSign on what is no CA: have it issued anew"),
        (leaf({"purpose": SERVER}), "not for clients: its extended key usage lacks clientAuth"),
        (leaf({"purpose": CODE}), "its extended key usage is for neither servers nor clients"),
        (leaf({"purpose": ANY}), "its extended key usage is for neither servers nor clients"),
    ],
)  # fmt: skip
def test_what_openssl_refuses_is_objected_to(tmp_path: Path, certificate: x509.Certificate, said: str) -> None:
    found = objections(certificate, NOW, Use.CLIENT)
    assert any(each.startswith(said) for each in found), found
    assert not openssl(tmp_path, certificate, ca())


@pytest.mark.parametrize(
    ("authority", "said"),
    [
        (ca({"constraints": (x509.BasicConstraints(ca=True, path_length=1), False)}), "a CA whose basic constraints"),
        (ca({"usage": None}), "a CA without the key usage keyCertSign"),
        (ca({"own key": None}), "a CA without subject key identifier"),
    ],
)
def test_a_ca_that_openssl_refuses_is_objected_to(tmp_path: Path, authority: x509.Certificate, said: str) -> None:
    (found,) = objections(authority, NOW, Use.CA)
    assert found.startswith(said)
    assert not openssl(tmp_path, leaf(), authority)


@pytest.mark.parametrize(
    ("certificate", "use", "said"),
    [
        (leaf({"names": None}), None, "no subject alternative name"),
        (leaf(), Use.SERVER, "not for servers: its extended key usage lacks serverAuth"),
        (leaf(), Use.CA, "no CA: nothing else is accepted by it"),
        (ca(), Use.CLIENT, "a CA, where a client's own certificate is wanted"),
        (leaf({"usage": (usage(signs=True), True)}), Use.CLIENT, "key usage without digitalSignature"),
        (ca(subject="", issuer=""), None, "a CA without a name"),
        (leaf(issuer=""), None, "its issuer has no name"),
    ],
)
def test_what_is_not_meant_for_its_use(certificate: x509.Certificate, use: Use | None, said: str) -> None:
    found = objections(certificate, NOW, use)
    assert any(each.startswith(said) for each in found), found


def test_without_a_stated_use_none_is_missed() -> None:
    assert objections(leaf({"purpose": SERVER}), NOW) == []
    assert not is_authority(leaf())
    assert is_authority(ca())


def made_by_openssl(folder: Path, *options: str) -> Any:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        folder / "k",
        "-out",
        folder / "c",
    ]
    subprocess.run([*command, "-subj", "/CN=self", *options], capture_output=True, check=True)
    (found,) = read_contents((folder / "c").read_bytes())
    return found


def test_a_root_may_be_signed_with_sha1_and_nothing_else(tmp_path: Path) -> None:
    root = made_by_openssl(tmp_path, "-sha1")
    assert not any("SHA1" in each for each in objections(root, NOW))
    for command in (
        "req -new -newkey rsa:2048 -nodes -keyout k2 -subj /CN=weak -out r",
        "x509 -req -in r -CA c -CAkey k -sha1 -set_serial 9 -out weak.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, capture_output=True, check=True)
    (weak,) = read_contents((tmp_path / "weak.pem").read_bytes())
    assert isinstance(weak, x509.Certificate)
    assert "signed with SHA1, which can be forged: have it issued with SHA-256" in objections(weak, NOW)


def test_a_serial_number_of_zero(tmp_path: Path) -> None:
    assert any("serial number" in each for each in objections(made_by_openssl(tmp_path, "-set_serial", "0"), NOW))


def test_extensions_that_cannot_be_read_are_one_objection() -> None:
    broken = leaf({"names": (x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.17"), b"\x00"), False)})
    (found,) = objections(broken, NOW)
    assert found.startswith("its extensions cannot be read (ValueError)")
    assert LEAF_KEY.public_key() == broken.public_key()


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (ec.SECP256K1(), "an elliptic curve that is not taken: have it issued for RSA, EC P-256 or Ed25519"),
        (ec.BrainpoolP256R1(), None),
    ],
)
def test_keys_that_are_too_costly_to_look_at(curve: ec.EllipticCurve, said: str | None) -> None:
    found = objections(leaf(public=ec.generate_private_key(curve).public_key()), NOW, Use.CLIENT)
    assert found == ([] if said is None else [said])
