from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from gateway.pki.authority import Authority, Names, Purpose, Validity
from gateway.pki.chain import MAX_LINKS, Chain
from gateway.pki.der import integer
from tests.crls import chain, moment, with_sha1
from tests.mint import private_key
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
SOONER = Validity.around(NOW, days=3)
RSA = private_key("RSA-2048", "partner")
ROOT = Authority.root("Partners CA", VALID)
ISSUING = ROOT.subordinate("Issuing CA", SOONER)
LEAF = ISSUING.issue(Names("casino", uris=("spiffe://acme.example/casino",)), Purpose.CLIENT, VALID)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def single(*extensions: x509.ExtensionType, key: Any = None, by: Any = None) -> Chain:
    """Give the chain of one certificate, signed by the root."""
    public = key or ROOT.credential.key.public_key()
    builder = x509.CertificateBuilder(
        named("Partners CA"),
        named("leaf"),
        public,
        5,
        moment(NOW),
        moment(NOW) + timedelta(days=1),  # type: ignore[arg-type]
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    made = builder.sign(by or ROOT.credential.key, hashes.SHA256()).public_bytes(Encoding.DER)
    root = ROOT.credential.certificate.public_bytes(Encoding.DER)
    return Chain.read([made if by is None else with_sha1(made), root])


def test_the_facts_are_the_leafs_and_the_earliest_end_counts() -> None:
    made = chain(LEAF, ISSUING, ROOT)
    assert made.facts.san_uri == ("spiffe://acme.example/casino",)
    assert made.facts.not_after == SOONER.not_after
    assert [link.name for link in made.links] == ["CN=casino", "CN=Issuing CA", "CN=Partners CA"]
    assert [link.authority for link in made.links] == [False, True, True]
    assert made.links[0].serial == integer(LEAF.certificate.serial_number)
    assert made.ders == tuple(link.der for link in made.links)


def test_the_authorities_are_known_by_their_keys_the_nearest_first() -> None:
    def pin(authority: Authority) -> str:
        digest = hashes.Hash(hashes.SHA256())
        key = authority.credential.key.public_key()
        digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize().hex()

    assert chain(LEAF, ISSUING, ROOT).facts.authorities == (pin(ISSUING), pin(ROOT))
    assert chain(LEAF).facts.authorities == ()


def test_where_revocation_is_told_is_read_from_the_certificate() -> None:
    def at(url: str, **more: object) -> x509.DistributionPoint:
        name = x509.UniformResourceIdentifier(url)
        return x509.DistributionPoint([name], None, None, None, **more) if not more else x509.DistributionPoint(
            [name], None, more.get("reasons"), more.get("crl_issuer")  # type: ignore[arg-type]
        )  # fmt: skip

    points = x509.CRLDistributionPoints([
        at("http://crl.example/a"),
        at("http://crl.example/partial", reasons=frozenset({x509.ReasonFlags.key_compromise})),
        at("http://crl.example/indirect", crl_issuer=[x509.DirectoryName(named("other"))]),
        x509.DistributionPoint([x509.DirectoryName(named("directory"))], None, None, None),
    ])  # fmt: skip
    access = x509.AuthorityInformationAccess([
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example/")),
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/")
        ),
    ])  # fmt: skip
    (link, _) = single(points, access).links
    assert (link.points, link.responders) == (("http://crl.example/a",), ("http://ocsp.example/",))
    (link, _) = single().links
    assert (link.points, link.responders) == ((), ())


def test_a_chain_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="certificate cannot be read"):
        Chain.read([b"\x30\x00"])


def test_chains_over_one_authority_share_what_was_read_of_it() -> None:
    one, other = chain(LEAF, ISSUING, ROOT), chain(ISSUING.issue(Names("bingo"), Purpose.CLIENT, VALID), ISSUING, ROOT)
    assert one.links[1:] == other.links[1:]
    assert one.links[0] is not other.links[0]


# What OpenSSL's security level lets through


def test_a_chain_of_today_has_no_weakness() -> None:
    assert chain(LEAF, ISSUING, ROOT).weakness() is None
    assert single(key=RSA.public_key()).weakness() is None


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: single(key=ec.generate_private_key(ec.SECP224R1()).public_key()), "CN=leaf: a curve of 224 bits"),
        (lambda: single(key=private_key("RSA-1024", "weak").public_key()), "CN=leaf: RSA of 1024 bits"),
        (lambda: single(by=RSA), "CN=leaf is signed with SHA1"),
    ],
)
def test_a_weak_key_or_signature_is_named(made: object, words: str) -> None:
    weakness = made().weakness()  # type: ignore[operator]
    assert weakness is not None
    assert weakness.startswith(words)


def test_nobody_relies_on_the_signature_of_the_trusted_authority() -> None:
    name = named("Old root")
    made = x509.CertificateBuilder(name, name, RSA.public_key(), 7, moment(NOW), moment(NOW) + timedelta(days=1))
    root = made.sign(RSA, hashes.SHA256()).public_bytes(Encoding.DER)
    assert Chain.read([with_sha1(root)]).weakness() is None


# What nobody should issue


def test_a_chain_of_today_gives_no_objection() -> None:
    assert chain(LEAF, ISSUING, ROOT).objection() is None
    assert single().objection() is None


def test_a_ca_is_no_client() -> None:
    assert chain(ISSUING.credential, ROOT).objection() == "a CA's own certificate, where that of a client is wanted"


@pytest.mark.parametrize("serial", [0, -5])
def test_a_serial_number_is_positive(serial: int) -> None:
    made = single()
    faulty = replace(made, links=(replace(made.links[0], serial=integer(serial)), *made.links[1:]))
    assert faulty.objection() == "its serial number is not positive (RFC 5280 4.1.2.2)"


@pytest.mark.parametrize("name", [x509.DNSName("acme.example\0.evil.example"), x509.UniformResourceIdentifier("a:\n")])
def test_a_name_has_no_control_characters(name: x509.GeneralName) -> None:
    assert single(x509.SubjectAlternativeName([name])).objection() == "a name in it has control characters"


def test_a_chain_that_is_there_to_be_slow_is_refused() -> None:
    made = chain(LEAF, ISSUING, ROOT)
    links = (made.links[0], *[made.links[1]] * (MAX_LINKS - 1))
    assert replace(made, links=links).objection() is None
    longer = replace(made, links=(*links, made.links[1]))
    assert longer.objection() == f"a chain of {MAX_LINKS + 1} certificates, at most {MAX_LINKS} are taken"
