"""What a policy trusts or uses, with its place."""

from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.crl import RevocationList
from gateway.policy import Loaded, load
from gateway.policy.inventory import Crypto, Material, Owner, Pin, Role, SystemAuthorities, printable
from gateway.policy.nodes import TOP, Place
from tests.crls import crl, der
from tests.policy.files import BASE, ENVIRON, NOW, make_files
from tests.unit.pki.odd import leaf

VALID = Validity(Instant(NOW - 60), Instant(NOW + 86_400))
DIGEST = "ab" * 32


def loaded(folder: Path, *changes: tuple[str, str]) -> Loaded:
    """The base policy with some of its text replaced."""
    if not (folder / "certs").exists():
        make_files(folder)
    (folder / "policies").mkdir()
    for file in BASE.iterdir():
        text = file.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        (folder / "policies" / file.name).write_text(text)
    return load(folder / "policies", ENVIRON, now=NOW)


def of(what: Crypto, role: Role = Role.PRESENTED) -> Material:
    return Material(Owner("listener", "main"), role, what, Place(Path("p.yaml"), 1, 1), TOP)


def test_everything_of_the_base_policy_is_there(tmp_path: Path) -> None:
    found = {
        (str(one.owner), one.role, str(one.trail), one.place.line, one.place.file.name)
        for one in loaded(tmp_path).material
    }
    assert found == {
        ("listener main", Role.PRESENTED, "listener.tls.certificate", 9, "gate.yaml"),
        ("listener main", Role.AUTHORITY, "listener.tls.client_ca", 11, "gate.yaml"),
        ("issuer operator", Role.TOKENS, "issuers.operator.keys", 20, "gate.yaml"),
        ("partner acme-casino", Role.SIGNATURES, "partners.acme-casino.signing_keys[0].algorithm", 10, "partners.yaml"),
    }


def test_upstreams_and_pins_are_there(tmp_path: Path) -> None:
    material = loaded(
        tmp_path,
        (
            '"http://127.0.0.1:9000"',
            '"https://127.0.0.1:9000", client: {certificate: ../certs/gateway.pem, key: ../certs/gateway.key}',
        ),
        ('san_uri: "spiffe://acme.example/casino"', f"fingerprint: {DIGEST}, public_key: {DIGEST}"),
    ).material
    found = {(str(one.owner), one.role, one.label) for one in material}
    assert ("upstream psp", Role.AUTHORITY, "the system's CAs") in found
    assert ("upstream psp", Role.PRESENTED, "certificate CN=gate") in found
    assert ("partner acme-casino", Role.PINNED, f"fingerprint {DIGEST}") in found
    assert ("partner acme-casino", Role.PINNED, f"public_key {DIGEST}") in found


def test_files_are_named_as_messages_name_them(tmp_path: Path) -> None:
    one = next(one for one in loaded(tmp_path).material if one.role is Role.PRESENTED)
    assert one.file == str(tmp_path / "policies" / "../certs/gateway.pem")


def test_intermediates_are_sent_along(tmp_path: Path) -> None:
    make_files(tmp_path)
    issued = (
        Authority.root("CA", VALID).subordinate("below", VALID).issue(Names("g", dns=("g",)), Purpose.SERVER, VALID)
    )
    (tmp_path / "certs/gateway.pem").write_bytes(issued.certificate_pem())
    (tmp_path / "certs/gateway.key").write_bytes(issued.key_pem())
    material = loaded(tmp_path).material
    assert [(one.role, one.label) for one in material[:2]] == [
        (Role.PRESENTED, "certificate CN=g"),
        (Role.SENT_ALONG, "certificate CN=below"),
    ]


def test_times_of_certificates_and_signing_keys() -> None:
    certificate = Authority.root("CA", VALID).credential.certificate
    assert (of(certificate).not_before, of(certificate).not_after) == (VALID.not_before, VALID.not_after)
    key = SigningKey("k", "hmac-sha256", Secret(b"x" * 32), Instant(1.0), Instant(2.0))
    assert (of(key).not_before, of(key).not_after, of(key).label) == (1.0, 2.0, "key k")


def test_a_revocation_list_lasts_until_the_next_one() -> None:
    made = RevocationList(der(crl(Authority.root("CA", VALID), 5, at=NOW - 60, ends=NOW + 600)))
    listed = of(made, Role.REVOKES)
    assert (listed.not_before, listed.not_after) == (NOW - 60, NOW + 600)
    assert listed.label == "revocation list of CN=CA"


@pytest.mark.parametrize("what", [Pin("public_key", DIGEST), SystemAuthorities()])
def test_what_has_no_times(what: Crypto) -> None:
    assert (of(what).not_before, of(what).not_after) == (None, None)


def test_a_certificate_without_a_name() -> None:
    assert of(leaf(subject="")).label == "certificate without a name"


def test_what_could_steer_a_terminal_is_replaced() -> None:
    assert printable("a\x1b[31mb\n") == "a�[31mb�"
