import pytest

from gateway.controls.mutual_tls import MutualTls
from gateway.core.certificates import CertificateMatch
from gateway.core.message import Certificate, Instant
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import NOW, World


def refusal(certificate: Certificate | None, policy: world.Policy | None = None) -> Denied:
    exchange = World(policy=policy or world.policy(), peer=world.peer(certificate=certificate)).exchange()
    with pytest.raises(Denied) as caught:
        world.check(MutualTls(), exchange)
    return caught.value


def test_the_certificate_identifies_its_partner() -> None:
    exchange = World().exchange()
    world.check(MutualTls(), exchange)
    assert exchange.partner is not None
    assert exchange.partner.name == world.PARTNER


def test_a_connection_without_a_certificate_is_refused() -> None:
    assert refusal(None).reason is Reason.CERTIFICATE_MISSING


def test_a_connection_without_tls_is_refused() -> None:
    exchange = World(peer=world.peer(tls=None)).exchange()
    with pytest.raises(Denied) as caught:
        world.check(MutualTls(), exchange)
    assert caught.value.reason is Reason.CERTIFICATE_MISSING


@pytest.mark.parametrize("end", ["not_before", "not_after"])
def test_the_validity_includes_both_its_ends(end: str) -> None:
    exchange = World(peer=world.peer(certificate=world.certificate(**{end: NOW}))).exchange()
    world.check(MutualTls(), exchange)
    assert exchange.partner is not None


@pytest.mark.parametrize(("end", "at"), [("not_before", NOW + 0.001), ("not_after", NOW - 0.001)])
def test_a_certificate_outside_its_validity_is_refused(end: str, at: float) -> None:
    assert refusal(world.certificate(**{end: Instant(at)})).reason is Reason.CERTIFICATE_EXPIRED


def test_a_validity_that_is_no_number_is_refused() -> None:
    assert refusal(world.certificate(not_after=Instant(float("nan")))).reason is Reason.CERTIFICATE_EXPIRED


CA, OTHER_CA = "ca" * 32, "0c" * 32


def test_a_route_may_take_certificates_of_some_cas_only() -> None:
    control = MutualTls(frozenset({CA}))
    exchange = World(peer=world.peer(certificate=world.certificate(authorities=(OTHER_CA, CA)))).exchange()
    world.check(control, exchange)
    assert exchange.partner is not None


@pytest.mark.parametrize("authorities", [(), (OTHER_CA,)])
def test_a_certificate_of_another_ca_is_refused_there(authorities: tuple[str, ...]) -> None:
    exchange = World(peer=world.peer(certificate=world.certificate(authorities=authorities))).exchange()
    with pytest.raises(Denied) as caught:
        world.check(MutualTls(frozenset({CA})), exchange)
    assert caught.value.reason is Reason.CERTIFICATE_ISSUER
    assert "CN=Partners CA" in caught.value.detail


def test_a_certificate_that_fits_nobody_is_refused() -> None:
    assert refusal(world.certificate(san_uri=("spiffe://acme.example/other",))).reason is Reason.PARTNER_UNKNOWN


def test_a_certificate_that_fits_two_partners_is_refused_and_both_are_named() -> None:
    rival = world.other_partner(certificates=(CertificateMatch(fingerprint="ab" * 32),))
    policy = world.policy(partners={world.PARTNER: world.partner(), world.OTHER_PARTNER: rival})
    denied = refusal(world.certificate(), policy)
    assert denied.reason is Reason.CERTIFICATE_AMBIGUOUS
    assert denied.detail == "the certificate fits acme-casino, blue-bingo"


def test_a_partner_that_the_route_does_not_list_is_refused() -> None:
    assert refusal(world.other_certificate()).reason is Reason.PARTNER_NOT_ALLOWED


def test_a_certificate_of_another_than_the_caller_is_refused() -> None:
    exchange = World().exchange()
    exchange.partner = world.other_partner()
    with pytest.raises(Denied) as caught:
        world.check(MutualTls(), exchange)
    assert caught.value.reason is Reason.CERTIFICATE_AMBIGUOUS
