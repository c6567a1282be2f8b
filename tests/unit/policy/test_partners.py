from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.core.certificates import CertificateMatch
from gateway.core.issuer import Issuer
from gateway.core.message import Instant
from gateway.policy.partners import PartnerEntry, PartnerReader
from gateway.policy.problem import Severity
from gateway.policy.reader import Reader
from gateway.policy.tables import Table
from tests.policy.files import ENVIRON
from tests.policy.reading import definition, problems, reader, scalar

ACME = "secret: env:ACME_SIGNING_KEY"


def issuers() -> Table[Issuer]:
    found: Table[Issuer] = Table("issuer")
    issuer = Issuer("operator", "https://idp.example", Path("jwks.json"), frozenset({"ES256"}))
    found.add("operator", scalar("operator"), issuer)
    return found


def read(used: Reader, **partners: str) -> list[PartnerEntry]:
    """Read partners one after the other, all of them with something that identifies them."""
    reading = PartnerReader(used, issuers())
    entries = [reading.read(name, definition(text)) for name, text in partners.items()]
    return [entry for entry in entries if entry is not None]


def complaints(**partners: str) -> list[str]:
    used = reader()
    read(used, **partners)
    return [said.partition(": it.")[2] for said in problems(used)]


def test_everything_a_partner_can_have() -> None:
    used = reader()
    (entry,) = read(
        used,
        acme=(
            "{certificate: {san_dns: Casino.Acme.Example}, networks: [198.51.100.0/24, '2001:db8::/32'], "
            "subjects: {operator: [one, two]}, signing_keys: [{id: k1, algorithm: hmac-sha256, "
            f"{ACME}, not_before: 2026-01-01, not_after: 2027-01-01T00:00:00Z}}]}}"
        ),
    )
    assert used.problems == []
    partner = entry.partner
    assert partner.name == "acme"
    assert partner.certificates == (CertificateMatch(san_dns="casino.acme.example"),)
    assert ip_address("198.51.100.7") in partner.networks
    assert partner.subjects == {"operator": {"one", "two"}}
    key = partner.signing_keys["k1"]
    assert (key.algorithm, key.not_before, key.not_after) == ("hmac-sha256", 1_767_225_600.0, 1_798_761_600.0)
    assert key.secret.reveal() == ENVIRON["ACME_SIGNING_KEY"].encode()
    assert str(entry.keys["k1"].trail) == "it.signing_keys[0].algorithm"


def test_certificates_in_one_form() -> None:
    used = reader()
    (entry,) = read(
        used,
        acme=(
            f"{{certificate: [{{subject: 'emailAddress=a@acme.example,CN=casino,O=Acme'}}, "
            f"{{fingerprint: '{':'.join(['AB'] * 32)}'}}, {{public_key: {'cd' * 32}, san_uri: 'spiffe://acme/casino'}}]}}"
        ),
    )
    assert used.problems == []
    assert entry.partner.certificates == (
        CertificateMatch(subject="1.2.840.113549.1.9.1=a@acme.example,CN=casino,O=Acme"),
        CertificateMatch(fingerprint="ab" * 32),
        CertificateMatch(public_key="cd" * 32, san_uri="spiffe://acme/casino"),
    )


def test_certificates_of_a_partners_own_ca(certs: Path) -> None:
    used = reader()
    entries = read(
        used,
        acme=f"{{certificate: {{ca: {certs}/partners-ca.pem, san_email: Payments@ACME.example}}}}",
        blue=f"{{certificate: {{ca: {certs}/old.pem, san_email: Payments@acme.example}}}}",
    )
    ((acme,), (blue,)) = (entry.partner.certificates for entry in entries)
    assert acme.san_email == blue.san_email == "Payments@acme.example"
    assert acme.authorities is not None
    assert blue.authorities is not None
    assert acme.authorities.isdisjoint(blue.authorities)
    assert not [problem for problem in used.problems if problem.severity is Severity.ERROR]


def test_a_ca_that_two_partners_share_tells_nobody_apart(certs: Path) -> None:
    ca = f"ca: {certs}/partners-ca.pem"
    said = complaints(acme=f"{{certificate: {{{ca}}}}}", blue=f"{{certificate: {{{ca}, san_dns: blue.example}}}}")
    assert any("fits the same certificates as one of partner `acme`" in line for line in said)


def test_a_ca_that_cannot_be_read_is_told_of_once() -> None:
    (line,) = complaints(acme="{certificate: {ca: none.pem, san_dns: acme.example}}")
    assert "does not exist" in line


ONE, TWO = "san_uri: 'urn:one'", "san_dns: two.example"


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (f"{{{ONE}}}", f"{{{ONE}}}", True),
        (f"{{{ONE}}}", f"{{{ONE}, {TWO}}}", True),
        (f"{{{ONE}, {TWO}}}", f"{{{TWO}}}", True),
        (f"[{{subject: CN=x}}, {{{ONE}, {TWO}}}]", f"[{{subject: CN=y}}, {{{TWO}, {ONE}}}]", True),
        (f"{{{ONE}}}", f"{{{TWO}}}", False),
        (f"{{{ONE}, subject: CN=x}}", f"{{{ONE}, subject: CN=y}}", False),
        (f"{{{ONE}, {TWO}}}", f"{{{ONE}, subject: CN=y}}", False),
    ],
)
def test_certificates_of_two_partners(first: str, second: str, clash: bool) -> None:
    said = complaints(one=f"{{certificate: {first}}}", two=f"{{certificate: {second}}}")
    assert [one.partition(" (")[0].partition(": ")[2] for one in said] == (
        ["fits the same certificates as one of partner `one`"] if clash else []
    )


def test_a_partner_may_list_a_certificate_twice() -> None:
    assert complaints(one=f"{{certificate: [{{{ONE}}}, {{{ONE}, {TWO}}}]}}") == []


def test_one_subject_of_one_issuer_is_one_partner() -> None:
    assert complaints(one="{subjects: {operator: [a, b]}}", two="{subjects: {operator: [b]}}") == [
        "subjects.operator: subject `b` is partner `one`'s (see p.yaml:1:27; a subject must stand for one partner)"
    ]


def test_key_ids_are_unique_in_a_policy_and_in_a_partner() -> None:
    key = f"{{id: k, algorithm: hmac-sha256, {ACME}}}"
    again = key.replace("ACME", "OTHER")
    said = complaints(
        one=f"{{signing_keys: [{key}, {again}]}}", two=f"{{signing_keys: [{key.replace('ACME', 'HEX')}]}}"
    )
    assert [one.partition(":")[0] for one in said] == ["signing_keys[1].id", "signing_keys[0].id"]


def test_one_secret_is_one_partner() -> None:
    key = f"algorithm: hmac-sha256, {ACME}"
    (said,) = complaints(one=f"{{signing_keys: [{{id: a, {key}}}]}}", two=f"{{signing_keys: [{{id: b, {key}}}]}}")
    assert said.startswith("signing_keys[0].secret: the same secret as one of partner `one`")
    assert ENVIRON["ACME_SIGNING_KEY"] not in said


def test_one_secret_is_one_key() -> None:
    key = f"algorithm: hmac-sha256, {ACME}"
    (said,) = complaints(one=f"{{signing_keys: [{{id: a, {key}}}, {{id: b, {key}}}]}}")
    assert said.startswith("signing_keys[1].secret: the same secret as another key of the partner")


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ("not_before: 2027-01-01, not_after: 2027-01-01", "the key ends before it begins"),
        ("not_after: 2026-11-22", "the key is no longer in force"),
        ("not_after: 2026-11-23", ""),
        ("not_before: 2027-01-01", ""),
    ],
)
def test_times_of_keys(times: str, said: str) -> None:
    found = complaints(one=f"{{signing_keys: [{{id: a, algorithm: hmac-sha256, {ACME}, {times}}}]}}")
    assert [one.partition(": ")[2].partition(" (")[0] for one in found] == ([said] if said else [])


def test_without_a_time_old_keys_are_passed_over() -> None:
    used = reader(None)
    text = f"{{signing_keys: [{{id: a, algorithm: hmac-sha256, {ACME}, not_after: 2001-01-01}}]}}"
    (entry,) = read(used, one=text)
    assert used.problems == []
    assert entry.partner.signing_keys["a"].not_after == Instant(978_307_200.0)


@pytest.mark.parametrize(
    ("definition", "faulty"),
    [
        ("{certificate: {san_uri: x}}", {"certificate"}),
        ("{certificate: {san_uri: 'urn:x'}, networks: [x]}", {"networks"}),
        ("{subjects: {operatr: [x]}}", {"subjects"}),
        ("{signing_keys: [{}]}", {"signing_keys"}),
        (f"{{signing_keys: [{{id: a, algorithm: hmac-sha256, {ACME}, not_after: 2001-01-01}}]}}", set()),
    ],
)
def test_what_was_complained_of_is_known(definition: str, faulty: set[str]) -> None:
    (entry,) = read(reader(), one=definition)
    assert entry.faulty == faulty


def test_a_partner_that_nothing_identifies() -> None:
    used = reader()
    read(used, one="{networks: [198.51.100.0/24]}")
    assert problems(used) == [
        "p.yaml:1:1: it: nothing identifies this partner (expected `certificate`, `subjects` or `signing_keys`)"
    ]
